"""YOLO's text files with key points: class, box (centre x, centre y, width, height) and x, y(, flag) of each point, as
fractions of the image. `data.yaml` tells their number (`kpt_shape`), what changes places in mirror images (`flip_idx`)
and, where someone wrote it, their names (`kpt_names`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from manako.errors import DataError, ImageError, LabelError
from manako.formats._keypoints import HIDDEN, Oddities, points_of, poses
from manako.formats._text import read_text
from manako.formats._tree import Tree, find_problem, first_files, head_of, root_of, split_of_folder
from manako.images import image_size
from manako.paths import atomic_write, printable
from manako.skeletons import complete
from manako.types import SPLITS, Dataset, Poses, Prediction, Problem, Sample, Skeleton, Split

TASKS = ("pose",)
WRITES = ("pose",)
PREFERENCE = 60  # over `yolo`, which sees boxes in the same files
_LARGEST_CONFIG = 2**20
_MOST = 1000  # points
_COCO = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_COCO_FLIPS = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def recognise(path: Path) -> bool:
    return _config_file(path) is not None


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    file = _config_file(path)
    if file is None:
        raise LabelError("labels.none", folder=path)
    problems: list[Problem] = []
    config = _Config.of(file, problems)
    tree = Tree(root_of(path if path.is_dir() else file))
    samples = list(_samples(tree, config, problems))
    if not any(len(s.target) for s in samples if isinstance(s.target, Poses)):
        raise LabelError("labels.none", folder=tree.root)
    skeleton, guessed = complete(config.points, flips=config.flips, facts={"file": file})
    return Dataset(tree.root, "yolo_pose", task, config.points, tuple(samples), (*problems, *guessed), skeleton)


def _config_file(path: Path) -> Path | None:
    files = sorted(first_files(path, (".yaml", ".yml")), key=lambda file: (file.name != "data.yaml", file))
    return next((file for file in files if "kpt_shape" in head_of(file)), None)


@dataclass(frozen=True)
class _Config:
    """columns: 2 or 3 numbers a point."""

    points: tuple[str, ...]
    columns: int
    flips: list[tuple[int, int]] | None

    @classmethod
    def of(cls, file: Path, problems: list[Problem]) -> _Config:
        try:
            content = yaml.safe_load(read_text(file, problems, largest=_LARGEST_CONFIG))
        except (yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or type(error).__name__
            raise LabelError("labels.malformed", file=file, line=mark.line + 1 if mark else 1, reason=reason) from error
        shape = content.get("kpt_shape") if isinstance(content, dict) else None
        if not (isinstance(shape, list) and len(shape) == 2 and all(type(v) is int for v in shape)):
            raise LabelError("pose.kpt_shape", file=file, value=str(shape)[:40])
        count, columns = shape
        if not 1 <= count <= _MOST or columns not in (2, 3):
            raise LabelError("pose.kpt_shape", file=file, value=str(shape)[:40])
        return cls(_names(content, count, file), columns, _flips(content.get("flip_idx"), count, file, problems))


def _names(content: dict[str, Any], count: int, file: Path) -> tuple[str, ...]:
    """`kpt_names`, a list or a mapping from the class to one; COCO's where their mirror says so; else numbers."""
    names = content.get("kpt_names")
    if isinstance(names, dict) and len(names) == 1:
        names = next(iter(names.values()))
    if names is None:
        if count == len(_COCO) and content.get("flip_idx") == _COCO_FLIPS:
            return _COCO
        return tuple(f"point_{number}" for number in range(1, count + 1))
    if not isinstance(names, list) or len(names) != count or len({str(n) for n in names}) != count:
        raise LabelError("pose.kpt_names", file=file, count=count)
    return tuple(str(name) for name in names)


def _flips(value: Any, count: int, file: Path, problems: list[Problem]) -> list[tuple[int, int]] | None:
    """`flip_idx`: the place of each point in the mirror image; its pairs must be each other's."""
    if value is None:
        return None
    good = isinstance(value, list) and len(value) == count and all(type(v) is int and 0 <= v < count for v in value)
    if not good or any(value[value[i]] != i for i in range(count)):
        problems.append(Problem("pose.flip_idx", {"file": file, "count": count}))
        return None
    return [(i, value[i]) for i in range(count) if i < value[i]]


