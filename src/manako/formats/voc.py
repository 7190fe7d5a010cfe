"""Pascal VOC's XML: `Annotations/a.xml` for `JPEGImages/a.jpg` (or beside it), parts in `ImageSets/Main/train.txt`.

Pixels are counted from 1 and both edges belong to the box, as the challenge defined it: a box from 1 to 10 is 0 to 10
here. Where any box begins at 0, the whole data set is taken to be counted from 0, without change.
Source: The PASCAL Visual Object Classes Challenge development kit.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from manako.errors import DataError, LabelError
from manako.formats._objects import TASKS as _ALL_TASKS
from manako.formats._objects import Objects
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, label_stem, root_of, split_of_folder
from manako.formats._xml import Node, read_xml
from manako.paths import atomic_write
from manako.types import Dataset, Detections, Prediction, Problem, Skeleton, Split

TASKS = _ALL_TASKS[:1]
WRITES = _ALL_TASKS[:2]
PREFERENCE = 30
_SETS: tuple[Split, ...] = ("train", "val", "test")
_EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class _Row:
    image: int
    name: str
    corners: list[float]
    where: tuple[int, int, int]


@dataclass
class _Found:
    """What the files say: rows, and which images' files could not be read."""

    rows: list[_Row] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    difficult: int = 0


def recognise(path: Path) -> bool:
    return any("<annotation>" in head_of(file, 2048) for file in first_files(path, (".xml",)))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    tree = Tree(root)
    objects = Objects(root, "voc", task)
    objects.problems += tree.problems()
    files = [name for name in tree.labels if name.lower().endswith(".xml") and (path.is_dir() or root / name == path)]
    documents = [(name, node) for name in files if (node := _document(root / name, objects)) is not None]
    if not documents:
        worst = next((problem for problem in objects.problems if problem.severity == "error"), None)
        raise LabelError(worst.code, **worst.facts) if worst else LabelError("labels.none", folder=path)
    splits = _splits(tree, objects.problems)
    finder = Finder(tree, root / files[0], (node.value("filename") for _, node in documents)) if files else None
    found = _Found(broken={posixpath.splitext(name)[0].rpartition("/")[2] for name in files} - _stems(documents))
    for name, node in documents:
        assert finder is not None
        _read_document(root / name, name, node, tree, finder, objects, found, splits)
    if path.is_dir():
        _backgrounds(tree, objects, found.broken, splits)
    classes = tuple(sorted({row.name for row in found.rows}))
    ids = {name: number for number, name in enumerate(classes)}
    shift = _counted_from(found.rows, objects)
    for row in found.rows:
        left, top, right, bottom = row.corners
        objects.add(row.image, ids[row.name], (left - shift, top - shift, right, bottom), row.where)
    if found.difficult:
        objects.problems.append(Problem("voc.difficult", {"count": found.difficult}, "note"))
    return objects.dataset(classes, group_by=group_by, repair=repair)


def _document(file: Path, objects: Objects) -> Node | None:
    try:
        node = read_xml(file, objects.problems)
    except DataError as error:
        objects.problems.append(Problem(error.code, error.facts, "error"))
        return None
    return node if node.tag == "annotation" else None


def _stems(documents: list[tuple[str, Node]]) -> set[str]:
    return {posixpath.splitext(name)[0].rpartition("/")[2] for name, _ in documents}


def _read_document(
    file: Path,
    name: str,
    node: Node,
    tree: Tree,
    finder: Finder,
    objects: Objects,
    found: _Found,
    splits: dict[str, Split],
) -> None:
    source = objects.source(file, "object[{}].bndbox")
    try:
        image = _image_of(name, node, tree, finder)
    except DataError as error:
        line = next(node.all("filename"), node).line
        objects.problems.append(find_problem(error, file, line, "filename", node.value("filename")))
        return
    if objects.has(image):
        objects.wrong("labels.repeated_image", (source, node.line, 0), image, "filename")
    height, width = (_size(node.value("size", side)) for side in ("height", "width"))
    number = objects.image(image, height, width, splits.get(_key(name)) or split_of_folder(image))
    for index, item in enumerate(node.all("object")):
        where = (source, item.line, index)
        label = item.value("name")
        if not label:
            objects.wrong("labels.unknown_class", where, label, "object[{}].name")
            continue
        found.difficult += item.value("difficult") == "1"
        texts = [item.value("bndbox", edge) for edge in _EDGES]
        try:
            found.rows.append(_Row(number, label, [float(text) for text in texts], where))
        except ValueError:
            code = "labels.not_a_number" if item.first("bndbox") else "labels.no_box"
            objects.wrong(code, where, ", ".join(texts))


