"""LabelMe's JSON: one file an image, `a.json` beside `a.jpg` (or in a folder of its own), with shapes.

Polygons, rectangles, circles and masks are objects; shapes of one `group_id` and label are one object in parts. Points
and lines have no area and are counted. Source: the files that labelme writes.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import posixpath
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from manako.decode import open_image
from manako.errors import DataError, ImageError, LabelError
from manako.formats._objects import TASKS as TASKS
from manako.formats._objects import Objects
from manako.formats._shapes import MOST_PIXELS, ellipse, polygon
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of_folder
from manako.regions import box_of, outline_of, rectangle
from manako.types import Dataset, Outline, Problem

PREFERENCE = 15
_KEYS = ('"imagePath"', '"imageData"', '"imageHeight"')
_LARGEST = 256 * 2**20  # most of it is the picture, which some files repeat


def recognise(path: Path) -> bool:
    return any(_is_labelme(file) for file in first_files(path, (".json",)))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    tree = Tree(root)
    objects = Objects(root, "labelme", task)
    objects.problems += tree.problems()
    files = [name for name in tree.labels if name.lower().endswith(".json") and (path.is_dir() or root / name == path)]
    documents = [(name, content) for name in files if (content := _document(root / name, objects)) is not None]
    if not documents:
        worst = next((problem for problem in objects.problems if problem.severity == "error"), None)
        raise LabelError(worst.code, **worst.facts) if worst else LabelError("labels.none", folder=path)
    names = sorted({str(s["label"]).strip() for _, d in documents for s in _shapes(d) if s.get("label")})
    classes = {name: number for number, name in enumerate(names)}
    finder = Finder(tree, root / documents[0][0], (str(d.get("imagePath")) for _, d in documents))
    ignored: Counter[str] = Counter()
    for name, content in documents:
        _Document(root / name, name, content, objects, classes, ignored).read(tree, finder)
    if ignored:
        kinds = ", ".join(f"{kind} {count}" for kind, count in ignored.most_common())
        objects.problems.append(Problem("labels.no_region", {"count": ignored.total(), "kinds": kinds}, "note"))
    if path.is_dir():
        _backgrounds(tree, objects, {posixpath.splitext(name)[0] for name in files})
    return objects.dataset(names, group_by=group_by, repair=repair)


def _is_labelme(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip().startswith("{") and '"shapes"' in head and any(key in head for key in _KEYS)


def _document(file: Path, objects: Objects) -> Mapping[str, Any] | None:
    """None for a JSON file of something else."""
    if not _is_labelme(file) and _looks_whole(file):
        return None
    try:
        content = json.loads(read_text(file, objects.problems, largest=_LARGEST))
    except json.JSONDecodeError as error:
        facts: dict[str, object] = {"file": file, "line": error.lineno, "reason": f"{error.msg} (column {error.colno})"}
        objects.problems.append(Problem("labels.malformed", facts, "error"))
        return None
    except (ValueError, RecursionError) as error:
        facts = {"file": file, "line": 1, "reason": type(error).__name__}
        objects.problems.append(Problem("labels.malformed", facts, "error"))
        return None
    except DataError as error:
        objects.problems.append(Problem(error.code, error.facts, "error"))
        return None
    return content if isinstance(content, dict) and isinstance(content.get("shapes"), list) else None


def _looks_whole(file: Path) -> bool:
    return head_of(file, 1024).rstrip().endswith(("}", "]"))


def _shapes(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [shape for shape in content["shapes"] if isinstance(shape, dict)]


def _backgrounds(tree: Tree, objects: Objects, labelled: set[str]) -> None:
    folders = {posixpath.dirname(image) for image in tree.images if objects.has(image)}
    for image in tree.images:
        if posixpath.dirname(image) in folders and posixpath.splitext(image)[0] not in labelled:
            objects.image(image, split=split_of_folder(image))


class _Document:
    def __init__(
        self,
        file: Path,
        name: str,
        content: Mapping[str, Any],
        objects: Objects,
        classes: Mapping[str, int],
        ignored: Counter[str],
    ) -> None:
        self._file = file
        self._name = name
        self._content = content
        self._objects = objects
        self._classes = classes
        self._ignored = ignored

    def read(self, tree: Tree, finder: Finder) -> None:
        stated = str(self._content.get("imagePath") or "")
        try:
            image = self._find(stated, tree, finder)
        except DataError as error:
            self._objects.problems.append(find_problem(error, self._file, 1, "imagePath", stated))
            return
        sizes = (self._content.get(key) for key in ("imageHeight", "imageWidth"))
        height, width = (size if isinstance(size, int) else 0 for size in sizes)
        number = self._objects.image(image, height, width, split_of_folder(image))
        source = self._objects.source(self._file, "shapes[{}].points")
        parts: dict[object, list[tuple[int, Outline]]] = {}
        for index, shape in enumerate(_shapes(self._content)):
            outline = self._outline(shape, (source, 1, index), (height, width))
            if outline is not None:
                group = shape.get("group_id")
                key = (group, shape["label"]) if isinstance(group, (int, str)) else index
                parts.setdefault((key, outline.runs is None), []).append((index, outline))
        for found in parts.values():
            index = found[0][0]
            label = str(_shapes(self._content)[index]["label"]).strip()
            joined = tuple(p for _, outline in found for p in outline.polygons)
            outline = Outline(joined) if joined else found[0][1]
            try:
                corners = box_of(outline).tolist()
            except ValueError:
                corners = [0, 0, 0, 0]
            self._objects.add(number, self._classes[label], corners, (source, 1, index), outline=outline)

    def _find(self, stated: str, tree: Tree, finder: Finder) -> str:
        folder = self._name.rpartition("/")[0]
        try:
            return finder.find(stated, folder)
        except DataError as error:
            if error.code == "paths.escapes":
                raise
            stem = posixpath.splitext(self._name)[0]
            beside = [
                i for i in tree.named_without_suffix(posixpath.basename(stem)) if posixpath.splitext(i)[0] == stem
            ]
            if beside:
                return beside[0]
            raise

    def _outline(self, shape: Mapping[str, Any], where: tuple[int, int, int], size: tuple[int, int]) -> Outline | None:
        if not str(shape.get("label") or "").strip():
            self._objects.wrong("labels.unknown_class", where, shape.get("label"), "shapes[{}].label")
            return None
        kind = shape.get("shape_type") or "polygon"
        try:
            if kind not in ("polygon", "rectangle", "circle", "mask"):
                self._ignored[str(kind)[:20]] += 1
                return None
            return _region(kind, shape, size)
        except (ValueError, TypeError) as error:
            self._objects.wrong("labels.outline", where, error)
            return None


def _region(kind: str, shape: Mapping[str, Any], size: tuple[int, int]) -> Outline:
    points = np.array(shape.get("points"), np.float64)
    if kind == "polygon":
        return Outline((polygon(points),))
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 2 or not np.isfinite(points).all():
        raise ValueError("not two points")
    if kind == "circle":
        radius = math.dist(points[0], points[1])
        return ellipse(float(points[0, 0]), float(points[0, 1]), radius, radius)
    if kind == "mask":
        return _mask(shape.get("mask"), points.min(0), size)
    low, high = points.min(0), points.max(0)  # people draw rectangles from any corner
    return rectangle(np.array([*low, *high], np.float32))


def _mask(text: object, corner: Any, size: tuple[int, int]) -> Outline:
    """A PNG in base64, laid with its upper left corner on the first point."""
    try:
        content = base64.b64decode(str(text), validate=True)
        part = np.asarray(open_image(content).convert("L")) > 0
    except (binascii.Error, ImageError) as error:
        raise ValueError(f"mask: {error}") from None
    left, top = np.round(corner).astype(int).tolist()
    beyond = left < 0 or top < 0 or left + part.shape[1] > size[1] or top + part.shape[0] > size[0]
    if beyond or size[0] * size[1] > MOST_PIXELS:
        raise ValueError("a mask beyond the image")
    whole = np.zeros(size, bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    return outline_of(whole)
