"""COCO's JSON: `annotations/instances_train.json` with images anywhere below, or `_annotations.coco.json` beside them.

Source: the data format of cocodataset.org. Boxes are x, y, width, height in pixels; ids of classes may have holes, so
classes are known by name. Outlines are polygons or run lengths; a crowd is a region of many objects.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from manako.errors import DataError, LabelError
from manako.formats._json import JsonMembers
from manako.formats._objects import TASKS as TASKS
from manako.formats._objects import Objects
from manako.formats._shapes import polygon, run_lengths
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, find_problem, first_files, head_of, root_of, split_of, split_of_folder
from manako.paths import atomic_write
from manako.regions import area_of, box_of, compress, objects_of
from manako.types import Dataset, Detections, Outline, Prediction, Problem, Segmentation, Skeleton, Split

WRITES = TASKS
PREFERENCE = 40
_LARGEST = 4 * 2**30
_FOLDERS_JSON = 40
_OTHER_TASKS = ("captions", "panoptic", "stuff", "image_info")


def recognise(path: Path) -> bool:
    return any(_is_coco(file) for file in first_files(path, (".json",), most=_FOLDERS_JSON))


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    files = _files(path)
    if not files:
        raise LabelError("labels.none", folder=path)
    tree = Tree(root)
    objects = Objects(root, "coco", task)
    objects.problems += tree.problems()
    classes: dict[str, int] = {}
    for file in files:
        _File(file, tree, objects, classes).read()
    folders = {name.rpartition("/")[0] for name in tree.images if objects.has(name)}
    if unlisted := sum(name.rpartition("/")[0] in folders and not objects.has(name) for name in tree.images):
        objects.problems.append(Problem("labels.unlisted", {"count": unlisted, "folder": root}, "note"))
    return objects.dataset(tuple(classes), group_by=group_by, repair=repair)


def _is_coco(file: Path) -> bool:
    head = head_of(file)
    return (
        head.lstrip().startswith("{") and sum(f'"{key}"' in head for key in ("images", "annotations", "categories")) > 1
    )


def _files(path: Path) -> list[Path]:
    """Those of boxes and outlines; those of key points only where there are no others."""
    found = [file for file in first_files(path, (".json",), most=_FOLDERS_JSON) if _is_coco(file)]
    if path.is_file():
        return found
    named = [file for file in found if file.name.startswith("instances")]
    plain = [file for file in found if not file.name.startswith(_OTHER_TASKS)]
    boxes = [file for file in plain if "keypoints" not in file.name]
    return sorted(named or boxes or plain)


class _File:
    """One label file. Its lists may come in any order: the classes of real COCO files come last."""

    def __init__(self, file: Path, tree: Tree, objects: Objects, classes: dict[str, int]) -> None:
        self._file = file
        self._tree = tree
        self._objects = objects
        self._classes = classes
        self._source = objects.source(file, "annotations[{}].bbox")
        self._entries: list[tuple[object, str, int, int, int, int]] = []
        self._images: dict[object, int | None] | None = None
        self._sizes: dict[int, tuple[int, int]] = {}
        self._labels: dict[object, int] = {}  # id of a class -> number in this file, in the order of first use
        self._names: dict[object, str] = {}
        self._late: list[tuple[Mapping[str, object], tuple[int, int, int]]] = []
        self._ids: list[int] = []

    def read(self) -> None:
        first = len(self._objects)
        members = JsonMembers(
            self._file,
            read_text(self._file, self._objects.problems, largest=_LARGEST),
            ("images", "annotations", "categories"),
        )
        for key, index, value in members:
            where = (self._source, members.line, index)
            if key in ("images", "annotations", "categories"):
                if not isinstance(value, dict):
                    self._objects.wrong("labels.no_entry", where, value, key + "[{}]")
                elif key == "images":
                    self._entry(value, where)
                elif key == "annotations":
                    self._object(value, where)
                else:
                    self._category(value, where)
        for key, missing in (("images", not self._entries), ("categories", not self._names)):
            if missing and (self._late or len(self._objects) > first):
                raise LabelError("labels.malformed", file=self._file, line=1, reason=f'no "{key}"')
        self._find_images()
        for value, where in self._late:
            self._object(value, where)
        self._classify(first)
        self._repeated_ids()

    def _entry(self, value: Mapping[str, object], where: tuple[int, int, int]) -> None:
        name, number = value.get("file_name"), value.get("id")
        if not isinstance(name, str) or not isinstance(number, (int, str)):
            self._objects.wrong("labels.no_entry", where, value, "images[{}]")
            return
        sizes = (value.get("height"), value.get("width"))
        height, width = (s if isinstance(s, int) and 0 < s < 2**20 else 0 for s in sizes)
        self._entries.append((number, name, height, width, where[1], where[2]))

    def _find_images(self) -> None:
        if self._images is not None:
            return
        self._images = {}
        finder = Finder(self._tree, self._file, (entry[1] for entry in self._entries))
        part = split_of(self._file.relative_to(self._tree.root).as_posix())
        for number, name, height, width, line, index in self._entries:
            field = f"images[{index}].file_name"
            if number in self._images:
                self._objects.wrong("labels.repeated_id", (self._source, line, index), number, "images[{}].id")
                continue
            self._images[number] = None
            try:
                found = finder.find(name)
            except DataError as error:
                self._objects.problems.append(find_problem(error, self._file, line, field, name))
                continue
            if self._objects.has(found):
                self._objects.wrong("labels.repeated_image", (self._source, line, index), name, field)
            image = self._objects.image(found, height, width, part or split_of_folder(found))
            self._images[number] = image
            self._sizes[image] = height, width

    def _category(self, value: Mapping[str, object], where: tuple[int, int, int]) -> None:
        name, number = value.get("name"), value.get("id")
        if not isinstance(number, (int, str)) or not isinstance(name, str) or not name.strip():
            self._objects.wrong("labels.no_entry", where, value, "categories[{}]")
        elif number in self._names:
            self._objects.wrong("labels.repeated_id", where, number, "categories[{}].id")
        else:
            if name.strip() in self._names.values():
                self._objects.wrong("labels.repeated_class", where, name, "categories[{}].name")
            self._names[number] = name.strip()

    def _object(self, value: Mapping[str, object], where: tuple[int, int, int]) -> None:
        if self._images is None:
            if not self._entries:
                self._late.append((value, where))
                return
            self._find_images()
        assert self._images is not None
        number, label = value.get("image_id"), value.get("category_id")
        if not isinstance(number, (int, str)) or number not in self._images:
            self._objects.wrong("labels.unknown_image", where, number, "annotations[{}].image_id")
            return
        image = self._images[number]
        if image is None:  # named already
            return
        if not isinstance(label, (int, str)):
            self._objects.wrong("labels.unknown_class", where, label, "annotations[{}].category_id")
            return
        if isinstance(own := value.get("id"), int) and -(2**63) <= own < 2**63:
            self._ids.append(own)
        outline = self._outline(value.get("segmentation"), image, where)
        corners = self._corners(value.get("bbox"), outline, where)
        if corners is not None:
            number = self._labels.setdefault(label, len(self._labels))
            crowd = bool(value.get("iscrowd"))
            self._objects.add(image, number, corners, where, crowd=crowd, outline=outline)

    def _corners(self, box: object, outline: Outline | None, where: tuple[int, int, int]) -> Sequence[float] | None:
        if isinstance(box, list) and len(box) == 4:
            try:
                x, y, width, height = box
                return x, y, x + width, y + height
            except TypeError:
                self._objects.wrong("labels.not_a_number", where, box)
        elif box in (None, []) and outline is not None:
            try:
                corners: list[float] = box_of(outline).tolist()
            except ValueError:
                corners = [0, 0, 0, 0]
            return corners
        else:
            self._objects.wrong("labels.no_box", where, box)
        return None

    def _outline(self, value: object, image: int, where: tuple[int, int, int]) -> Outline | None:
        """None where there is none, or where it isn't wanted and there is a box."""
        if not value or not self._objects.outlined:
            return None
        try:
            if isinstance(value, dict):
                size = self._sizes.get(image, (0, 0))
                outline = run_lengths(value.get("counts"), value.get("size"))
                if 0 not in size and outline.size != size:
                    raise ValueError(f"run lengths of {outline.size}, image of {size}")
                return outline
            if not isinstance(value, list):
                raise ValueError("neither polygons nor run lengths")
            parts = value if isinstance(value[0], list) else [value]
            return Outline(tuple(polygon(part) for part in parts))
        except ValueError as error:
            self._objects.wrong("labels.outline", where, error, "annotations[{}].segmentation")
            return None

    def _classify(self, first: int) -> None:
        for number in sorted(self._names, key=lambda number: (isinstance(number, str), number)):
            self._classes.setdefault(self._names[number], len(self._classes))
        known = {
            label: self._classes[self._names[number]] for number, label in self._labels.items() if number in self._names
        }
        ids = {label: number for number, label in self._labels.items()}
        for label, where in self._objects.classify(first, known):
            self._objects.wrong("labels.unknown_class", where, ids[label], "annotations[{}].category_id")
        numbers = sorted(number for number in self._names if isinstance(number, int))
        if numbers and numbers[-1] - numbers[0] >= len(numbers):
            facts = {"file": self._file, "count": len(numbers), "lowest": numbers[0], "highest": numbers[-1]}
            self._objects.problems.append(Problem("labels.holes_in_ids", facts, "note"))

    def _repeated_ids(self) -> None:
        ids, counts = np.unique(np.array(self._ids, np.int64), return_counts=True)
        if len(twice := ids[counts > 1]):
            facts = {"file": self._file, "count": len(twice), "first": int(twice[0])}
            self._objects.problems.append(Problem("labels.repeated_ids", facts))


