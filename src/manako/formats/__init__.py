"""Layouts on disk become samples: one file of this folder each, found by its being here.

A reader has `TASKS` (names), `recognise(path) -> bool` (cheap: names only) and `read(path, *, task, group_by) ->
Dataset`. `folders` is the most general layout: it is taken only where no other reader recognises the data. Where the
same objects lie there in several formats, the reader with the highest `PREFERENCE` (0 where it has none) is taken.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from manako.errors import ConfigError, DataError
from manako.paths import find_images
from manako.tasks import get_task
from manako.types import Dataset, Labels, Problem

_MOST_GENERAL = "folders"


class Reader(Protocol):
    TASKS: tuple[str, ...]

    def recognise(self, path: Path) -> bool: ...

    def read(self, path: Path, *, task: str, group_by: str | None) -> Dataset: ...


@cache
def readers() -> dict[str, Reader]:
    """All readers by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: cast(Reader, import_module(f"{__name__}.{name}")) for name in names}


def read_dataset(
    data: str | Path, *, task: str | None = None, format: str | None = None, group_by: str | None = None
) -> Dataset:
    """Read a folder or a labels file; the layout is recognised, or given as `format`.

    group_by: a column of a table, or "folder" for the sub-folders of the class folders: what belongs to one group is
    never split. Rows and files that had to be skipped are in `problems`. Raises DataError where nothing can be learnt
    from the data (nothing there, no classes, one class only), ConfigError for a wrong `format`, `task` or `group_by`.
    """
    path = Path(data)
    if not path.exists():
        raise DataError("data.missing", data=path)
    name, chosen = (format, ()) if format is not None else _recognise(path, task)
    reader = _reader(name)
    if task is not None and task not in reader.TASKS:
        raise ConfigError("data.format_not_for_task", format=name, task=task)
    dataset = reader.read(path, task=task or reader.TASKS[0], group_by=group_by)
    if not dataset.samples:
        raise DataError("data.no_images", data=path)
    by_class = _class_problems(dataset) if _by_class(dataset) else ()
    return replace(dataset, problems=(*chosen, *dataset.problems, *by_class))


def _reader(name: str) -> Reader:
    if name not in readers():
        near = difflib.get_close_matches(name, readers(), 1)
        raise ConfigError("data.unknown_format", format=name, choices=", ".join(near or readers()))
    return readers()[name]


def _recognise(path: Path, task: str | None) -> tuple[str, tuple[Problem, ...]]:
    """The reader's name, and a note where others could have read the data too."""
    known = {name: reader for name, reader in readers().items() if task is None or task in reader.TASKS}
    if not known:
        get_task(str(task))
        raise ConfigError("data.unknown_task", task=task)
    found = [name for name, reader in known.items() if reader.recognise(path)]
    if len(found) > 1:
        found = [name for name in found if name != _MOST_GENERAL]
    if found:
        best = max(_preference(name) for name in found)
        preferred = [name for name in found if _preference(name) == best]
        if len(preferred) > 1:
            raise DataError("data.ambiguous", data=path, formats=", ".join(preferred))
        others = ", ".join(name for name in found if name not in preferred)
        facts = {"data": path, "format": preferred[0], "others": others}
        return preferred[0], (Problem("data.chosen_format", facts, "note"),) if others else ()
    if path.is_file():
        raise DataError("data.unrecognised_file", data=path)
    if next(iter(path.iterdir()), None) is None:
        raise DataError("data.empty" if task in (None, "classification") else "data.no_images", data=path)
    if next(find_images([path]), None) is None:
        raise DataError("data.no_images", data=path)
    if task is not None and len(known) == 1:  # no other layout can be meant
        return next(iter(known)), ()
    if task in getattr(known.get(_MOST_GENERAL), "WITHOUT_CLASSES", ()):
        return _MOST_GENERAL, ()
    if task not in (None, "classification"):
        raise DataError("data.no_labels", data=path, task=task, formats=", ".join(known))
    raise DataError("data.no_classes", data=path)


def _preference(name: str) -> int:
    return int(getattr(readers()[name], "PREFERENCE", 0))


def _by_class(dataset: Dataset) -> bool:
    return isinstance(dataset.samples[0].target, Labels)


def _class_problems(dataset: Dataset) -> tuple[Problem, ...]:
    """Raises for one class; names classes too small, never trained, or most likely the same."""
    if len(dataset.classes) < 2:
        raise DataError("data.one_class", data=dataset.root, name=dataset.classes[0])
    counts: Counter[int] = Counter()
    trained: set[int] = set()
    only: dict[int, str] = {}
    for sample in dataset.samples:
        if isinstance(sample.target, Labels):
            index = sample.target.best
            counts[index] += 1
            only[index] = sample.id
            if sample.split in ("train", None):
                trained.add(index)
    problems = [
        Problem("data.class_with_one_image", {"name": dataset.classes[index]}, samples=(only[index],))
        for index, count in sorted(counts.items())
        if count == 1
    ]
    if trained:
        untrained = sorted(set(counts) - trained)
        problems += [Problem("data.class_without_training", {"name": dataset.classes[i]}) for i in untrained]
    return (*problems, *_alike(dataset.classes))


def _alike(classes: tuple[str, ...]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in classes:
        key = "".join(name.casefold().split())
        if key in seen:
            yield Problem("data.classes_alike", {"first": seen[key], "second": name})
        seen.setdefault(key, name)
