"""One format of labels into another, with the images: what `manako convert` does."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, cast

from manako import idx
from manako.decode import image_size, open_image
from manako.errors import DataError, ManakoError, UsageError
from manako.formats import read_dataset, readers
from manako.messages import message
from manako.paths import new_folder
from manako.types import IGNORE, Dataset, Detections, Prediction, Problem, Sample, Segmentation, Skeleton, TextRegions

Progress = Callable[[int, int], None]
SHORT = {"csv": "boxes_table"}
_LAYOUT = {"images", "jpegimages", "image", "img", "imgs"}
_PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


class Writer(Protocol):
    """What a format that can be converted to offers. Those of objects say, too, where images go (`IMAGES`), what of
    `_kinds` they have room for (`HOLDS`), and take the part of the data as `split`."""

    def __init__(self, folder: Path, classes: Any, *, skeleton: Skeleton | None = None) -> None: ...

    def add(self, image: str, width: int, height: int, prediction: Any) -> None: ...

    def finish(self) -> Path: ...


@dataclass(frozen=True)
class Converted:
    """What was written. lost: kind -> how many, of what the new format has no room for. problems: of the old labels."""

    folder: Path
    format: str
    to: str
    images: int
    objects: int
    lost: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether all that the old labels name could be used."""
        return all(problem.severity == "note" for problem in self.problems)

    def text(self) -> str:
        facts = {"folder": self.folder, "format": self.format, "to": self.to}
        lines = [message("convert.done", images=self.images, objects=self.objects, **facts)]
        lines += [message(f"convert.lost_{kind}", count=count, to=self.to) for kind, count in self.lost.items()]
        lines += [message(problem.code, **problem.facts) for problem in self.problems]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {
            "folder": str(self.folder),
            "format": self.format,
            "to": self.to,
            "images": self.images,
            "objects": self.objects,
            "lost": dict(self.lost),
            "problems": [{"code": p.code, "message": message(p.code, **p.facts)} for p in self.problems],
        }


def convert(
    data: str | Path,
    out: str | Path,
    *,
    to: str,
    task: str | None = None,
    format: str | None = None,
    link: bool = False,
    progress: Progress | None = None,
) -> Converted:
    """Read labels and write them, with their images, to the new folder `out`.

    to: "coco", "yolo", "voc", "csv", or another format that can be written ("masks", "coco_keypoints"...). link: don't
    copy images, give the same files a second name (hard links). Raises UsageError where `out` holds something or the
    format is unknown, DataError where the labels can't be read. Of pages with regions of text, "text_lines" are the
    images of their lines, cut out.
    """
    pages = _pages(data, to, task, format)
    if pages is not None:
        return _cut(pages, Path(out), to, progress)
    writer_of, tasks = _writer(to, task)
    dataset = _read(data, tasks, format)
    with new_folder(Path(out), apart_from=dataset.root) as folder:
        written = _fill(folder, dataset, writer_of, link, progress)
    return Converted(
        Path(out),
        dataset.format,
        to,
        written.images,
        written.objects,
        +written.lost,
        (*dataset.problems, *written.problems),
    )


def _pages(data: str | Path, to: str, task: str | None, format: str | None) -> Dataset | None:
    """Pages with regions of text, where lines are wanted of them."""
    if to != "text_lines" or task not in (None, "text_finding"):
        return None
    if task is not None or (format is not None and "text_finding" in getattr(readers().get(format), "TASKS", ())):
        return read_dataset(data, task="text_finding", format=format)
    try:
        return read_dataset(data, task="text_finding", format=format)
    except ManakoError:  # lines already
        return None


def _cut(pages: Dataset, out: Path, to: str, progress: Progress | None) -> Converted:
    from manako.cutting import cut_lines

    with new_folder(out, apart_from=pages.root) as folder:
        cut = cut_lines(pages, folder, progress)
        if not cut.images:
            raise DataError("convert.no_texts", data=pages.root)
    lost = +Counter(unread=cut.unread)
    problems = (*pages.problems, *cut.problems)
    return Converted(out, pages.format, to, cut.images, cut.images, lost, problems)


def can_write(dataset: Dataset) -> bool:
    """Whether `write_labels` takes these labels."""
    return _own_writer(dataset) is not None


def write_labels(dataset: Dataset, folder: Path) -> None:
    """Labels and their images into an empty folder, in their own format; objects as COCO where it can't be."""
    writer_of = _own_writer(dataset)
    assert writer_of is not None
    _fill(folder, dataset, writer_of, False, None)


def _own_writer(dataset: Dataset) -> type[Writer] | None:
    known: Any = readers()
    for name in (dataset.format, "coco"):
        if dataset.task in getattr(known[name], "WRITES", ()):
            return cast(type[Writer], known[name].Writer)
    return None


