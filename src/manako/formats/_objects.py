"""Objects as label files state them, gathered row by row and then judged all at once, the same for every format.

What can't be meant is left out, what sticks out of the image is cut off, and each such row is named with file, line
and field. With `repair`, what can be meant in one way only is put right instead: corners in the wrong order,
fractions in place of pixels and the reverse.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.decode import image_size
from manako.errors import ConfigError, ImageError, LabelError
from manako.formats._listed import LISTED, listed
from manako.formats._shapes import MOST_PIXELS
from manako.paths import printable
from manako.regions import Painting
from manako.types import IGNORE, Dataset, Detections, Outline, Problem, Sample, Split

TASKS = ("detection", "instances", "segmentation")
GROUND = "background"
SHOWN = 20
_ROUNDING = 1.0  # pixels: so far beyond the edge is how programs round, no mistake
_NUMBER = 1e9  # beyond, it is none of pixels
_FRACTION = 2.0  # of the image: beyond, a number that should be a fraction must be one of pixels
Boxes = NDArray[np.float64]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class _Source:
    """file: as a label file is called. field: with {} for the number of the entry."""

    file: Path
    field: str


class Objects:
    """Columns of objects, and the images that they are in."""

    def __init__(self, root: Path, format: str, task: str, *, fractions: bool = False) -> None:
        """fractions: coordinates are parts of the image's width and height instead of pixels."""
        self.root = root
        self.format = format
        self.task = task
        self.fractions = fractions
        self.outlined = task != "detection"
        self.problems: list[Problem] = []
        self._names: list[str] = []
        self._splits: list[Split | None] = []
        self._groups: list[str | None] = []
        self._sizes = array("q")
        self._known: dict[str, int] = {}
        self._sources: list[_Source] = []
        self._coordinates = array("d")
        self._where = array("q")  # image, class, source, line, entry; five a row
        self._crowd = bytearray()
        self._outlines: list[Outline | None] = []

    def __len__(self) -> int:
        return len(self._crowd)

    def image(
        self, name: str, height: int = 0, width: int = 0, split: Split | None = None, group: str | None = None
    ) -> int:
        """The number of an image, new or known. name: below the root. Sizes of 0 are read from the file."""
        if name in self._known:
            return self._known[name]
        number = self._known[name] = len(self._names)
        self._names.append(name)
        self._splits.append(split)
        self._groups.append(group)
        sound = height > 0 and width > 0 and height * width <= MOST_PIXELS
        self._sizes.extend((height, width) if sound else (0, 0))
        return number

    def has(self, name: str) -> bool:
        return name in self._known

    def source(self, file: Path, field: str) -> int:
        self._sources.append(_Source(file, field))
        return len(self._sources) - 1

    def add(
        self,
        image: int,
        label: int,
        corners: Sequence[float],
        where: tuple[int, int, int],
        *,
        crowd: bool = False,
        outline: Outline | None = None,
    ) -> None:
        """corners: left, top, right, bottom. where: source, line, entry."""
        before = len(self._coordinates)
        try:
            left, top, right, bottom = corners
            self._coordinates.extend((left, top, right, bottom))
        except (TypeError, ValueError, OverflowError):  # a text, a list of three, a number of a thousand digits
            del self._coordinates[before:]
            self.wrong("labels.not_a_number", where, corners)
            return
        self._where.extend((image, label, *where))
        self._crowd.append(crowd)
        if self.outlined:
            self._outlines.append(outline)

    def wrong(self, code: str, where: tuple[int, int, int], value: object, field: str = "") -> None:
        """Name a row that can't be used. field: where it isn't that of the source."""
        source = self._sources[where[0]]
        place = (field or source.field).format(where[2])
        facts = {"file": source.file, "line": where[1], "field": place, "value": str(value)[:200]}
        self.problems.append(Problem(code, facts, "error"))

    def classify(self, first: int, classes: Mapping[int, int]) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """Give the rows from `first` on their classes, by the label that they have so far; what has none (-1 after) is
        given back with its place."""
        for at in range(5 * first, len(self._where), 5):
            label = self._where[at + 1]
            self._where[at + 1] = classes.get(label, -1)
            if label not in classes:
                yield label, (self._where[at + 2], self._where[at + 3], self._where[at + 4])

    def dataset(self, classes: Sequence[str], *, group_by: str | None = None, repair: bool = False) -> Dataset:
        """Judge all rows. Raises LabelError where the task needs outlines and there are none."""
        if group_by not in (None, "folder"):
            raise ConfigError("folders.group_by", group_by=group_by)
        worst = next((problem for problem in self.problems if problem.severity == "error"), None)
        if not self._names and worst:  # not "there are no images": why none could be used
            raise LabelError(worst.code, **worst.facts)
        if self.outlined and len(self) and not any(self._outlines):
            raise LabelError("labels.no_outlines", data=self.root, task=self.task)
        rows = _Rows(self, repair)
        keep = rows.judge()
        if self.fractions and self.outlined:
            self._outlines = [
                o and _scaled(o, rows.sizes[image]) for o, image in zip(self._outlines, rows.image, strict=True)
            ]
        self._tell(rows, keep, classes)
        samples = tuple(self._samples(rows, keep, group_by))
        names = tuple(classes) if self.task != "segmentation" else (GROUND, *(c for c in classes if c != GROUND))
        if self.task == "segmentation":
            if len(names) >= IGNORE:
                raise LabelError("labels.too_many_classes", data=self.root, count=len(names), most=IGNORE - 1)
            moved = np.array([0 if c == GROUND else names.index(c) for c in classes], np.int64)
            samples = tuple(
                self._painted(sample, size, moved) for sample, size in zip(samples, rows.sizes, strict=True)
            )
        samples = tuple(sorted(samples, key=lambda sample: sample.id))
        return Dataset(self.root, self.format, self.task, names, samples, listed(self.problems))

    def _tell(self, rows: _Rows, keep: Chosen, classes: Sequence[str]) -> None:
        self.problems += rows.problems
        if len(self) and not keep.any():
            self.problems.append(Problem("labels.nothing_left", {"data": self.root, "count": len(self)}, "error"))
        empty = len(self._names) - len(np.unique(rows.image[keep]))
        if empty and len(self):
            facts = {"count": empty, "total": len(self._names)}
            self.problems.append(Problem("labels.backgrounds", facts, "note"))
        if self.outlined and (bare := sum(outline is None for outline in self._outlines)):
            self.problems.append(Problem("labels.without_outline", {"count": bare, "total": len(self)}))
        unused = np.setdiff1d(np.arange(len(classes)), rows.label[keep])
        if len(unused) and keep.any():
            names = ", ".join(classes[i] for i in unused[:SHOWN])
            self.problems.append(Problem("labels.unused_classes", {"count": len(unused), "names": names}, "note"))

    def _samples(self, rows: _Rows, keep: Chosen, group_by: str | None) -> Iterator[Sample]:
        chosen = np.flatnonzero(keep)
        chosen = chosen[np.argsort(rows.image[chosen], kind="stable")]
        ends = np.searchsorted(rows.image[chosen], np.arange(len(self._names) + 1))
        xyxy, label = rows.xyxy[chosen].astype(np.float32), rows.label[chosen].astype(np.int64)
        score, crowd = np.ones(len(chosen), np.float32), rows.crowd[chosen]
        for number, name in enumerate(self._names):
            part = slice(ends[number], ends[number + 1])
            many = crowd[part] if crowd[part].any() else None
            outlines = tuple(self._outlines[i] for i in chosen[part]) if self.outlined else None
            target = Detections(xyxy[part], label[part], score[part], crowd=many, outlines=outlines)
            group = name.rpartition("/")[0] or None if group_by == "folder" else self._groups[number]
            yield Sample(printable(name), self.root / name, target, group=group, split=self._splits[number])

    @staticmethod
    def _painted(sample: Sample, size: NDArray[np.int64], ids: NDArray[np.int64]) -> Sample:
        assert isinstance(sample.target, Detections)
        height, width = size.tolist()
        painting = Painting(sample.target.relabel(ids), height, width)
        return Sample(sample.id, sample.image, painting, sample.frame, sample.group, sample.split)

    def columns(self) -> tuple[Boxes, NDArray[np.int64], Chosen, NDArray[np.int64], list[_Source], list[Path]]:
        """xyxy (N, 4), where (N, 5), crowd (N,), sizes (images, 2), sources, files of the images."""
        xyxy = np.frombuffer(self._coordinates, np.float64).reshape(-1, 4).copy() if len(self) else np.zeros((0, 4))
        where = np.frombuffer(self._where, np.int64).reshape(-1, 5) if len(self) else np.zeros((0, 5), np.int64)
        sizes = np.array(self._sizes, np.int64).reshape(-1, 2)
        files = [self.root / name for name in self._names]
        return xyxy, where, np.frombuffer(bytes(self._crowd), np.uint8).astype(bool), sizes, self._sources, files

    def outline(self, row: int) -> Outline | None:
        return self._outlines[row] if self.outlined else None


