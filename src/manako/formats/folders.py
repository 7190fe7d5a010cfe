"""One sub-folder a class; either directly, or within folders named train, val (valid, validation) and test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from manako.errors import ConfigError, DataError
from manako.formats._real_image import as_real_images
from manako.paths import IMAGE_SUFFIXES, find_images, is_hidden, leads_outside, printable
from manako.types import Dataset, Labels, Problem, Sample, Split

TASKS = ("classification", "generation")
WITHOUT_CLASSES = ("generation",)  # tasks that take a folder of images without classes too
SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass
class _Found:
    """What lies below one class folder: images as names relative to it, and what was passed over."""

    images: list[str] = field(default_factory=list)
    other: int = 0
    links: int = 0


def recognise(path: Path) -> bool:
    return path.is_dir() and any(next(find_images([path / name]), None) for name in _subfolders(path))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Nested folders below a class folder belong to the class. Raises DataError, ConfigError."""
    if group_by not in (None, "folder"):
        raise ConfigError("folders.group_by", group_by=group_by)
    if task in WITHOUT_CLASSES and not recognise(path):
        return _images_alone(path)
    problems: list[Problem] = []
    root = _unwrap(path, problems)
    found: dict[tuple[Split | None, str], tuple[Path, _Found]] = {}
    for split, folder in _class_folders(root, problems):
        found[split, folder.name] = folder, _search(root, folder)
    full = {printable(name) for (_, name), (_, content) in found.items() if content.images}
    classes = tuple(sorted(full))
    truths = {name: Labels.truth(index) for index, name in enumerate(classes)}
    samples = [
        _sample(root, folder, image, truths[printable(name)], split, group_by)
        for (split, name), (folder, content) in found.items()
        for image in content.images
    ]
    problems += _passed_over(root, found, full)
    dataset = Dataset(root, "folders", task, classes, tuple(samples), tuple(problems))
    return as_real_images(dataset) if task == "generation" else dataset


def _images_alone(path: Path) -> Dataset:
    """Images right in the folder: one class, without a name of its own."""
    target = Labels.truth(0)
    found = [name for name in find_images([path]) if not (name.is_symlink() and leads_outside(path, name))]
    samples = [Sample(printable(file.relative_to(path).as_posix()), file, target) for file in found]
    return as_real_images(Dataset(path, "folders", "generation", ("image",), tuple(samples)))


def _sample(root: Path, folder: Path, image: str, target: Labels, split: Split | None, group_by: str | None) -> Sample:
    file = folder / image
    group = printable(str(file.parent.relative_to(root))) if group_by and os.sep in image else None
    return Sample(printable(file.relative_to(root).as_posix()), file, target, group=group, split=split)


def _unwrap(path: Path, problems: list[Problem]) -> Path:
    """An archive often holds one folder that holds everything: go in."""
    root = path
    for _ in range(3):
        names = _subfolders(root)
        if len(names) != 1 or names[0].lower() in SPLIT_NAMES or not _subfolders(root / names[0]):
            break
        inner = root / names[0]
        if any(os.path.splitext(e.name)[1].lower() in IMAGE_SUFFIXES for e in os.scandir(inner)):  # noqa: PTH122
            break
        root = inner
    if root != path:
        problems.append(Problem("folders.unwrapped", {"folder": root}, "note"))
    return root


def _class_folders(root: Path, problems: list[Problem]) -> Iterator[tuple[Split | None, Path]]:
    names = _subfolders(root)
    splits = {name: SPLIT_NAMES[name.lower()] for name in names if name.lower() in SPLIT_NAMES}
    splits = {name: split for name, split in splits.items() if _subfolders(root / name)}
    # "train" may be a class of vehicles: it is a split beside "val" or "test", or with nothing else around.
    if not splits or not (len(splits) == len(names) or ("train" in splits.values() and len(set(splits.values())) > 1)):
        loose = _loose_images(root)
        for name in names:
            yield None, root / name
    else:
        loose = sum(_loose_images(root / name) for name in splits)
        for name in names:
            if name not in splits:
                problems.append(Problem("folders.ignored_folder", {"folder": root / name}, "note"))
        for name, split in splits.items():
            for class_name in _subfolders(root / name):
                yield split, root / name / class_name
    if loose:
        problems.append(Problem("folders.without_class", {"folder": root, "count": loose}, "warning"))


def _subfolders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not is_hidden(e.name))
    except OSError as error:
        raise DataError("paths.unreadable_folder", folder=folder, reason=error.strerror) from error


def _loose_images(folder: Path) -> int:
    with os.scandir(folder) as entries:
        return sum(os.path.splitext(e.name)[1].lower() in IMAGE_SUFFIXES for e in entries if not is_hidden(e.name))  # noqa: PTH122


def _search(root: Path, folder: Path) -> _Found:
    """Everything below a class folder. Links that lead out of the data set are not followed, nor are links to folders
    (they may go round in a circle)."""
    found = _Found()
    if folder.is_symlink() and leads_outside(root, folder):
        found.links += 1
        return found
    waiting = [""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(folder / below) as entries:
                listed = sorted((e for e in entries if not is_hidden(e.name)), key=lambda e: e.name)
        except OSError as error:
            raise DataError("paths.unreadable_folder", folder=folder / below, reason=error.strerror) from error
        for entry in listed:
            name = f"{below}{entry.name}"
            if entry.is_symlink() and (entry.is_dir() or leads_outside(root, folder / name)):
                found.links += 1
            elif entry.is_dir():
                waiting.append(f"{name}{os.sep}")
            elif os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122
                found.images.append(name)
            else:
                found.other += 1
    found.images.sort()
    return found


def _passed_over(
    root: Path, found: dict[tuple[Split | None, str], tuple[Path, _Found]], full: set[str]
) -> Iterator[Problem]:
    names = {printable(name) for _, name in found}
    for name in sorted(names - full):
        yield Problem("folders.empty_class", {"name": name}, "note")
    if other := sum(content.other for _, content in found.values()):
        yield Problem("folders.other_files", {"count": other, "folder": root}, "note")
    if links := sum(content.links for _, content in found.values()):
        yield Problem("folders.links", {"count": links, "folder": root})
