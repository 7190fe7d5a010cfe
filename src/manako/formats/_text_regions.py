"""Regions of text as label files state them, judged the same way for every format: what can't be meant is left out,
what sticks out of the image is cut off, and each such region is named with file, line and field."""

from __future__ import annotations

import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.decode import image_size
from manako.errors import ConfigError, DataError, ImageError, LabelError
from manako.formats._listed import listed
from manako.formats._shapes import polygon
from manako.formats._tree import Tree, find_problem, split_of
from manako.paths import printable
from manako.polygons import area, hull
from manako.regions import crosses_itself
from manako.types import Dataset, Problem, Sample, TextRegions

TASKS = ("text_finding",)
CLASSES = ("text",)
UNREADABLE = ("###", "*")  # text that is neither to be found nor missed
_ROUNDING = 1.0  # pixels


@dataclass(frozen=True)
class Place:
    """Where a region is stated."""

    file: Path
    line: int
    field: str

    def problem(self, code: str, value: object, severity: str = "warning") -> Problem:
        facts = {"file": self.file, "line": self.line, "field": self.field, "value": str(value)[:200]}
        return Problem(code, facts, "error" if severity == "error" else "warning")


@dataclass(eq=False)
class Page:
    """One image. size: height, width; (0, 0) where it can't be opened."""

    name: str
    size: tuple[int, int]
    polygons: list[NDArray[np.float32]] = field(default_factory=list)
    texts: list[str | None] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)


class Pages:
    """Pages, and what is wrong with their labels."""

    def __init__(self, root: Path, format: str) -> None:
        self.root = root
        self.format = format
        self.tree = Tree(root)
        self.problems: list[Problem] = self.tree.problems()
        self._pages: dict[str, Page] = {}
        self._composed = 0

    def page(self, image: str) -> Page:
        """The page of an image, new or known. image: its name below the root."""
        if image not in self._pages:
            try:
                size = image_size(self.root / image)
            except ImageError:  # named where images are opened
                size = (0, 0)
            self._pages[image] = Page(image, size)
        return self._pages[image]

    def beside(self, label: str, stem: str) -> Page:
        """The page whose image has this name without suffix: in the label file's folder, or the nearest to it. Raises
        DataError where there is none."""
        found = self.tree.named_without_suffix(stem)
        if not found:
            raise DataError("paths.missing", name=f"{stem}.*", root=self.root)
        own, part = posixpath.dirname(label), split_of(posixpath.dirname(label))

        def rank(image: str) -> tuple[bool, bool, int, str]:
            folder = posixpath.dirname(image)
            shared = len(posixpath.commonprefix([folder.split("/"), own.split("/")]))
            return folder != own, split_of(folder) != part, -shared, image

        return self.page(min(found, key=rank))

    def missing(self, error: DataError, place: Place, value: str) -> None:
        self.problems.append(find_problem(error, place.file, place.line, place.field, value))

    def add(
        self, page: Page, numbers: Sequence[object], text: str | None, place: Place, *, ignored: bool = False
    ) -> None:
        """numbers: x, y, x, y... in pixels. text: None or empty where it isn't known, "###" where it can't be read."""
        try:
            points = polygon(numbers)
        except ValueError as error:
            self.problems.append(place.problem("labels.outline", f"{error}: {list(numbers)[:8]}"))
            return
        stated = ", ".join(f"{value:.6g}" for value in points[:4].reshape(-1).tolist())
        if crosses_itself(points):
            self.problems.append(place.problem("text_labels.crossing", stated))
            points, ignored = hull(points).astype(np.float32), True
        if area(points) <= 0:
            self.problems.append(place.problem("labels.no_area", stated))
            return
        inside = self._inside(page, points, stated, place)
        if inside is None:
            return
        composed = unicodedata.normalize("NFC", (text or "").strip())
        self._composed += composed != (text or "").strip()
        page.polygons.append(inside)
        page.ignored.append(ignored or composed in UNREADABLE)
        page.texts.append(None if not composed or page.ignored[-1] else composed)

    def _inside(self, page: Page, points: NDArray[np.float32], stated: str, place: Place) -> NDArray[np.float32] | None:
        if 0 in page.size:
            return points
        edge = np.array([page.size[1], page.size[0]], np.float32)
        cut = np.clip(points, 0, edge)
        if area(cut) <= 0:
            self.problems.append(place.problem("labels.outside", stated))
            return None
        if np.abs(cut - points).max() > _ROUNDING:
            self.problems.append(place.problem("labels.cut", stated))
        return cut

    def dataset(self, *, group_by: str | None = None) -> Dataset:
        """Raises LabelError where no label could be used."""
        if group_by not in (None, "folder"):
            raise ConfigError("folders.group_by", group_by=group_by)
        worst = next((problem for problem in self.problems if problem.severity == "error"), None)
        if not self._pages:
            raise LabelError(worst.code, **worst.facts) if worst else LabelError("labels.none", folder=self.root)
        self.problems += self._told()
        samples = [
            Sample(
                printable(page.name),
                self.root / page.name,
                TextRegions.truth(page.polygons, page.texts, np.array(page.ignored, np.bool_)),
                group=posixpath.dirname(page.name) or None if group_by == "folder" else None,
                split=split_of(posixpath.dirname(page.name)),
            )
            for page in self._pages.values()
        ]
        ordered = tuple(sorted(samples, key=lambda sample: sample.id))
        return Dataset(self.root, self.format, TASKS[0], CLASSES, ordered, listed(self.problems))

    def _told(self) -> Iterator[Problem]:
        """What is so of all pages together."""
        pages = list(self._pages.values())
        count: Counter[str] = Counter()
        for page in pages:
            count["blank"] += not page.polygons
            count["ignored"] += sum(page.ignored)
            count["silent"] += sum(t is None and not i for t, i in zip(page.texts, page.ignored, strict=True))
        unlabelled = len(self.tree.images) - len(pages)
        facts = {"pages": len(pages), "regions": sum(len(page.polygons) for page in pages)}
        for code in ("blank", "ignored", "silent"):
            if count[code]:
                yield Problem(f"text_labels.{code}", {"count": count[code], **facts}, "note")
        if self._composed:
            yield Problem("text_labels.composed", {"count": self._composed}, "note")
        if unlabelled > 0:
            yield Problem("text_labels.unlabelled", {"count": unlabelled})


def corners(left: object, top: object, right: object, bottom: object) -> list[object]:
    """A rectangle's four corners, clockwise from the top left."""
    return [left, top, right, top, right, bottom, left, bottom]
