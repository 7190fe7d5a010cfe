"""COCO key points: JSON files with images, annotations and a category that names the points of a subject.

Layouts: `annotations/person_keypoints_train2017.json` beside folders of images, or one file beside its images. A
category may also hold "sigmas" and "flips" (pairs of points counted from 1, as in "skeleton"); what it doesn't hold is
guessed from the names of the points, and said.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from manako.errors import DataError, LabelError
from manako.formats._json import JsonMembers
from manako.formats._keypoints import HIDDEN, Oddities, box_of, points_of, poses
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of, split_of_folder
from manako.paths import atomic_write, printable
from manako.skeletons import complete
from manako.types import Dataset, Poses, Prediction, Problem, Sample, Skeleton, Split

TASKS = ("pose",)
WRITES = ("pose",)
PREFERENCE = 70  # over `coco`, which sees boxes in the same files
_LISTS = ("images", "annotations", "categories")


def recognise(path: Path) -> bool:
    return bool(_files(path))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """All files of a folder together; they must name the same points. Raises LabelError, DataError."""
    root = root_of(path)
    tree = Tree(root)
    files = [_parse(file) for file in _files(path)]
    if not files:
        raise LabelError("labels.none", folder=root)
    first = files[0]
    problems = [p for file in files for p in file.problems]
    for other in files[1:]:
        if other.points != first.points:
            raise LabelError("pose.other_points", file=other.path, first=first.path)
    samples = [sample for file in files for sample in _samples(file, tree, problems)]
    skeleton, guessed = first.skeleton()
    unique = {sample.id: sample for sample in samples}
    ordered = tuple(unique[name] for name in sorted(unique))
    return Dataset(root, "coco_keypoints", task, first.points, ordered, (*problems, *guessed), skeleton)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in first_files(path, (".json",)) if _is_keypoints(file))


def _is_keypoints(file: Path) -> bool:
    text = head_of(file)
    return '"keypoints"' in text and '"annotations"' in text


@dataclass
class _File:
    """One label file, read."""

    path: Path
    points: tuple[str, ...] = ()
    images: dict[object, tuple[int, dict[str, Any]]] = field(default_factory=dict)  # id -> (line, entry)
    subjects: dict[object, list[dict[str, Any]]] = field(default_factory=dict)
    category: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def skeleton(self) -> tuple[Skeleton, list[Problem]]:
        pairs = {name: _pairs(self.category.get(key)) for name, key in (("limbs", "skeleton"), ("flips", "flips"))}
        sigmas = self.category.get("sigmas")
        numbers = isinstance(sigmas, list) and all(type(s) in (int, float) for s in sigmas)
        return complete(self.points, **pairs, sigmas=sigmas if numbers else None, facts={"file": self.path})


def _pairs(value: object) -> list[tuple[int, int]] | None:
    """Counted from 1 in the file, from 0 here; what is no pair of numbers becomes one that names no point."""
    if not isinstance(value, list):
        return None
    return [(p[0] - 1, p[1] - 1) if _is_pair(p) else (-2, -2) for p in value]


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)


def _parse(file: Path) -> _File:
    found = _File(file)
    members = JsonMembers(file, read_text(file, found.problems), _LISTS)
    categories: list[dict[str, Any]] = []
    skipped = 0
    annotations: list[dict[str, Any]] = []
    for key, index, entry in members:
        if key not in _LISTS or index < 0:
            continue
        if not isinstance(entry, dict):
            skipped += 1
        elif key == "images":
            found.images[_key(entry.get("id"))] = (members.line, entry)
        elif key == "annotations":
            annotations.append(entry)
        elif "keypoints" in entry:
            categories.append(entry)
    if skipped:
        found.problems.append(Problem("pose.no_entries", {"file": file, "count": skipped}))
    _take_category(found, categories)
    own = _key(found.category.get("id"))
    lost = 0
    for entry in annotations:
        if _key(entry.get("category_id", own)) == own:
            image = _key(entry.get("image_id"))
            found.subjects.setdefault(image, []).append(entry)
            lost += image not in found.images
    if lost:
        found.problems.append(Problem("pose.no_image", {"file": file, "count": lost}))
    return found


def _key(value: object) -> object:
    """An id; what can't be one is none."""
    return value if isinstance(value, (int, str)) else None


def _take_category(found: _File, categories: Sequence[dict[str, Any]]) -> None:
    """The one kind of subject that the file is about. Raises LabelError."""
    if len(categories) != 1:
        names = ", ".join(str(c.get("name")) for c in categories[:5]) or "-"
        raise LabelError("pose.one_category", file=found.path, count=len(categories), names=names)
    points = categories[0]["keypoints"]
    named = isinstance(points, list) and bool(points) and all(isinstance(p, str) and p for p in points)
    if not named or len(set(points)) != len(points):
        raise LabelError("pose.point_names", file=found.path)
    found.category, found.points = categories[0], tuple(points)


