"""PAGE XML, one file an image: `TextLine`s with their outline (`Coords`) and their text (`TextEquiv`, `Unicode`).

Where a region has no lines, the region itself is taken. Of several readings the one with the lowest index counts.
Source: the PAGE Content schema of PRImA, versions 2010 to 2019.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from manako.errors import DataError
from manako.formats._text_regions import TASKS as TASKS
from manako.formats._text_regions import Page, Pages, Place
from manako.formats._tree import Finder, first_files, head_of, root_of
from manako.formats._xml import Node, read_xml
from manako.types import Dataset, Problem


def recognise(path: Path) -> bool:
    return any(_is_page(file) for file in first_files(path, (".xml",)))


def _is_page(file: Path) -> bool:
    return bool(re.search(r"<(?:\w+:)?PcGts[\s>]", head_of(file, 4096)))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    pages = Pages(root, "page_xml")
    for name, node in xml_documents(path, root, pages, "PcGts"):
        for page in within(node, "Page"):
            stated = page.attributes.get("imageFilename", "")
            found = page_of(pages, name, stated, Place(root / name, page.line, "imageFilename"))
            if found is not None:
                _read_page(root / name, page, found, pages)
    return pages.dataset(group_by=group_by)


def _read_page(file: Path, node: Node, page: Page, pages: Pages) -> None:
    lines = list(within(node, "TextLine"))
    if not lines:
        lines = [r for r in within(node, "TextRegion") if not any(True for _ in within(r, "TextRegion"))]
    for number, line in enumerate(lines):
        coords = next((child for child in line.children if local(child) == "Coords"), None)
        place = Place(file, line.line, f"{local(line)}[{number}].Coords")
        pages.add(page, _points(coords), _text(line), place)


def _points(coords: Node | None) -> list[object]:
    """`points="x,y x,y"`, or children `Point` (2010)."""
    if coords is None:
        return []
    if stated := coords.attributes.get("points", ""):
        return re.split(r"[\s,]+", stated.strip())
    return [c.attributes.get(axis) for c in coords.children if local(c) == "Point" for axis in ("x", "y")]


def _text(line: Node) -> str:
    readings = [child for child in line.children if local(child) == "TextEquiv"]
    readings.sort(key=lambda node: _index(node.attributes.get("index", "0")))
    return next((c.text for r in readings[:1] for c in r.children if local(c) == "Unicode"), "")


def _index(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 0


def local(node: Node) -> str:
    """The tag without its prefix."""
    return node.tag.rpartition(":")[2]


def within(node: Node, tag: str) -> Iterator[Node]:
    """All elements of this tag, however deep, in order."""
    for child in node.children:
        if local(child) == tag:
            yield child
        yield from within(child, tag)


def xml_documents(path: Path, root: Path, pages: Pages, outermost: str) -> Iterator[tuple[str, Node]]:
    """The XML files with this outermost element: name below the root, tree. Broken ones are named."""
    for name in pages.tree.labels:
        if not name.lower().endswith(".xml") or not (path.is_dir() or root / name == path):
            continue
        try:
            node = read_xml(root / name, pages.problems)
        except DataError as error:
            pages.problems.append(Problem(error.code, error.facts, "error"))
            continue
        if local(node) == outermost:
            yield name, node


def page_of(pages: Pages, name: str, stated: str, place: Place) -> Page | None:
    """The image that a label file names, else the one that is called like the file; None where neither is there."""
    stem = posixpath.splitext(posixpath.basename(name))[0]
    try:
        if stated:
            finder = Finder(pages.tree, place.file, [stated])
            return pages.page(finder.find(stated, posixpath.dirname(name)))
    except DataError as error:
        if error.code == "paths.escapes" or not pages.tree.named_without_suffix(stem):
            pages.missing(error, place, stated)
            return None
    try:
        return pages.beside(name, stem)
    except DataError as error:
        pages.missing(error, place, stem)
        return None
