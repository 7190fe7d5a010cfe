"""YOLO's text files: `labels/train/a.txt` for `images/train/a.jpg` (or beside it), classes and parts in `data.yaml`.

A line is a class number and a box (centre x, centre y, width, height) or a polygon (x, y, x, y...), as fractions of
the image. Without `data.yaml`, classes come from `classes.txt` or `obj.names`. A missing text file means no objects.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from manako.errors import DataError, LabelError
from manako.formats._objects import TASKS as TASKS
from manako.formats._objects import Objects
from manako.formats._shapes import polygon
from manako.formats._text import read_text
from manako.formats._tree import Finder, Tree, first_files, head_of, label_stem, root_of, split_of_folder
from manako.paths import atomic_write
from manako.regions import borders_of, objects_of, one_polygon
from manako.types import SPLITS, Dataset, Detections, Outline, Prediction, Problem, Segmentation, Skeleton, Split

WRITES = TASKS
PREFERENCE = 20
_PARTS: dict[str, Split] = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_LINE = re.compile(r"\d+(?:\.0*)?(?:[ \t]+-?[\d.]+(?:[eE][-+]?\d+)?){4,}[ \t]*$")
_CONFIG = re.compile(r"^[\"']?names[\"']?[ \t]*:", re.MULTILINE)
_NAME_FILES = ("classes.txt", "obj.names", "labels.txt", "predefined_classes.txt")
_NO_LABELS = (*_NAME_FILES, "train.txt", "val.txt", "valid.txt", "test.txt", "readme.txt", "requirements.txt")
_LARGEST_CONFIG = 2**20


def recognise(path: Path) -> bool:
    if any(_CONFIG.search(head_of(file)) and _names_a_part(head_of(file)) for file in _configs(path)):
        return True
    texts = (file for file in first_files(path, (".txt",)) if path.is_dir() and file.name.lower() not in _NO_LABELS)
    return any(_LINE.match(line) for file in texts for line in head_of(file, 4096).strip().splitlines()[:1])


def read(path: Path, *, task: str, group_by: str | None, repair: bool = False) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    tree = Tree(root)
    objects = Objects(root, "yolo", task, fractions=True)
    objects.problems += tree.problems()
    config = _config(path, tree, objects.problems)
    names = config.names or _names(tree, objects.problems)
    texts = {name for name in tree.labels if name.endswith(".txt") and posixpath.basename(name) not in _NO_LABELS}
    images = dict(_images(tree, config, texts, objects.problems))
    if not any(images.values()):
        raise LabelError("labels.none", folder=root)
    lines = _Lines(objects, names, config.box_only)
    for image, label in images.items():
        text = "" if label is None else lines.text_of(root / label)
        if text is not None:  # a file that can't be read doesn't make its image a background
            number = objects.image(image, split=config.parts.get(image) or split_of_folder(image))
            lines.read(root / (label or image), text, number)
    _orphans(objects, root, texts - set(images.values()), {posixpath.dirname(t) for t in images.values() if t})
    classes = names or tuple(str(number) for number in range(lines.highest + 1))
    return objects.dataset(classes, group_by=group_by, repair=repair)


@dataclass
class _Config:
    """What `data.yaml` says. parts: image -> split, None where several parts name it. box_only: key points follow the
    box."""

    names: tuple[str, ...] = ()
    parts: dict[str, Split | None] = field(default_factory=dict)
    box_only: bool = False


def _configs(path: Path) -> list[Path]:
    return sorted(first_files(path, (".yaml", ".yml")), key=lambda file: (file.name != "data.yaml", file))


def _names_a_part(text: str) -> bool:
    return re.search(r"^[\"']?(train|val|test)[\"']?[ \t]*:", text, re.MULTILINE) is not None


def _config(path: Path, tree: Tree, problems: list[Problem]) -> _Config:
    for file in _configs(path):
        if _CONFIG.search(head_of(file)):
            return _read_config(file, tree, problems)
    return _Config()


def _read_config(file: Path, tree: Tree, problems: list[Problem]) -> _Config:
    text = read_text(file, problems, largest=_LARGEST_CONFIG)
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        reason = getattr(error, "problem", None) or type(error).__name__
        raise LabelError("labels.malformed", file=file, line=line, reason=reason) from error
    except RecursionError as error:
        raise LabelError("labels.malformed", file=file, line=1, reason="RecursionError") from error
    if not isinstance(content, dict):
        raise LabelError("labels.malformed", file=file, line=1, reason="no names")
    config = _Config(_class_names(file, content.get("names")), box_only="kpt_shape" in content)
    base = content.get("path") if isinstance(content.get("path"), str) else ""
    training: list[str] = []
    for key, split in _PARTS.items():
        entries = content.get(key)
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str) and entry:
                found = list(_part(tree, file, str(base), entry, problems))
                config.parts.update(dict.fromkeys(found, split))
                training += found if split == "train" else ()
                if not found and split != "test":
                    facts = {"file": file, "line": _line_of(key, text), "field": key, "value": entry[:200]}
                    problems.append(Problem("labels.empty_part", facts))
    if training and "train" not in config.parts.values():  # as where one folder is named for all parts
        config.parts.update(dict.fromkeys(training, None))
        problems.append(Problem("labels.one_part", {"file": file, "count": len(training)}, "note"))
    return config


def _line_of(key: str, text: str) -> int:
    lines = enumerate(text.splitlines(), 1)
    return next((line for line, row in lines if row.strip("\"' \t").startswith(key)), 1)


def _class_names(file: Path, names: object) -> tuple[str, ...]:
    """A list, or a mapping from numbers that may have holes. Raises LabelError."""
    if isinstance(names, dict) and all(isinstance(key, int) and 0 <= key < 100_000 for key in names):
        highest = max(names, default=-1)
        names = [names.get(number, f"unused {number}") for number in range(highest + 1)]
    if not isinstance(names, list) or not all(isinstance(name, (str, int, float)) for name in names):
        raise LabelError("labels.malformed", file=file, line=1, reason="names")
    return _distinct(file, [str(name).strip() for name in names])


def _distinct(file: Path, names: list[str]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise LabelError("labels.class_twice", file=file, value=twice)
    return tuple(names)


def _names(tree: Tree, problems: list[Problem]) -> tuple[str, ...]:
    files = [name for name in tree.labels if posixpath.basename(name) in _NAME_FILES]
    if not files:
        return ()
    file = tree.root / min(files, key=lambda name: (_NAME_FILES.index(posixpath.basename(name)), name))
    lines = read_text(file, problems, largest=_LARGEST_CONFIG).splitlines()
    return _distinct(file, [line.strip() for line in lines if line.strip()])


def _part(tree: Tree, file: Path, base: str, entry: str, problems: list[Problem]) -> Iterator[str]:
    """The images of `train: images/train` (a folder), or of a list of images in a text file. Many files name folders
    of the machine where they were written, or one level too high: then the end of the name decides."""
    own = tree.folder_of(file)
    wanted = posixpath.normpath(entry.replace("\\", "/"))
    places = [posixpath.normpath(posixpath.join(own, base, wanted)), posixpath.normpath(posixpath.join(own, wanted))]
    parts = [part for part in wanted.split("/") if part not in ("..", "")]
    places += [posixpath.normpath(posixpath.join(own, *parts[start:])) for start in range(len(parts))]
    for place in dict.fromkeys(places):
        if place in tree.labels and place.endswith(".txt"):
            lines = read_text(tree.root / place, problems).splitlines()
            names = [line.strip() for line in lines if line.strip()]
            finder = Finder(tree, tree.root / place, names)
            yield from _listed(finder, names, tree.root / place, problems)
            return
        if found := [image for image in tree.images if place == "." or image.startswith(place + "/")]:
            yield from found
            return


def _listed(finder: Finder, names: list[str], file: Path, problems: list[Problem]) -> Iterator[str]:
    for line, name in enumerate(names, 1):
        try:
            yield finder.find(name)
        except DataError as error:
            facts = {"file": file, "line": line, "field": "path", "value": name[:200]}
            problems.append(Problem(f"table.{error.code.partition('.')[2]}", facts, "error"))


def _images(tree: Tree, config: _Config, texts: set[str], problems: list[Problem]) -> Iterator[tuple[str, str | None]]:
    """Image and its text file: those of the parts that `data.yaml` names, else of all folders that have any."""
    pairs = {image: next((t for t in _texts_for(image) if t in texts), None) for image in tree.images}
    if config.parts:
        yield from ((image, text) for image, text in pairs.items() if image in config.parts)
        return
    folders = {posixpath.dirname(image) for image, text in pairs.items() if text}
    yield from ((image, text) for image, text in pairs.items() if posixpath.dirname(image) in folders)


def _texts_for(image: str) -> Iterator[str]:
    stem = posixpath.splitext(image)[0]
    parts = stem.split("/")
    for index in range(len(parts) - 2, -1, -1):
        if parts[index].lower() in ("images", "image", "imgs", "jpegimages"):
            for folder in ("labels", "label", "Labels"):
                yield "/".join([*parts[:index], folder, *parts[index + 1 :]]) + ".txt"
            break
    yield stem + ".txt"
    yield posixpath.join("labels", posixpath.basename(stem)) + ".txt"


def _orphans(objects: Objects, root: Path, texts: set[str], folders: set[str]) -> None:
    """Label files without an image."""
    for text in sorted(texts):
        if posixpath.dirname(text) in folders:
            objects.problems.append(Problem("labels.no_image", {"file": root / text}))


class _Lines:
    def __init__(self, objects: Objects, names: tuple[str, ...], box_only: bool) -> None:
        self.highest = -1
        self._objects = objects
        self._names = names
        self._box_only = box_only

    def text_of(self, file: Path) -> str | None:
        try:
            return read_text(file, self._objects.problems)
        except DataError as error:
            self._objects.problems.append(Problem(error.code, error.facts, "error"))
            return None

    def read(self, file: Path, text: str, image: int) -> None:
        source = self._objects.source(file, "box")
        for line, row in enumerate(text.splitlines(), 1):
            if fields := row.split():
                self._row(fields, image, (source, line, line))

    def _row(self, fields: list[str], image: int, where: tuple[int, int, int]) -> None:
        try:
            numbers = [float(value) for value in fields]
        except ValueError:
            self._objects.wrong("labels.not_a_number", where, " ".join(fields))
            return
        count = len(numbers) - 1
        if self._box_only and count > 4:
            count, numbers = 4, numbers[:5]
        if count != 4 and (count < 6 or count % 2):
            self._objects.wrong("labels.columns", where, len(fields))
            return
        label = self._class(fields[0], numbers[0], where)
        if label is None:
            return
        if count == 4:
            x, y, width, height = numbers[1:]
            corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            self._objects.add(image, label, corners, where)
        else:
            self._polygon(image, label, numbers[1:], where)

    def _polygon(self, image: int, label: int, numbers: list[float], where: tuple[int, int, int]) -> None:
        corners = (min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
        try:
            outline = Outline((polygon(numbers),)) if self._objects.outlined else None
        except ValueError as error:
            self._objects.wrong("labels.outline", where, error)
            outline = None
        self._objects.add(image, label, corners, where, outline=outline)

    def _class(self, text: str, number: float, where: tuple[int, int, int]) -> int | None:
        most = len(self._names) or 100_000
        if number != number or not 0 <= number < most or number != int(number):
            self._objects.wrong("labels.unknown_class", where, text, "class")
            return None
        self.highest = max(self.highest, int(number))
        return int(number)


class Writer:
    """`labels/a.txt` for `images/a.jpg`, and `data.yaml`. Objects with an outline are written as one polygon: parts and
    holes are joined by lines without area. Of a map of classes, each connected region is an object."""

    IMAGES = "images"
    HOLDS = frozenset({"outlines", "holes", "unused_classes"})

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = Path(folder)
        self._names = dict(enumerate(classes))
        self._splits: set[Split | None] = set()
        self._stems: set[str] = set()

    def add(self, image: str, width: int, height: int, prediction: Prediction, *, split: Split | None = None) -> None:
        if isinstance(prediction, Segmentation):
            found = objects_of(prediction, tuple(self._names.values()))
            prediction = found if found.crowd is None else found.take(~found.crowd)
        assert isinstance(prediction, Detections)
        self._splits.add(split)
        outlines = prediction.outlines or (None,) * len(prediction)
        rows = zip(prediction.class_id.tolist(), prediction.xyxy.astype(np.float64), outlines, strict=True)
        lines = [f"{label} {_numbers(box, outline, width, height)}\n" for label, box, outline in rows]
        atomic_write(self._folder / "labels" / f"{label_stem(image, self._stems)}.txt", "".join(lines))

    def finish(self) -> Path:
        content: dict[str, object] = {"path": "."}
        for split in SPLITS:
            if split in self._splits:
                content[split] = f"images/{split}"
        if None in self._splits or not self._splits:
            content = {"path": ".", "train": "images", "val": "images"}
        text = yaml.safe_dump(content | {"names": self._names}, allow_unicode=True, sort_keys=False)
        atomic_write(self._folder / "data.yaml", text)
        return self._folder / "data.yaml"


def _numbers(box: NDArray[np.float64], outline: Outline | None, width: int, height: int) -> str:
    outer, holes = borders_of(outline) if outline is not None else ((), ())
    if outer:
        values = (one_polygon((*outer, *holes)).astype(np.float64) / (width, height)).reshape(-1)
    else:
        left, top, right, bottom = box / (width, height, width, height)
        values = np.array([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top])
    return " ".join(f"{value:.9g}" for value in values.tolist())