def _samples(file: _File, tree: Tree, problems: list[Problem]) -> list[Sample]:
    names = [str(entry.get("file_name", "")) for _, entry in file.images.values()]
    finder = Finder(tree, file.path, names)
    split = split_of(file.path.name)
    oddities = Oddities(file.path)
    samples = []
    for key, (line, entry) in file.images.items():
        name = str(entry.get("file_name", ""))
        try:
            image = finder.find(name)
        except DataError as error:
            problems.append(find_problem(error, file.path, line, "file_name", name))
            continue
        target = _poses(file.subjects.get(key, []), len(file.points), _size(entry), oddities, name)
        samples.append(Sample(printable(image), tree.root / image, target, split=split or split_of_folder(image)))
    problems += oddities.problems()
    return samples


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    size = entry.get("height"), entry.get("width")
    return (size[0], size[1]) if all(type(s) is int and s > 0 for s in size) else None  # type: ignore[return-value]


def _poses(
    entries: Sequence[dict[str, Any]], count: int, size: tuple[int, int] | None, oddities: Oddities, name: str
) -> Poses:
    subjects, boxes, areas, crowds = [], [], [], []
    for entry in entries:
        flat = entry.get("keypoints")
        crowd = bool(entry.get("iscrowd")) or flat is None
        found = points_of([0] * (3 * count) if crowd else flat, count, size, oddities, name)
        box = box_of(entry.get("bbox"))
        if found is None or (not (found[1] > 0).any() and box is None):
            continue  # neither points nor a region to leave out
        area: Any = entry.get("area")
        subjects.append(found)
        crowds.append(bool(entry.get("iscrowd")))
        boxes.append(box)
        areas.append(float(area) if type(area) in (int, float) and np.isfinite(area) and area > 0 else None)
    return poses(subjects, boxes, areas, count, size, crowds)


class Writer:
    """Key points of images as files that other programs read, one a split, with the skeleton and subjects' scores."""

    IMAGES = "images"
    HOLDS = frozenset({"unused_classes"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = Path(folder) / "annotations"
        self._parts: dict[str, tuple[list[dict[str, object]], list[dict[str, object]]]] = {}
        self._category: dict[str, object] = {"id": 1, "name": "subject", "keypoints": list(classes)}
        if skeleton:
            for name, pairs in (("skeleton", skeleton.limbs), ("flips", skeleton.flips)):
                self._category[name] = [[a + 1, b + 1] for a, b in pairs]
            self._category["sigmas"] = list(skeleton.sigmas)

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        assert isinstance(prediction, Poses)
        images, entries = self._parts.setdefault(f"keypoints_{split}" if split else "keypoints", ([], []))
        images.append({"id": len(images) + 1, "file_name": image, "width": width, "height": height})
        for row in range(len(prediction)):
            about = {"id": len(entries) + 1, "image_id": len(images), "category_id": 1}
            entries.append(about | _entry(prediction, row))

    def finish(self) -> Path:
        for name, (images, entries) in (self._parts or {"keypoints": ([], [])}).items():
            content = {"images": images, "annotations": entries, "categories": [self._category]}
            atomic_write(self._folder / f"{name}.json", json.dumps(content, ensure_ascii=False) + "\n")
        return self._folder if len(self._parts) > 1 else self._folder / f"{next(iter(self._parts), 'keypoints')}.json"


def _entry(poses: Poses, row: int) -> dict[str, object]:
    """One subject, or the region of a crowd."""
    xy, score = poses.xy[row], poses.score[row]
    known = (score > 0) & ~np.isnan(xy).any(-1)
    flags = np.where(known, np.where(score == HIDDEN, 1, 2), 0).tolist()
    placed = np.where(known[:, None], xy.astype(np.float64).round(4), 0).tolist()
    left, top, right, bottom = poses.xyxy[row].astype(np.float64).round(4).tolist()
    return {
        "iscrowd": int(poses.crowd is not None and poses.crowd[row]),
        "keypoints": [v for (x, y), flag in zip(placed, flags, strict=True) for v in (x, y, flag)],
        "num_keypoints": int(known.sum()),
        "bbox": [left, top, round(right - left, 4), round(bottom - top, 4)],
        "area": round(float(poses.area[row]), 4),
        "score": round(float(np.where(known, score, 0).mean()), 6),
    }
