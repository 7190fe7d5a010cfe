"""A folder of images and labels, walked once: what lies where, and which image a label file means by a name.

Only files that the walk itself found are ever opened, so that no name in a label file leads out of the folder.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from manako.errors import DataError
from manako.formats.folders import SPLIT_NAMES
from manako.paths import IMAGE_SUFFIXES, find_images, inside, is_hidden, leads_outside
from manako.types import Problem, Split

_BESIDE = {"annotations", "labels", "annotation", "label"}
_LABEL_SUFFIXES = frozenset({".json", ".xml", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".names"})
_OTHERS_MACHINE = re.compile(r"(?:[/\\]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]+://)")
_LEVELS = 3
_FOLDERS = 100
_LISTED = 1000
_VOTES = 5000


class Tree:
    """images: names below `root` (with "/"), sorted. labels: likewise, those with the suffix of a label file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.images: list[str] = []
        self.labels: list[str] = []
        self.links = 0
        self._walk()
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_path: dict[str, str] = {}
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        for image in self.images:
            plain = _plain(image)
            self._by_path[plain] = image
            self._by_name[posixpath.basename(plain)].append(image)

    def _walk(self) -> None:
        waiting = [""]
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(self.root / below) as entries:
                    for entry in entries:
                        self._enter(below, entry, waiting)
            except OSError as error:
                raise DataError("paths.unreadable_folder", folder=self.root / below, reason=error.strerror) from error
        self.images.sort()
        self.labels.sort()

    def _enter(self, below: str, entry: os.DirEntry[str], waiting: list[str]) -> None:
        if is_hidden(entry.name):
            return
        name = below + entry.name
        if entry.is_symlink() and (entry.is_dir() or leads_outside(self.root, self.root / name)):
            self.links += 1
        elif entry.is_dir():
            waiting.append(name + "/")
        else:
            suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122
            if suffix in IMAGE_SUFFIXES:
                self.images.append(name)
            elif suffix in _LABEL_SUFFIXES:
                self.labels.append(name)

    def named(self, name: str) -> list[str]:
        """All images with the file name of this name, whatever their folder and their form of accents."""
        return self._by_name.get(posixpath.basename(_plain(name)), [])

    def named_without_suffix(self, stem: str) -> list[str]:
        """All images with this file name, whatever their folder and their suffix."""
        if not self._by_stem:
            for name, images in self._by_name.items():
                self._by_stem[posixpath.splitext(name)[0]] += images
        return self._by_stem.get(_plain(stem), [])

    def at(self, name: str) -> str | None:
        """The image of this name below the root, whatever its form of accents."""
        return self._by_path.get(name)

    def folder_of(self, file: Path) -> str:
        """Of a label file: its folder's name below the root."""
        return "" if file.parent == self.root else file.parent.relative_to(self.root).as_posix()

    def problems(self) -> list[Problem]:
        return [Problem("folders.links", {"count": self.links, "folder": self.root})] if self.links else []


class Finder:
    """Which image a name in a label file means: the one in the folder below which most of the file's names are found.

    Of equally good folders: the one named after the label file's part (train, val, test), then the nearest.
    file: the label file, or one of many like it. names: those in it.
    """

    def __init__(self, tree: Tree, file: Path, names: Iterable[str]) -> None:
        self._tree = tree
        self._folder = tree.folder_of(file)
        self._base = self._best(islice(names, _VOTES), split_of(file.relative_to(tree.root).as_posix()))

    def _best(self, names: Iterable[str], split: Split | None) -> str:
        votes: Counter[str] = Counter()
        for name in names:
            wanted = "/" + _plain(name)
            for image in self._tree.named(name):
                if ("/" + _plain(image)).endswith(wanted):
                    votes[image[: len(image) - len(wanted) + 1].rstrip("/")] += 1

        def rank(base: str) -> tuple[int, bool, int, str]:
            shared = len(posixpath.commonprefix([base.split("/"), self._folder.split("/")]))
            return -votes[base], split is not None and split_of(base) != split, -shared, base

        return min(votes, key=rank, default="")

    def find(self, name: str, folder: str | None = None) -> str:
        """The image's name below the root. folder: of the label file, where there are many.

        Raises DataError: "paths.missing", "paths.escapes", "paths.bad_name".
        """
        own = self._folder if folder is None else folder
        plain = _plain(name)
        if not plain or "\0" in plain or len(plain) > 4096:
            raise DataError("paths.bad_name", name=name[:80])
        for place in dict.fromkeys((own if folder is not None else self._base, self._base, own, "")):
            if found := self._tree.at(posixpath.normpath(posixpath.join(place, plain))):
                return found
        alike = self._tree.named(name)
        if _OTHERS_MACHINE.match(name):  # /home/someone/photos/a.jpg: the file of this name, where there is just one
            if len(alike) == 1:
                return alike[0]
        elif ends := [image for image in alike if ("/" + _plain(image)).endswith("/" + plain)]:
            return min(ends, key=lambda image: (not image.startswith(self._base), image))
        inside(self._tree.root, posixpath.join(own, name))  # says what is wrong with it
        raise DataError("paths.missing", name=name, root=self._tree.root)


