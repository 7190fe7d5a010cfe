"""ICDAR's text files, one an image: `gt_a.txt` or `a.txt` for `a.jpg`, a region of text in each line.

`x1,y1,x2,y2,x3,y3,x4,y4,text` (2015; SROIE's receipts), with the language before the text (2017, 2019), or a rectangle
`left, top, right, bottom, "text"` (2013; with or without commas). "###" is text that can't be read: neither to be found
nor missed. The text goes on to the end of the line, commas included.
Source: the tasks' descriptions of the ICDAR Robust Reading Competitions.
"""

from __future__ import annotations

import io
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from manako.errors import DataError
from manako.formats._text import read_text
from manako.formats._text_regions import TASKS as TASKS
from manako.formats._text_regions import Page, Pages, Place, corners
from manako.formats._tree import first_files, head_of, label_stem, root_of
from manako.paths import atomic_write
from manako.types import Dataset, Prediction, Skeleton, TextRegions

WRITES = TASKS
LANGUAGES = (
    *("arabic", "bangla", "chinese", "english", "hindi", "japanese", "korean", "latin"),
    *("mixed", "none", "symbols"),
)
_NUMBER = r"\s*[-+]?\d+(?:\.\d+)?\s*"
_QUAD = re.compile(rf"({_NUMBER}(?:,{_NUMBER}){{7}})(?:,(.*))?$")
_BOX = re.compile(rf"({_NUMBER}(?:,{_NUMBER}){{3}}),(.*)$")
_SPACED = re.compile(r'\s*([-+]?\d+(?:\s+[-+]?\d+){3})\s+(".*")\s*$')


@dataclass(frozen=True)
class _Row:
    page: Page
    place: Place
    numbers: list[object]
    text: str
    quad: bool


def recognise(path: Path) -> bool:
    return any(_is_icdar(file) for file in first_files(path, (".txt",)))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    pages = Pages(root, "icdar")
    names = [n for n in pages.tree.labels if n.endswith(".txt") and (path.is_dir() or root / n == path)]
    rows = [row for name in names for row in _rows(root / name, name, pages)]
    # A language stands in all rows or in none: a text may begin with such a word, too.
    languages = bool(rows) and all(row.quad and row.text.partition(",")[0].lower() in LANGUAGES for row in rows)
    for row in rows:
        text = row.text.partition(",")[2] if languages else row.text
        pages.add(row.page, row.numbers, text, row.place)
    return pages.dataset(group_by=group_by)


def _is_icdar(file: Path) -> bool:
    """A first line of eight numbers and more, or of four and a text. A blank page's file is empty."""
    first = next((line for line in head_of(file, 4096).splitlines() if line.strip()), "")
    parsed = _parse(first)
    return parsed is not None and (parsed[2] or bool(re.search(r"[^\d\s.,]", parsed[1])))


def _parse(line: str) -> tuple[list[object], str, bool] | None:
    """Numbers, text, and whether they are four corners; None for anything else."""
    if found := _QUAD.match(line):
        return [float(n) for n in found[1].split(",")], found[2] or "", True
    if found := _SPACED.match(line) or _BOX.match(line):
        numbers = [float(n) for n in re.split(r"[\s,]+", found[1].strip())]
        text = found[2].strip()
        quoted = len(text) > 1 and text[0] == text[-1] == '"'
        return corners(*numbers), text[1:-1] if quoted else text, False
    return None


def _rows(file: Path, name: str, pages: Pages) -> Iterator[_Row]:
    stem = posixpath.splitext(posixpath.basename(name))[0]
    try:
        page = _page(pages, name, stem)
        if page is None:  # a list of something else
            return
        text = read_text(file, pages.problems)
    except DataError as error:
        pages.missing(error, Place(file, 1, "-"), stem)
        return
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        line = line.rstrip("\n")
        if not line.strip():
            continue
        place = Place(file, number, "-")
        parsed = _parse(line)
        if parsed is None:
            pages.problems.append(place.problem("text_labels.no_region", line, "error"))
            continue
        yield _Row(page, place, *parsed)


def _page(pages: Pages, name: str, stem: str) -> Page | None:
    for own in (stem, re.sub(r"^(?:gt|res)_", "", stem)):
        if pages.tree.named_without_suffix(own):
            return pages.beside(name, own)
    if not _is_icdar(pages.root / name):
        return None
    return pages.beside(name, stem)  # says that it is missing


class Writer:
    """`labels/gt_NAME.txt`: four corners and the text of each region; "###" where it is unknown or can't be read."""

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = folder / "labels"
        self._taken: set[str] = set()

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None:
        """An outline of more than four corners becomes the smallest rectangle around it. Raises StorageError."""
        from manako.polygons import smallest_rectangle

        assert isinstance(prediction, TextRegions)
        rows = []
        for index, points in enumerate(prediction.polygons):
            quad = points if len(points) == 4 else smallest_rectangle(points)
            text = (prediction.texts[index] if prediction.texts else None) or "###"
            ignored = prediction.ignored is not None and prediction.ignored[index]
            numbers = ",".join(f"{value:.2f}".rstrip("0").rstrip(".") for value in quad.reshape(-1).tolist())
            rows.append(f"{numbers},{'###' if ignored else ' '.join(text.splitlines())}\n")
        stem = label_stem(image, self._taken)
        target = self._folder / posixpath.dirname(stem) / f"gt_{posixpath.basename(stem)}.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(target, "".join(rows))

    def finish(self) -> Path:
        return self._folder
