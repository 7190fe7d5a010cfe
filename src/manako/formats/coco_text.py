"""COCO-Text's JSON: `imgs` and `anns` (by number, or as lists), with `mask` or `bbox`, `utf8_string`, `legibility`.

What is called illegible is neither to be found nor missed. Source: Veit et al. 2016, "COCO-Text: Dataset and Benchmark
for Text Detection and Recognition in Natural Images", arXiv 1601.07140.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manako.errors import DataError
from manako.formats._text_regions import TASKS as TASKS
from manako.formats._text_regions import Page, Pages, Place, corners
from manako.formats._tree import Finder, first_files, head_of, root_of
from manako.formats.funsd import read_json
from manako.types import Dataset

PREFERENCE = 35  # it is COCO, too
_IMAGES, _REGIONS = ("imgs", "images"), ("anns", "annotations")


def recognise(path: Path) -> bool:
    return any(_is_coco_text(file) for file in first_files(path, (".json",)))


def _is_coco_text(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip().startswith("{") and ('"utf8_string"' in head or '"legibility"' in head)


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    pages = Pages(root, "coco_text")
    for name in pages.tree.labels:
        if name.lower().endswith(".json") and (path.is_dir() or root / name == path) and _is_coco_text(root / name):
            _read_file(root / name, pages)
    return pages.dataset(group_by=group_by)


def _read_file(file: Path, pages: Pages) -> None:
    content = read_json(file, pages)
    if not isinstance(content, dict):
        return
    images = {str(image.get("id", key)): (key, image) for key, image in _members(content, _IMAGES)}
    names = [str(image.get("file_name", "")) for _, image in images.values()]
    finder = Finder(pages.tree, file, names)
    found: dict[str, Page] = {}
    for number, (field, image) in images.items():
        stated = str(image.get("file_name", ""))
        try:
            found[number] = pages.page(finder.find(stated))
        except DataError as error:
            pages.missing(error, Place(file, 1, f"{field}.file_name"), stated)
    for field, region in _members(content, _REGIONS):
        number = str(region.get("image_id"))
        if number not in images:
            pages.problems.append(Place(file, 1, f"{field}.image_id").problem("text_labels.no_image", number, "error"))
        elif number in found:
            _add(pages, found[number], region, Place(file, 1, field))


def _members(content: dict[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries of an object by number, or of a list, each with its path."""
    for name in names:
        value = content.get(name)
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, entry in pairs:
            if isinstance(entry, dict):
                yield f"{name}[{key}]", entry if isinstance(value, list) else {"id": key, **entry}


def _add(pages: Pages, page: Page, region: dict[str, Any], place: Place) -> None:
    numbers = region.get("mask") or region.get("polygon") or region.get("segmentation")
    if isinstance(numbers, list) and len(numbers) == 1 and isinstance(numbers[0], list):
        numbers = numbers[0]
    if not isinstance(numbers, list) or len(numbers) < 6:
        numbers = _box(region.get("bbox"))
    text = region.get("utf8_string")
    illegible = region.get("legibility") == "illegible"
    pages.add(page, numbers, text if isinstance(text, str) else None, place, ignored=illegible)


def _box(bbox: object) -> list[object]:
    """Left, top, width, height -> corners."""
    try:
        left, top, width, height = (float(value) for value in bbox)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return []
    return corners(left, top, left + width, top + height)