def find_problem(error: DataError, file: Path, line: int, field: str, value: str) -> Problem:
    """A name that leads to no image, with the place where it stands."""
    facts = {"file": file, "line": line, "field": field, "value": value[:200]}
    return Problem(f"table.{error.code.partition('.')[2]}", facts, "error")


def _plain(name: str) -> str:
    """With "/" and composed accents, without "./"."""
    return posixpath.normpath(unicodedata.normalize("NFC", name).replace("\\", "/")) if name else ""


def label_stem(image: str, taken: set[str]) -> str:
    """What the label file of an image is called, without suffix: as the image, or with the image's suffix where another
    image, among `taken`, differs in that only."""
    stem = str(PurePosixPath(image).with_suffix(""))
    chosen = image if stem in taken else stem
    taken.add(chosen)
    return chosen


def root_of(path: Path) -> Path:
    """The folder of the data that a label file, or a folder of nothing but labels, belongs to."""
    if path.is_dir():
        return path.parent if path.name.lower() in _BESIDE and next(find_images([path]), None) is None else path
    folder = path.parent
    return folder.parent if folder.name.lower() in _BESIDE else folder


def split_of(name: str) -> Split | None:
    """The part of the data that a file or a folder is named after: instances_train2017.json, valid/, images/test."""
    for part in reversed(name.split("/")):
        for word in re.findall("[a-z]+", part.lower()):
            if word in SPLIT_NAMES:
                return SPLIT_NAMES[word]
    return None


def split_of_folder(name: str) -> Split | None:
    """The part of the data that one of an image's folders is named after."""
    return next((SPLIT_NAMES[p.lower()] for p in reversed(name.split("/")[:-1]) if p.lower() in SPLIT_NAMES), None)


def first_files(path: Path, suffixes: tuple[str, ...], *, most: int = 5) -> Iterator[Path]:
    """Files near the top of a folder, at most so many of each folder, to recognise a layout by; or the file itself.

    Folders named after labels come first; of very many (one a class), the first hundred are looked into.
    """
    if path.is_file():
        if path.suffix.lower() in suffixes:
            yield path
        return
    waiting = deque([(path, 0)])
    for _ in range(_FOLDERS):
        if not waiting:
            return
        folder, depth = waiting.popleft()
        inner, found = _few(path, folder, suffixes, most)
        yield from found
        if depth < _LEVELS:
            waiting += [(name, depth + 1) for name in inner]


def _few(root: Path, folder: Path, suffixes: tuple[str, ...], most: int) -> tuple[list[Path], list[Path]]:
    inner: list[Path] = []
    found: list[Path] = []
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _LISTED):
                if is_hidden(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    inner.append(folder / entry.name)
                    continue
                foreign = entry.is_symlink() and leads_outside(root, folder / entry.name)
                if len(found) < most and entry.name.lower().endswith(suffixes) and not foreign:
                    found.append(folder / entry.name)
    except OSError:
        return [], []
    return sorted(inner, key=lambda folder: (folder.name.lower() not in _BESIDE, folder)), sorted(found)


def head_of(file: Path, size: int = 65536) -> str:
    """The beginning and the end of a label file as text, to recognise it by; empty where it can't be read."""
    try:
        with file.open("rb") as opened:
            start = opened.read(size)
            opened.seek(max(size, file.stat().st_size - size))
            content = start + opened.read(size)
    except OSError:
        return ""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", "replace")
    return content.decode("utf-8", "replace").removeprefix("\ufeff")
