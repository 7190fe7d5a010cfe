"""ALTO XML, one file an image: `TextLine`s with a `Polygon` or a box, their words as `String`s.

Places in tenths of a millimetre or in 1/1200 inch are brought to pixels by the sizes of page and image.
Source: the ALTO schema, versions 2 to 4, of the Library of Congress.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from manako.formats._text_regions import TASKS as TASKS
from manako.formats._text_regions import Page, Pages, Place, corners
from manako.formats._tree import first_files, head_of, root_of
from manako.formats._xml import Node
from manako.formats.page_xml import local, page_of, within, xml_documents
from manako.types import Dataset


def recognise(path: Path) -> bool:
    return any(re.search(r"<(?:\w+:)?alto[\s>]", head_of(file, 4096)) for file in first_files(path, (".xml",)))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    pages = Pages(root, "alto")
    for name, node in xml_documents(path, root, pages, "alto"):
        named = next(within(node, "fileName"), None)
        place = Place(root / name, named.line if named else node.line, "fileName")
        found = page_of(pages, name, named.text.strip() if named else "", place)
        unit = next((n.text.strip() for n in within(node, "MeasurementUnit")), "pixel")
        for page in within(node, "Page"):
            if found is not None:
                _read_page(root / name, page, found, pages, unit)
    return pages.dataset(group_by=group_by)


def _read_page(file: Path, node: Node, page: Page, pages: Pages, unit: str) -> None:
    across, down = _scale(node, page, unit)
    for number, line in enumerate(within(node, "TextLine")):
        place = Place(file, line.line, f"TextLine[{number}]")
        numbers = [_number(value) for value in _points(line)]
        scaled: list[object] = [value * (across, down)[i % 2] for i, value in enumerate(numbers)]
        pages.add(page, scaled, _text(line), place)


def _scale(node: Node, page: Page, unit: str) -> tuple[float, float]:
    width, height = (_number(node.attributes.get(side, "")) for side in ("WIDTH", "HEIGHT"))
    if unit == "pixel" or 0 in page.size or not (width > 0 and height > 0):
        return 1.0, 1.0
    return page.size[1] / width, page.size[0] / height


def _points(line: Node) -> list[object]:
    shape = next((child for child in line.children if local(child) == "Shape"), None)
    outline = next(within(shape, "Polygon"), None) if shape else None
    if outline is not None and (stated := outline.attributes.get("POINTS", "").strip()):
        return re.split(r"[\s,]+", stated)
    left, top, width, height = (_number(line.attributes.get(s, "")) for s in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return corners(left, top, left + width, top + height)


def _text(line: Node) -> str:
    """Words with a space where one is stated, or where nothing is stated between words at all."""
    parts: list[str] = []
    spaced = any(local(child) == "SP" for child in line.children)
    for child in line.children:
        kind = local(child)
        if kind in ("String", "HYP"):
            if parts and not spaced and kind == "String":
                parts.append(" ")
            parts.append(child.attributes.get("CONTENT", ""))
        elif kind == "SP":
            parts.append(" ")
    return "".join(parts)


def _number(value: object) -> float:
    """NaN for what is none: the outline is then named as unusable."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return math.nan