@dataclass
class _Written:
    images: int = 0
    objects: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)


def _fill(folder: Path, dataset: Dataset, writer_of: type[Writer], link: bool, progress: Progress | None) -> _Written:
    written = _Written()
    writer = writer_of(folder, dataset.classes, skeleton=dataset.skeleton)
    images, holds = getattr(writer, "IMAGES", "images"), getattr(writer, "HOLDS", None)
    for done, (place, sample) in enumerate(_places(dataset), 1):
        try:
            height, width = image_size(sample.image, sample.frame)
            truth = sample.truth
        except DataError as error:
            written.problems.append(Problem(error.code, error.facts, "error"))
            continue
        if truth is not None:
            part = {} if holds is None else {"split": sample.split}
            writer.add(place, width, height, truth, **part)
            written.lost.update({kind: n for kind, n in _kinds(truth).items() if holds is None or kind not in holds})
            written.objects += len(truth) if isinstance(truth, (Detections, TextRegions)) else 1
        _copy(sample, folder / images / place, link)
        written.images += 1
        if progress is not None:
            progress(done, len(dataset.samples))
    if holds is not None:
        written.lost.update({kind: n for kind, n in _of_dataset(dataset).items() if kind not in holds})
    writer.finish()
    return written


def _read(data: str | Path, tasks: Sequence[str], format: str | None) -> Dataset:
    """As the first of the tasks that there are labels for."""
    for task in tasks[:-1]:
        with contextlib.suppress(ManakoError):
            return read_dataset(data, task=task, format=format)
    return read_dataset(data, task=tasks[-1], format=format)


def _writer(to: str, task: str | None) -> tuple[type[Writer], tuple[str, ...]]:
    """What writes the format, and the tasks whose labels it takes, those that hold most first."""
    known: Mapping[str, Any] = readers()
    name = SHORT.get(to, to)
    if not hasattr(known.get(name), "WRITES"):
        short = {long: word for word, long in SHORT.items()}
        able = (short.get(name, name) for name, reader in known.items() if hasattr(reader, "WRITES"))
        raise UsageError("convert.unknown", to=to, known=", ".join(able))
    tasks = tuple(known[name].WRITES)
    if task is not None and task not in tasks:
        raise UsageError("convert.not_for_task", to=to, task=task)
    chosen = (task,) if task else ("instances", "segmentation", "detection") if "instances" in tasks else tasks
    return cast(type[Writer], known[name].Writer), chosen


def _places(dataset: Dataset) -> Iterator[tuple[str, Sample]]:
    """Where each image goes below the images' folder: into its part, and as it was, less the old layout's folders. No
    two get names that differ in the suffix only: their label files would be one."""
    taken: set[str] = set()
    for sample in dataset.samples:
        parts = PurePosixPath(sample.id.replace("#", "_")).parts
        left_out = _LAYOUT | (_PARTS if sample.split else set())
        kept = [part for part in parts[:-1] if part.lower() not in left_out and part not in ("..", "/")]
        path = PurePosixPath(*([sample.split] if sample.split else []), *kept, parts[-1])
        if idx.is_idx_images(sample.image):
            path = path.with_name(path.name + ".png")
        if str(path.with_suffix("")).casefold() in taken:
            path = path.with_name(f"{path.stem}_{path.suffix[1:]}_{len(taken)}{path.suffix}")
        taken.add(str(path.with_suffix("")).casefold())
        yield str(path), sample


def _kinds(truth: Prediction) -> dict[str, int]:
    """How many of what some formats have no room for."""
    if isinstance(truth, Segmentation):
        return {"ignored": int((truth.class_id == IGNORE).any())}
    if not isinstance(truth, Detections):
        return {}
    outlines = [outline for outline in truth.outlines or () if outline is not None]
    return {
        "outlines": len(outlines),
        "parts": sum(len(outline.polygons) > 1 for outline in outlines),
        "holes": sum(outline.runs is not None for outline in outlines),
        "crowds": 0 if truth.crowd is None else int(truth.crowd.sum()),
        "scores": int((truth.score < 1).sum()),
        "tracks": 0 if truth.track is None else len(truth),
    }


def _of_dataset(dataset: Dataset) -> dict[str, int]:
    used = {int(c) for s in dataset.samples if isinstance(s.target, Detections) for c in s.target.class_id}
    return {
        "unused_classes": len(dataset.classes) - len(used),
        "groups": sum(sample.group is not None for sample in dataset.samples),
    }


def _copy(sample: Sample, target: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if sample.frame or idx.is_idx_images(sample.image):
        open_image(sample.image, sample.frame).save(target)
        return
    if link:
        try:
            os.link(sample.image.resolve(), target)
            return
        except OSError:  # another disk, or one without links
            pass
    shutil.copyfile(sample.image, target)