def _image_of(name: str, node: Node, tree: Tree, finder: Finder) -> str:
    """The image that the file names; if it isn't there, the one that is named like the file."""
    stated = node.value("filename")
    try:
        return finder.find(stated)
    except DataError as error:
        if error.code == "paths.escapes":
            raise
        stem = posixpath.splitext(name)[0]
        places = (stem, stem.replace("Annotations", "JPEGImages"), stem.replace("annotations", "images"))
        for image in tree.named_without_suffix(posixpath.basename(stem)):
            if posixpath.splitext(image)[0] in places:
                return image
        raise


def _size(text: str) -> int:
    try:
        value = float(text)
    except ValueError:
        return 0
    return int(value) if math.isfinite(value) and 0 < value < 2**20 else 0


def _key(name: str) -> str:
    """How a part's list names a label file: below the folder of the labels, without suffix."""
    return posixpath.splitext(name)[0].replace("/Annotations/", "/").removeprefix("Annotations/")


def _splits(tree: Tree, problems: list[Problem]) -> dict[str, Split]:
    """From `ImageSets/Main`; a line is a name, in the lists of one class with a number after it."""
    splits: dict[str, Split] = {}
    for name in tree.labels:
        base, _, rest = name.rpartition("ImageSets/Main/")
        stem = rest.removesuffix(".txt")
        if (not base and not name.startswith("ImageSets/Main/")) or stem not in _SETS:
            continue
        for line in read_text(tree.root / name, problems).splitlines():
            if fields := line.split():
                splits.setdefault(base + fields[0], stem)
    return splits


def _backgrounds(tree: Tree, objects: Objects, broken: set[str], splits: dict[str, Split]) -> None:
    """Images beside the labelled ones without a label file hold no objects. Where there are lists of the parts, only
    those that they name count."""
    folders = {posixpath.dirname(image) for image in tree.images if objects.has(image)}
    listed = {key.rpartition("/")[2] for key in splits}
    for image in tree.images:
        stem = posixpath.splitext(posixpath.basename(image))[0]
        beside = posixpath.dirname(image) in folders and not objects.has(image) and stem not in broken
        if beside and (not listed or stem in listed):
            key = posixpath.splitext(image)[0].replace("JPEGImages/", "")
            objects.image(image, split=splits.get(key) or split_of_folder(image))


def _counted_from(rows: list[_Row], objects: Objects) -> int:
    zero = sum(any(0 <= edge < 1 for edge in row.corners[:2]) for row in rows)
    if zero:
        objects.problems.append(Problem("voc.from_zero", {"count": zero}, "note"))
    return 0 if zero else 1


class Writer:
    """`Annotations/a.xml` for `JPEGImages/a.jpg`, and `ImageSets/Main/train.txt` and so on."""

    IMAGES = "JPEGImages"
    HOLDS: frozenset[str] = frozenset()

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = Path(folder)
        self._classes = tuple(classes)
        self._parts: dict[Split, list[str]] = {}
        self._stems: set[str] = set()

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        assert isinstance(prediction, Detections)
        name = label_stem(image, self._stems)
        if split:
            self._parts.setdefault(split, []).append(name)
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        lines = [
            "<annotation>",
            "  <folder>JPEGImages</folder>",
            f"  <filename>{_escaped(image)}</filename>",
            f"  {size}",
        ]
        for label, box in zip(prediction.class_id.tolist(), prediction.xyxy.astype(np.float64).tolist(), strict=True):
            corners = (box[0] + 1, box[1] + 1, box[2], box[3])
            edges = "".join(f"<{e}>{_number(value)}</{e}>" for e, value in zip(_EDGES, corners, strict=True))
            lines += ["  <object>", f"    <name>{_escaped(self._classes[label])}</name>"]
            lines += ["    <difficult>0</difficult>", f"    <bndbox>{edges}</bndbox>", "  </object>"]
        atomic_write(self._folder / "Annotations" / f"{name}.xml", "\n".join([*lines, "</annotation>", ""]))

    def finish(self) -> Path:
        for split, names in self._parts.items():
            atomic_write(self._folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{name}\n" for name in names))
        return self._folder / "Annotations"


def _escaped(text: str) -> str:
    """XML has no way to write control characters."""
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "?", text))


def _number(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
