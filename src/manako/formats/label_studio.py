"""Label Studio's JSON export: a list of tasks, each an image and what people marked on it, in percent of its size.

Rectangles, polygons, ellipses and brushes (its own run lengths) are objects; of several people's work on one image the
first that wasn't cancelled is taken. The short form (`JSON_MIN`) is read as well. Source: the files that Label Studio
writes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
from numpy.typing import NDArray

from manako.decode import MAX_PIXELS
from manako.errors import DataError, LabelError
from manako.formats._json import JsonMembers
from manako.formats._objects import TASKS as TASKS
from manako.formats._objects import Objects
from manako.formats._shapes import ellipse, polygon, turned
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of, split_of_folder
from manako.paths import IMAGE_SUFFIXES
from manako.regions import box_of, outline_of
from manako.types import Dataset, Outline, Problem

PREFERENCE = 14
_LARGEST = 2 * 2**30
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
_KINDS = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")
Task = tuple[int, int, Mapping[str, Any]]  # line, index, content


def recognise(path: Path) -> bool:
    return bool(_files(path))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    files = _files(path)
    root = root_of(path)
    if not files:
        raise LabelError("labels.none", folder=path)
    tree = Tree(root)
    objects = Objects(root, "label_studio", task)
    objects.problems += tree.problems()
    tasks = {file: list(_tasks(file, objects)) for file in files}
    names = sorted({_label(r) for found in tasks.values() for _, _, t in found for r in _results(t)} - {""})
    classes = {name: number for number, name in enumerate(names)}
    ignored: Counter[str] = Counter()
    if waiting := sum(_done(content) == [] for found in tasks.values() for _, _, content in found):
        objects.problems.append(Problem("label_studio.waiting", {"count": waiting}, "note"))
    for file, found in tasks.items():
        finder = Finder(tree, file, (name for _, _, content in found for name in _names(content)[:1]))
        for line, index, content in (task for task in found if _done(task[2]) != []):
            _read_task(file, (line, index), content, tree, finder, objects, classes, ignored)
    if ignored:
        kinds = ", ".join(f"{kind} {count}" for kind, count in ignored.most_common())
        objects.problems.append(Problem("labels.no_region", {"count": ignored.total(), "kinds": kinds}, "note"))
    return objects.dataset(names, group_by=group_by, repair=repair)


def _files(path: Path) -> list[Path]:
    return [file for file in first_files(path, (".json",)) if _is_export(head_of(file))]


def _is_export(head: str) -> bool:
    marks = ('"from_name"', "_width", "labels", '"annotations"', '"completed_by"', '"file_upload"', '"annotator"')
    return head.lstrip().startswith("[") and sum(mark in head for mark in marks) >= 2


def _tasks(file: Path, objects: Objects) -> Iterator[Task]:
    members = JsonMembers(file, read_text(file, objects.problems, largest=_LARGEST), ())
    source = objects.source(file, "[{}]")
    for _, index, value in members:
        if isinstance(value, dict):
            yield members.line, index, value
        else:
            objects.wrong("labels.no_entry", (source, members.line, index), value)


def _names(content: Mapping[str, Any]) -> list[str]:
    """What the image may be called: as stated, without the marks of an upload, and the file of a path or a link."""
    data = content["data"] if isinstance(content.get("data"), dict) else content
    stated = next((v for v in data.values() if isinstance(v, str) and _is_image(v)), "")
    link = urlsplit(stated)
    inner = parse_qs(link.query).get("d", [""])[0]
    path = unquote(inner or link.path)
    base = path.replace("\\", "/").rpartition("/")[2]
    return [name for name in dict.fromkeys((_UPLOAD.sub("", base), base, path.lstrip("/"))) if name] or [stated]


def _is_image(text: str) -> bool:
    path = unquote(text.partition("?d=")[2] or urlsplit(text).path)
    return any(path.lower().endswith(suffix) for suffix in IMAGE_SUFFIXES)


def _done(content: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """What people finished on the image; None in the short form."""
    annotations = content.get("annotations", content.get("completions"))
    if not isinstance(annotations, list):
        return None
    return [a for a in annotations if isinstance(a, dict) and not a.get("was_cancelled")]


def _results(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Marks with "type", "value" and sizes, from either form."""
    done = _done(content)
    if done is not None:
        results = done[0].get("result") if done else []
        return [r for r in results or [] if isinstance(r, dict) and isinstance(r.get("value"), dict)]
    short = [entry for value in content.values() if isinstance(value, list) for entry in value]
    marks = [entry for entry in short if isinstance(entry, dict)]
    return [
        {"type": kind, "value": mark, **{key: mark.get(key) for key in ("original_width", "original_height")}}
        for mark in marks
        for kind in _KINDS
        if kind in mark
    ]