class _Rows:
    """All rows as arrays, and what is wrong with them."""

    def __init__(self, objects: Objects, repair: bool) -> None:
        self._objects = objects
        self._repair = repair
        self.problems: list[Problem] = []
        self.xyxy, where, self.crowd, self.sizes, self._sources, files = objects.columns()
        self.image, self.label, self._source, self._line, self._entry = where.T
        self._measure(files)
        self._stated = self.xyxy.copy()
        self._good = np.ones(len(where), bool)

    def _measure(self, files: list[Path]) -> None:
        """Sizes that no label file says, from the images' headers; maps of classes must have the images' size in any
        case. Files that can't be opened keep 0: `check` and training name them."""
        maps = self._objects.task == "segmentation"
        wanted = np.arange(len(files)) if maps else np.flatnonzero((self.sizes == 0).any(1))
        other = 0
        with ThreadPoolExecutor(8) as pool:
            for number, size in zip(wanted, pool.map(_size_of, (files[i] for i in wanted)), strict=True):
                stated = tuple(self.sizes[number].tolist())
                other += 0 not in stated and 0 not in size and stated != size
                self.sizes[number] = size
        if other:
            self.problems.append(Problem("labels.other_size", {"count": other, "data": self._objects.root}))

    def judge(self) -> Chosen:
        """Which rows can be used; `xyxy` holds their pixels."""
        height, width = self.sizes[self.image].T
        size = np.stack([width, height, width, height], 1).astype(np.float64)
        size[size == 0] = np.inf
        self._drop("labels.not_a_number", np.any(~(np.abs(self.xyxy) < _NUMBER), axis=1))
        self._good &= self.label >= 0
        self.xyxy[~self._good] = 0
        if self._objects.fractions:
            self._drop("labels.unknown_size", np.any(np.isinf(size), axis=1))
            size[np.isinf(size)] = 1
            self._mend(
                "labels.pixels", np.any(np.abs(self.xyxy) > _FRACTION, axis=1), lambda at: self.xyxy[at] / size[at]
            )
            self.xyxy *= size
        else:
            self._mend("labels.fractions", self._small(size), lambda at: self.xyxy[at] * size[at])
        swapped = np.any(self.xyxy[:, 2:] < self.xyxy[:, :2], axis=1)
        self._mend("labels.swapped", swapped, lambda at: _ordered(self.xyxy[at]))
        self._drop("labels.no_area", np.any(self.xyxy[:, 2:] == self.xyxy[:, :2], axis=1))
        self._cut(size)
        self._repeated()
        return self._good

    def _small(self, size: Boxes) -> Chosen:
        """Boxes within the first pixel of the image: fractions. Whole numbers (0, 0, 1, 1) may be that pixel, if
        other boxes are larger."""
        within = (
            ((self.xyxy >= 0) & (self.xyxy <= 1)).all(1)
            & np.isfinite(size).all(1)
            & (size[:, :2].min(1) > 2 * _FRACTION)
        )
        within &= (self.xyxy[:, 2:] > self.xyxy[:, :2]).all(1)
        whole = (self.xyxy == np.round(self.xyxy)).all(1)
        small: Chosen = within & (~whole | bool(within[self._good].all()))
        return small

    def _cut(self, size: Boxes) -> None:
        low, high = np.zeros_like(size), size
        beyond = np.maximum(low - self.xyxy, self.xyxy - high).max(1, initial=-np.inf)
        inside = np.clip(self.xyxy, low, high)
        self._drop("labels.outside", np.any(inside[:, 2:] <= inside[:, :2], axis=1))
        self._name("labels.cut", self._good & (beyond > _ROUNDING))
        self.xyxy = np.where(self._good[:, None], inside, self.xyxy)

    def _repeated(self) -> None:
        """The same box of the same class twice in one image (and, where known, with the same outline)."""
        keys = (*self.xyxy.T, self.label, self.crowd, self.image)
        order = np.lexsort(keys)
        order = order[self._good[order]]
        same = np.ones(max(0, len(order) - 1), bool)
        for key in keys:
            same &= key[order[1:]] == key[order[:-1]]
        twice = np.zeros(len(self._good), bool)
        for first, second in zip(order[:-1][same], order[1:][same], strict=True):
            twice[second] = _alike(self._objects.outline(first), self._objects.outline(second))
        self._drop("labels.repeated", twice)

    def _mend(self, code: str, wrong: Chosen, right: Callable[[Chosen], Boxes]) -> None:
        """Put right where asked; else leave out."""
        wrong = wrong & self._good
        self._name(code, wrong)
        if self._repair:
            self.xyxy[wrong] = right(wrong)
        else:
            self._good &= ~wrong

    def _drop(self, code: str, wrong: Chosen) -> None:
        wrong = wrong & self._good
        self._name(code, wrong)
        self._good &= ~wrong

    def _name(self, code: str, wrong: Chosen) -> None:
        rows = np.flatnonzero(wrong)
        for row in rows[:LISTED]:
            source = self._sources[self._source[row]]
            value = ", ".join(f"{number:.6g}" for number in self._stated[row])
            field = source.field.format(self._entry[row])
            facts = {"file": source.file, "line": int(self._line[row]), "field": field, "value": value}
            self.problems.append(Problem(code, facts))
        if len(rows) > LISTED:
            file = self._sources[self._source[rows[LISTED]]].file
            self.problems.append(Problem("table.more", {"file": file, "kind": code, "count": len(rows) - LISTED}))


def _size_of(file: Path) -> tuple[int, int]:
    try:
        return image_size(file)
    except ImageError:
        return 0, 0


def _scaled(outline: Outline, size: NDArray[np.int64]) -> Outline:
    """From fractions of the image to pixels."""
    height, width = size.tolist()
    return Outline(tuple((p.astype(np.float64) * (width, height)).astype(np.float32) for p in outline.polygons))


def _ordered(xyxy: Boxes) -> Boxes:
    return np.concatenate([np.minimum(xyxy[:, :2], xyxy[:, 2:]), np.maximum(xyxy[:, :2], xyxy[:, 2:])], 1)


def _alike(first: Outline | None, second: Outline | None) -> bool:
    if first is None or second is None:
        return first is second
    pairs = zip(first.polygons, second.polygons, strict=False)
    return (
        len(first.polygons) == len(second.polygons)
        and all(np.array_equal(one, two) for one, two in pairs)
        and np.array_equal(_runs(first), _runs(second))
    )


def _runs(outline: Outline) -> NDArray[np.int64]:
    return np.zeros(0, np.int64) if outline.runs is None else outline.runs
