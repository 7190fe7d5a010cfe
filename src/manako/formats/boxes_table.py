"""A table of boxes: CSV or TSV, one row an object, with the columns path, label and xmin, ymin, xmax, ymax in pixels.

Column names are recognised by many names and in any case; x, y, width and height are taken too. A row with a path and
no box says that the image has no objects. Without a header row: path, xmin, ymin, xmax, ymax, label.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from manako.errors import DataError, LabelError
from manako.formats._objects import TASKS as _ALL_TASKS
from manako.formats._objects import Objects
from manako.formats._text import column_name, csv_rows, field_of, find_columns, read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of, split_of_folder
from manako.formats.folders import SPLIT_NAMES
from manako.formats.table import SYNONYMS
from manako.paths import IMAGE_SUFFIXES, atomic_write
from manako.types import Dataset, Detections, Prediction, Skeleton, Split

TASKS = _ALL_TASKS[:1]
WRITES = _ALL_TASKS[:2]
PREFERENCE = 10
_EDGES = ("xmin", "ymin", "xmax", "ymax")
_SIDES = ("x", "y", "width", "height")
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "path": (*SYNONYMS["path"], "image_id", "imageid", "image_name"),
    "label": (*SYNONYMS["label"], "labelname", "label_name", "name"),
    "split": SYNONYMS["split"],
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_x1", "xtl", "左"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_y1", "ytl", "上"),
    "xmax": ("xmax", "x_max", "x2", "right", "bbox_x2", "xbr", "右"),
    "ymax": ("ymax", "y_max", "y2", "bottom", "bbox_y2", "ybr", "下"),
    "x": ("x", "bbox_x"),
    "y": ("y", "bbox_y"),
    "width": ("width", "w", "bbox_width", "bbox_w"),
    "height": ("height", "h", "bbox_height", "bbox_h"),
}
_PLAIN = dict(zip(("path", *_EDGES, "label"), range(6), strict=True))


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    group: str
    box: tuple[str, ...]


def recognise(path: Path) -> bool:
    return bool(_files(path))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """group_by: a column, or "folder". Raises LabelError, DataError."""
    root = root_of(path)
    files = _files(path)
    if not files:
        raise LabelError("labels.none", folder=path)
    tree = Tree(root)
    objects = Objects(root, "boxes_table", task)
    objects.problems += tree.problems()
    column = None if group_by in (None, "folder") else group_by
    read_rows = [(file, *_rows(file, objects, column)) for file in files]
    labels = {row.label for _, rows, _ in read_rows for row in rows if row.label and any(row.box)}
    classes = {name: number for number, name in enumerate(sorted(labels))}
    for file, rows, sides in read_rows:
        _add(file, rows, sides, tree, objects, classes)
    return objects.dataset(tuple(classes), group_by=None if column else group_by, repair=repair)


def _files(path: Path) -> list[Path]:
    return [file for file in first_files(path, (".csv", ".tsv")) if _has_boxes(head_of(file, 8192))]


def _has_boxes(head: str) -> bool:
    line = next((line for line in head.splitlines() if line.strip()), "")
    fields = [field.strip(" \"'") for field in line.split(max(",;\t", key=line.count))]
    names = {column_name(field) for field in fields}
    if len(fields) in (6, 7) and _is_image(fields[0]):
        return all(_is_number(field) for field in fields[1:5])
    edges = (all(names & set(_COLUMNS[column]) for column in columns) for columns in (_EDGES, _SIDES))
    return any(edges) and bool(names & set(_COLUMNS["path"])) and bool(names & set(_COLUMNS["label"]))


def _is_image(name: str) -> bool:
    return os.path.splitext(name.strip())[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(file: Path, objects: Objects, group_by: str | None) -> tuple[list[_Row], bool]:
    """All rows, and whether boxes are given by corner and sides instead of edges."""
    rows: list[_Row] = []
    columns: dict[str, int] | None = None
    names: tuple[str, ...] = _EDGES
    for line, fields in csv_rows(file, read_text(file, objects.problems)):
        if columns is None:
            columns, names = _header(file, line, fields, group_by)
            if columns is not _PLAIN:
                continue
        texts = [field_of(fields, columns.get(name)) for name in ("path", "label", "split", "group")]
        box = tuple(field_of(fields, columns[name]) for name in names)
        rows.append(_Row(line, texts[0], texts[1], texts[2], texts[3], box))
    return rows, names == _SIDES


def _header(file: Path, line: int, header: list[str], group_by: str | None) -> tuple[dict[str, int], tuple[str, ...]]:
    if _is_image(header[0]):
        return _PLAIN, _EDGES
    wanted = dict(_COLUMNS) | ({"group": (column_name(group_by),)} if group_by else {})
    columns = find_columns(file, line, header, wanted)
    names = _EDGES if all(name in columns for name in _EDGES) else _SIDES
    for column in ("path", "label", *names, *(("group",) if group_by else ())):
        if column not in columns:
            missing = group_by if column == "group" else column
            raise LabelError("table.missing_column", file=file, line=line, field=missing, found=", ".join(header)[:200])
    return columns, names


def _add(file: Path, rows: list[_Row], sides: bool, tree: Tree, objects: Objects, classes: Mapping[str, int]) -> None:
    source = objects.source(file, "box")
    finder = Finder(tree, file, dict.fromkeys(_with_suffix(tree, row.path) for row in rows if row.path))
    part = split_of(file.relative_to(tree.root).as_posix())
    images: dict[str, int | None] = {}
    for row in rows:
        where = (source, row.line, row.line)
        if row.path not in images:
            images[row.path] = _image(file, row, tree, finder, objects, part)
        image = images[row.path]
        if image is None or not any(row.box):
            continue
        if not row.label:
            objects.wrong("labels.unknown_class", where, row.label, "label")
            continue
        try:
            left, top, right, bottom = map(float, row.box)
        except ValueError:
            objects.wrong("labels.not_a_number", where, ", ".join(row.box))
            continue
        corners = (left, top, left + right, top + bottom) if sides else (left, top, right, bottom)
        objects.add(image, classes[row.label], corners, where)


def _with_suffix(tree: Tree, name: str) -> str:
    """Some tables name images without their suffix."""
    if _is_image(name) or not name:
        return name
    alike = tree.named_without_suffix(name.rpartition("/")[2])
    return name + os.path.splitext(alike[0])[1] if alike else name  # noqa: PTH122


def _image(file: Path, row: _Row, tree: Tree, finder: Finder, objects: Objects, part: Split | None) -> int | None:
    if row.split and row.split.lower() not in SPLIT_NAMES:
        where = (objects.source(file, "split"), row.line, row.line)
        objects.wrong("table.unknown_split", where, row.split)
    try:
        found = finder.find(_with_suffix(tree, row.path))
    except DataError as error:
        objects.problems.append(find_problem(error, file, row.line, "path", row.path))
        return None
    split = SPLIT_NAMES.get(row.split.lower()) or part or split_of_folder(found)
    return objects.image(found, split=split, group=row.group or None)


class Writer:
    """`boxes.csv` for images in `images/`, in UTF-8 with the mark that tells spreadsheets so."""

    IMAGES = "images"
    HOLDS = frozenset({"scores"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._file = Path(folder) / "boxes.csv"
        self._classes = tuple(classes)
        self._text = io.StringIO(newline="")
        self._rows = csv.writer(self._text, lineterminator="\n")
        self._rows.writerow(("path", *_EDGES, "label", "split", "score"))

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        assert isinstance(prediction, Detections)
        path = f"{self.IMAGES}/{image}"
        for row in range(len(prediction)):
            box = [f"{edge:.4f}".rstrip("0").rstrip(".") for edge in prediction.xyxy[row].astype(float).tolist()]
            label = self._classes[int(prediction.class_id[row])]
            score = prediction.score[row]
            self._rows.writerow((path, *box, label, split or "", f"{score:.6g}" if score < 1 else ""))
        if not len(prediction):
            self._rows.writerow((path, *[""] * 5, split or "", ""))

    def finish(self) -> Path:
        atomic_write(self._file, self._text.getvalue().encode("utf-8-sig"))
        return self._file