def _samples(tree: Tree, config: _Config, problems: list[Problem]) -> Iterator[Sample]:
    texts = {name for name in tree.labels if name.endswith(".txt")}
    folders = {posixpath.dirname(image) for image in tree.images if _text_for(image, texts)}
    for image in tree.images:
        text = _text_for(image, texts)
        if posixpath.dirname(image) not in folders:
            continue
        try:
            size = image_size(tree.root / image)
        except ImageError as error:
            problems.append(Problem(error.code, error.facts, "error"))
            continue
        target = (
            _read(tree.root / text, config, size, problems) if text else poses([], [], [], len(config.points), size)
        )
        yield Sample(printable(image), tree.root / image, target, split=split_of_folder(image))


def _text_for(image: str, texts: set[str]) -> str | None:
    """`labels/train/a.txt` of `images/train/a.jpg` and of `train/images/a.jpg`, or the file beside it."""
    stem = posixpath.splitext(image)[0]
    parts = stem.split("/")
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == "images"]
    names = ["/".join([*parts[:i], "labels", *parts[i + 1 :]]) + ".txt" for i in reversed(places)]
    return next((name for name in [*names, f"{stem}.txt"] if name in texts), None)


def _read(file: Path, config: _Config, size: tuple[int, int], problems: list[Problem]) -> Poses:
    oddities = Oddities(file)
    subjects, boxes = [], []
    count = len(config.points)
    try:
        lines = read_text(file, problems).splitlines()
    except DataError as error:
        problems.append(find_problem(error, file, 1, "file", file.name))
        lines = []
    for line, text in enumerate(lines, 1):
        if not (fields := text.split()):
            continue
        numbers = _row(fields, 5 + count * config.columns)
        if numbers is None:
            oddities.note("pose.bad_row", 1, f"{line}: {text[:60]}")
            continue
        scale = np.array([size[1], size[0]], np.float64)
        middle, sides = numbers[1:3] * scale, numbers[3:5] * scale
        own = numbers[5:].reshape(count, config.columns)
        flags = own[:, 2:] if config.columns == 3 else np.where((own != 0).any(1, keepdims=True), 2.0, 0.0)
        flat = np.concatenate([own[:, :2] * scale, flags], 1).ravel().tolist()
        found = points_of(flat, count, size, oddities, line)
        if found is not None and (sides > 0).all():
            subjects.append(found)
            boxes.append([*(middle - sides / 2).tolist(), *(middle + sides / 2).tolist()])
    problems += oddities.problems()
    return poses(subjects, boxes, [None] * len(boxes), count, size)


def _row(fields: list[str], count: int) -> NDArray[np.float64] | None:
    if len(fields) != count:
        return None
    try:
        numbers = np.array([float(field) for field in fields])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


class Writer:
    """`labels/a.txt` for `images/a.jpg`, and `data.yaml`."""

    IMAGES = "images"
    HOLDS = frozenset({"unused_classes"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = Path(folder)
        self._points = list(classes)
        self._flips = list(range(len(classes)))
        for one, other in skeleton.flips if skeleton else ():
            self._flips[one], self._flips[other] = other, one
        self._splits: set[Split | None] = set()

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        assert isinstance(prediction, Poses)
        self._splits.add(split)
        lines = [_line(prediction, row, width, height) for row in range(len(prediction))]
        atomic_write(self._folder / "labels" / PurePosixPath(image).with_suffix(".txt"), "".join(lines))

    def finish(self) -> Path:
        content: dict[str, object] = {"path": "."}
        for split in SPLITS:
            if split in self._splits:
                content[split] = f"images/{split}"
        if None in self._splits or not self._splits:
            content = {"path": ".", "train": "images", "val": "images"}
        content |= {"names": {0: "subject"}, "kpt_shape": [len(self._points), 3], "flip_idx": self._flips}
        text = yaml.safe_dump(content | {"kpt_names": {0: self._points}}, allow_unicode=True, sort_keys=False)
        atomic_write(self._folder / "data.yaml", text)
        return self._folder / "data.yaml"


def _line(poses: Poses, row: int, width: int, height: int) -> str:
    left, top, right, bottom = (poses.xyxy[row].astype(np.float64) / [width, height, width, height]).tolist()
    box = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    score = poses.score[row]
    known = (score > 0) & ~np.isnan(poses.xy[row]).any(-1)
    flags = np.where(known, np.where(score == HIDDEN, 1, 2), 0)
    xy = np.where(known[:, None], poses.xy[row].astype(np.float64) / [width, height], 0)
    points = " ".join(f"{x:.9g} {y:.9g} {flag}" for (x, y), flag in zip(xy.tolist(), flags.tolist(), strict=True))
    return "0 " + " ".join(f"{value:.9g}" for value in box) + f" {points}\n"