def _label(result: Mapping[str, Any]) -> str:
    kind = result.get("type")
    names = result["value"].get(kind) if isinstance(kind, str) and kind in _KINDS else None
    return str(names[0]).strip() if isinstance(names, list) and names else ""


def _read_task(
    file: Path,
    place: tuple[int, int],
    content: Mapping[str, Any],
    tree: Tree,
    finder: Finder,
    objects: Objects,
    classes: Mapping[str, int],
    ignored: Counter[str],
) -> None:
    try:
        found = _find(finder, _names(content))
    except DataError as error:
        objects.problems.append(find_problem(error, file, place[0], f"[{place[1]}].data", _names(content)[0]))
        return
    results = _results(content)
    sizes = [(r.get("original_height"), r.get("original_width")) for r in results]
    height, width = next(((h, w) for h, w in sizes if isinstance(h, int) and isinstance(w, int) and h > 0 < w), (0, 0))
    split = split_of(file.relative_to(tree.root).as_posix()) or split_of_folder(found)
    number = objects.image(found, height, width, split)
    for index, result in enumerate(results):
        where = (objects.source(file, f"[{place[1]}].result[{index}].value"), place[0], index)
        kind = result.get("type")
        if kind not in _KINDS:
            ignored[str(kind)[:20]] += 1
        elif not (label := _label(result)):
            objects.wrong("labels.unknown_class", where, "")
        else:
            try:
                outline, corners = _region(str(kind), result["value"], (height, width))
            except (ValueError, TypeError, KeyError, OverflowError) as error:
                objects.wrong("labels.outline", where, error)
                continue
            objects.add(number, classes[label], corners, where, outline=outline)


def _find(finder: Finder, names: list[str]) -> str:
    for name in names[:-1]:
        try:
            return finder.find(name)
        except DataError:
            continue
    return finder.find(names[-1])


def _region(kind: str, value: Mapping[str, Any], size: tuple[int, int]) -> tuple[Outline | None, list[float]]:
    """The outline, and the box around it. Raises ValueError, TypeError, KeyError, OverflowError."""
    height, width = size
    if not height:
        raise ValueError("the size of the image is missing")
    if kind == "brushlabels":
        outline = outline_of(_brush(value["rle"], height, width))
        return outline, box_of(outline).tolist()
    if kind == "polygonlabels":
        points = np.array(value["points"], np.float64) * (width / 100, height / 100)
        outline = Outline((polygon(points),))
        return outline, box_of(outline).tolist()
    x, y = value["x"] * width / 100, value["y"] * height / 100
    degrees = value.get("rotation") or 0
    if kind == "ellipselabels":
        radii = value["radiusX"] * width / 100, value["radiusY"] * height / 100
        outline = ellipse(x, y, *radii, degrees)
        return outline, box_of(outline).tolist()
    across, down = value["width"] * width / 100, value["height"] * height / 100
    if not degrees:
        return None, [x, y, x + across, y + down]
    outline = turned(x, y, across, down, degrees, (x, y))
    return outline, box_of(outline).tolist()


def _brush(codes: object, height: int, width: int) -> NDArray[np.bool_]:
    """Label Studio's packed bytes of an RGBA picture; its opacity is the mask. Raises ValueError."""
    if not isinstance(codes, list) or not 0 < height * width <= MAX_PIXELS:
        raise ValueError("a brush without run lengths or size")
    bits = "".join(f"{code:08b}" for code in np.array(codes, np.uint8).tolist())
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("a brush that is cut off")
        at += count
        return int(bits[at - count : at], 2)

    total = take(32)
    if total != 4 * height * width:
        raise ValueError(f"a brush of {total // 4} pixels, image of {height * width}")
    word = take(5) + 1
    lengths = [take(4) + 1 for _ in range(4)]
    picture = np.zeros(total, np.uint8)
    done = 0
    while done < total:
        same = take(1)
        end = done + 1 + take(lengths[take(2)])
        if end > total:
            raise ValueError("a brush beyond the image")
        picture[done:end] = take(word) & 255 if same else [take(word) & 255 for _ in range(end - done)]
        done = end
    return picture.reshape(height, width, 4)[..., 3] > 0
