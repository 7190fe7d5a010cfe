"""DeepLabCut's CSV of labelled frames: rows `scorer`, (`individuals`,) `bodyparts`, `coords`, then a row an image.

A project (`labeled-data/VIDEO/CollectedData_NAME.csv` beside its images) or one such file. Empty fields are points
that are not labelled. What a skeleton needs beyond names is guessed, and said.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.errors import DataError, ImageError, LabelError
from manako.formats._keypoints import SEEN, UNKNOWN, Oddities, checked, poses
from manako.formats._text import csv_rows, read_text
from manako.formats._tree import Tree, find_problem, first_files, head_of, split_of_folder
from manako.images import image_size
from manako.paths import atomic_write, printable
from manako.skeletons import complete
from manako.types import Dataset, Poses, Prediction, Problem, Sample, Skeleton, Split

TASKS = ("pose",)
WRITES = ("pose",)
PREFERENCE = 50  # COCO key points know boxes and hidden points as well
_HEADS = ("scorer", "individuals", "bodyparts", "coords")
_CLIMBS = 2  # folders above a CSV file in which its images may lie


def recognise(path: Path) -> bool:
    return bool(_files(path))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """All tables of a project together; they must have the same points. Raises LabelError, DataError."""
    files = _files(path)
    if not files:
        raise LabelError("labels.none", folder=path)
    tree = _tree(path)
    problems: list[Problem] = []
    samples: dict[str, Sample] = {}
    points: tuple[str, ...] = ()
    for file in files:
        table = _Table.of(file, problems)
        if points and table.points != points:
            raise LabelError("pose.other_points", file=file, first=files[0])
        points = table.points
        for sample in _samples(table, tree, problems):
            samples[sample.id] = sample
    skeleton, guessed = complete(points, facts={"file": files[0]})
    ordered = tuple(samples[name] for name in sorted(samples))
    return Dataset(tree.root, "deeplabcut", task, points, ordered, (*problems, *guessed), skeleton)


def _files(path: Path) -> list[Path]:
    return sorted(file for file in first_files(path, (".csv",)) if head_of(file, 256).lstrip('"').startswith("scorer"))


def _tree(path: Path) -> Tree:
    """The folder itself, or the nearest one above a file that holds images."""
    tree = Tree(path if path.is_dir() else path.parent)
    for _ in range(0 if path.is_dir() else _CLIMBS):
        if tree.images:
            break
        tree = Tree(tree.root.parent)
    return tree


@dataclass(frozen=True, eq=False)
class _Table:
    """columns: of each (subject, point, axis), shape (S, K, 2). rows: (line, image's name, fields)."""

    file: Path
    points: tuple[str, ...]
    columns: NDArray[np.int64]
    rows: list[tuple[int, str, list[str]]]

    @classmethod
    def of(cls, file: Path, problems: list[Problem]) -> _Table:
        rows = list(csv_rows(file, read_text(file, problems)))
        heads = {fields[0].strip().lower(): fields for _, fields in rows[:4] if fields[0].strip().lower() in _HEADS}
        line = rows[0][0] if rows else 1
        if not {"bodyparts", "coords"} <= heads.keys():
            raise LabelError("pose.no_header", file=file, line=line)
        parts, coords = heads["bodyparts"], heads["coords"]
        first = next((i for i, name in enumerate(parts[1:], 1) if name.strip()), len(parts))
        people = heads.get("individuals", ["one"] * len(parts))
        places: dict[tuple[str, str], dict[str, int]] = {}
        for i in range(first, len(parts)):
            key = (people[i].strip() if i < len(people) else "", parts[i].strip())
            places.setdefault(key, {})[coords[i].strip().lower() if i < len(coords) else ""] = i
        broken = [name for (_, name), axes in places.items() if not {"x", "y"} <= axes.keys()]
        if broken or not places:
            raise LabelError("pose.no_axes", file=file, line=line, points=", ".join(broken[:5]) or "-")
        points = tuple(dict.fromkeys(name for _, name in places))
        columns = [
            [[places.get((who, name), {}).get(axis, -1) for axis in "xy"] for name in points]
            for who in dict.fromkeys(who for who, _ in places)
        ]
        body = [(at, posixpath.join(*(f.strip() for f in fields[:first])), fields) for at, fields in rows[len(heads) :]]
        return cls(file, points, np.array(columns, np.int64), body)


def _samples(table: _Table, tree: Tree, problems: list[Problem]) -> list[Sample]:
    oddities = Oddities(table.file)
    samples = []
    for line, name, fields in table.rows:
        try:
            image = _find(tree, table.file, name)
            size = image_size(tree.root / image)
        except ImageError as error:
            problems.append(Problem(error.code, error.facts, "error"))
            continue
        except DataError as error:
            problems.append(find_problem(error, table.file, line, "image", name))
            continue
        xy = _numbers(table, fields, line, oddities)
        found = [checked(one, np.where(np.isnan(one).any(1), UNKNOWN, SEEN), size, oddities, name) for one in xy]
        subjects = [(place, score) for place, score in found if (score > 0).any()]
        nothing: list[None] = [None] * len(subjects)
        target = poses(subjects, nothing, nothing, len(table.points), size)

        samples.append(Sample(printable(image), tree.root / image, target, split=split_of_folder(image)))
    problems += oddities.problems()
    return samples


def _numbers(table: _Table, fields: list[str], line: int, oddities: Oddities) -> NDArray[np.float64]:
    """(S, K, 2) of one row; NaN where a field is empty or no number."""

    def number(index: int) -> float:
        text = fields[index].strip() if 0 <= index < len(fields) else ""
        if text.lower() in ("", "nan"):
            return math.nan
        try:
            value = float(text)
        except ValueError:
            value = math.inf
        if math.isinf(value):
            oddities.note("pose.no_number", 1, f"{line}: {text[:40]}")
            return math.nan
        return value

    found: NDArray[np.float64] = np.vectorize(number, otypes=[np.float64])(table.columns)
    return found


def _find(tree: Tree, file: Path, name: str) -> str:
    """The image that ends like `name`; else the only one of its file name, or the one beside the table."""
    wanted = posixpath.normpath(name.replace("\\", "/"))
    same = tree.named(posixpath.basename(wanted))
    ends = [image for image in same if f"/{image}".endswith(f"/{wanted}")]
    beside = file.parent.relative_to(tree.root).as_posix() if file.parent != tree.root else ""
    near = [image for image in same if posixpath.dirname(image) == beside]
    for choice in (ends, near, same):
        if len(choice) == 1:
            return choice[0]
    raise DataError("paths.missing" if not same else "paths.bad_name", name=name[:80], root=tree.root)


class Writer:
    """One table for all images; several subjects get the row `individuals`. Which points are hidden is lost."""

    IMAGES = "images"
    HOLDS: frozenset[str] = frozenset({"unused_classes"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._path = Path(folder) / "CollectedData_manako.csv"
        self._classes = tuple(classes)
        self._rows: list[tuple[str, NDArray[np.float32]]] = []

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        assert isinstance(prediction, Poses)
        self._rows.append((image, prediction.xy))

    def finish(self) -> Path:
        import csv
        import io

        most = max([1, *(len(xy) for _, xy in self._rows)])
        columns = [(f"subject{n + 1}", name, axis) for n in range(most) for name in self._classes for axis in "xy"]
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["scorer", *["manako"] * len(columns)])
        if most > 1:
            table.writerow(["individuals", *(who for who, _, _ in columns)])
        table.writerow(["bodyparts", *(name for _, name, _ in columns)])
        table.writerow(["coords", *(axis for _, _, axis in columns)])
        for image, xy in self._rows:
            filled = np.full((most, len(self._classes), 2), np.nan)
            filled[: len(xy)] = xy
            table.writerow([image, *("" if v != v else round(v, 3) for v in filled.ravel().tolist())])
        atomic_write(self._path, text.getvalue())
        return self._path