class Writer:
    """`annotations/instances.json` (of a part: `instances_train.json`), for images in `images/`.

    Regions that are no polygons are written as COCO's compressed run lengths; scores below 1 as "score". Of a map of
    classes, each connected region is an object, and unknown pixels are a crowd.
    """

    IMAGES = "images"
    HOLDS = frozenset({"outlines", "parts", "holes", "crowds", "scores", "unused_classes", "ignored"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = Path(folder) / "annotations"
        self._classes = tuple(classes)
        self._categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
        self._images: dict[str, list[str]] = {}
        self._objects: dict[str, list[str]] = {}
        self._count = [0, 0]

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        if isinstance(prediction, Segmentation):
            prediction = objects_of(prediction, self._classes)
        assert isinstance(prediction, Detections)
        name = f"instances_{split}.json" if split else "instances.json"
        objects = self._objects.setdefault(name, [])
        self._count[0] += 1
        entry = {"id": self._count[0], "file_name": image.removeprefix(f"{split}/"), "width": width, "height": height}
        self._images.setdefault(name, []).append(json.dumps(entry, ensure_ascii=False))
        for index in range(len(prediction)):
            self._count[1] += 1
            numbers = {"id": self._count[1], "image_id": self._count[0]}
            objects.append(json.dumps(numbers | _entry_of(prediction, index)))

    def finish(self) -> Path:
        for name in self._images or {"instances.json": []}:
            lists = (self._images.get(name, []), self._objects.get(name, []))
            images, objects = (",\n".join(entries) for entries in lists)
            categories = json.dumps(self._categories, ensure_ascii=False)
            text = f'{{"images": [\n{images}\n], "annotations": [\n{objects}\n], "categories": {categories}}}\n'
            atomic_write(self._folder / name, text)
        return self._folder


def _entry_of(found: Detections, index: int) -> dict[str, object]:
    left, top, right, bottom = found.xyxy[index].astype(np.float64).tolist()
    outline = found.outlines[index] if found.outlines else None
    area = (right - left) * (bottom - top) if outline is None else area_of(outline)
    entry: dict[str, object] = {
        "category_id": int(found.class_id[index]) + 1,
        "bbox": [round(value, 4) for value in (left, top, right - left, bottom - top)],
        "area": round(area, 4),
        "iscrowd": int(found.crowd is not None and bool(found.crowd[index])),
    }
    if outline is not None and outline.runs is not None:
        entry["segmentation"] = {"size": list(outline.size or ()), "counts": compress(outline.runs)}
    elif outline is not None:
        entry["segmentation"] = [np.round(p.astype(np.float64), 4).reshape(-1).tolist() for p in outline.polygons]
    if found.score[index] < 1:
        entry["score"] = round(float(found.score[index]), 6)
    return entry
