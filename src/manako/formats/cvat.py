"""CVAT's XML for images (1.1): one `annotations.xml` for all images, with boxes, polygons, ellipses and masks.

Points, lines and the tracks of videos are counted and passed over. Source: CVAT's description of its XML format.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from manako.errors import DataError, LabelError
from manako.formats._objects import TASKS as TASKS
from manako.formats._objects import Objects
from manako.formats._shapes import ellipse, placed, polygon, turned
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of, split_of_folder
from manako.formats._xml import Node, read_xml
from manako.formats.folders import SPLIT_NAMES
from manako.regions import box_of
from manako.types import Dataset, Outline, Problem

PREFERENCE = 25
_REGIONS = ("box", "polygon", "ellipse", "mask")


def recognise(path: Path) -> bool:
    return bool(_files(path))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    files = _files(path)
    root = root_of(path)
    if not files:
        raise LabelError("labels.none", folder=path)
    tree = Tree(root)
    objects = Objects(root, "cvat", task)
    objects.problems += tree.problems()
    documents = [(file, read_xml(file, objects.problems)) for file in files]
    classes = _classes([node for _, node in documents])
    ignored: Counter[str] = Counter()
    for file, node in documents:
        ignored["track"] += len(list(node.all("track")))
        images = list(node.all("image"))
        finder = Finder(tree, file, (image.attributes.get("name", "") for image in images))
        for image in images:
            _read_image(file, image, tree, finder, objects, classes, ignored)
    if +ignored:
        kinds = ", ".join(f"{kind} {count}" for kind, count in (+ignored).most_common())
        objects.problems.append(Problem("labels.no_region", {"count": ignored.total(), "kinds": kinds}, "note"))
    return objects.dataset(tuple(classes), group_by=group_by, repair=repair)


def _files(path: Path) -> list[Path]:
    return [file for file in first_files(path, (".xml",)) if "<annotations>" in head_of(file, 4096)]


def _classes(documents: list[Node]) -> dict[str, int]:
    """Those that the task declares, in its order; then others that objects have."""
    names: dict[str, int] = {}
    for document in documents:
        meta = document.first("meta")
        for place in ("task", "project", "job"):
            labels = meta.first(place).first("labels") if meta and meta.first(place) else None  # type: ignore[union-attr]
            for label in labels.all("label") if labels else ():
                if name := label.value("name"):
                    names.setdefault(name, len(names))
    used = {n.attributes.get("label", "") for d in documents for i in d.all("image") for n in i.children}
    for name in sorted(used - {""}):
        names.setdefault(name, len(names))
    return names


def _read_image(
    file: Path,
    image: Node,
    tree: Tree,
    finder: Finder,
    objects: Objects,
    classes: dict[str, int],
    ignored: Counter[str],
) -> None:
    name = image.attributes.get("name", "")
    try:
        found = finder.find(name)
    except DataError as error:
        objects.problems.append(find_problem(error, file, image.line, "image[name]", name))
        return
    height, width = (_whole(image.attributes.get(side, "")) for side in ("height", "width"))
    subset = SPLIT_NAMES.get(image.attributes.get("subset", "").lower())
    split = subset or split_of(file.relative_to(tree.root).as_posix()) or split_of_folder(found)
    source = objects.source(file, "{}")
    if objects.has(found):
        objects.wrong("labels.repeated_image", (source, image.line, 0), name, "image[name]")
    number = objects.image(found, height, width, split)
    for node in image.children:
        if node.tag not in _REGIONS:
            ignored[node.tag] += 1
            continue
        where = (objects.source(file, node.tag), node.line, 0)
        label = node.attributes.get("label", "")
        if label not in classes:
            objects.wrong("labels.unknown_class", where, label)
            continue
        try:
            outline, corners = _region(node, (height, width))
        except (ValueError, KeyError, OverflowError) as error:
            objects.wrong("labels.outline" if node.tag != "box" else "labels.not_a_number", where, error)
            continue
        objects.add(number, classes[label], corners, where, outline=outline)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 0


def _region(node: Node, size: tuple[int, int]) -> tuple[Outline | None, list[float]]:
    """The outline, and the box around it. Raises ValueError, KeyError, OverflowError."""
    values = node.attributes
    if node.tag == "box":
        left, top, right, bottom = (float(values[edge]) for edge in ("xtl", "ytl", "xbr", "ybr"))
        degrees = float(values.get("rotation", "0"))
        if not degrees:
            return None, [left, top, right, bottom]
        about = ((left + right) / 2, (top + bottom) / 2)
        outline = turned(left, top, right - left, bottom - top, degrees, about)
    elif node.tag == "polygon":
        pairs = [pair.split(",") for pair in values["points"].split(";") if pair.strip()]
        outline = Outline((polygon([float(number) for pair in pairs for number in pair]),))
    elif node.tag == "ellipse":
        outline = ellipse(*(float(values.get(name, "0")) for name in ("cx", "cy", "rx", "ry", "rotation")))
    else:
        runs = np.array([int(count) for count in values["rle"].split(",")], np.int64)
        left, top, width, height = (int(values[name]) for name in ("left", "top", "width", "height"))
        outline = placed(runs, left, top, width, height, size)
    return outline, box_of(outline).tolist()
