"""Generated pages: a title, paragraphs in columns, lists, tables, vertical Japanese, with the outline of each line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.samples.paper import Random, as_jpeg, moved, put_on_paper, seen_from_aside, warp
from manako.samples.printing import vertical_column
from manako.samples.typefaces import Font, Typeface

WIDTHS = (480, 900)  # pixels of a page
SHAPES = (1.0, 1.42, 1.42, 2.0)  # height over width: a card, A4, a receipt
EMS = (14, 16, 18, 20, 24)
BLANK = 0.03  # of all pages
Quad = NDArray[np.float64]  # (4, 2), clockwise from where the text begins
Texts = Callable[[int], str]  # the longest length -> a text that the font can write


@dataclass
class Sheet:
    """A flat page while it is being set. quads and texts: of the lines so far."""

    ink: Image.Image
    face: Typeface
    write: Texts
    random: Random
    quads: list[Quad] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def em_width(self) -> float:
        """Width of a usual character over the em."""
        return 0.95 if self.face.at(20).getlength("国") >= 16 and self.face.has("国") else 0.55

    def line(self, left: float, top: float, text: str, font: Font, *, most: float) -> float:
        """One horizontal line, cut where it would be wider than `most`. Returns where it ends."""
        while len(text) > 1 and font.getlength(text) > most:
            text = text[:-1].rstrip()
        baseline = top + 0.88 * font.size
        draw = ImageDraw.Draw(self.ink)
        x0, y0, x1, y1 = draw.textbbox((left, baseline), text, font, anchor="ls")
        if not text or x1 <= x0 or x1 > self.ink.width or y1 > self.ink.height:
            return left
        draw.text((left, baseline), text, 255, font, anchor="ls")
        self._add(text, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
        return float(x1)

    def column(self, right: float, top: float, text: str, font: Font) -> None:
        """One vertical line, whose cells end at `right`."""
        strip, shift = vertical_column(text, font)
        x0, y0 = round(right - font.size) + shift, round(top)
        x1, y1 = x0 + strip.width, y0 + strip.height
        if x0 < 0 or y1 > self.ink.height:
            return
        self.ink.paste(strip, (x0, y0))
        self._add(text, [(x1, y0), (x1, y1), (x0, y1), (x0, y0)])

    def _add(self, text: str, corners: list[tuple[float, float]]) -> None:
        self.quads.append(np.array(corners, float))
        self.texts.append(text)


def print_page(face: Typeface, write: Texts, random: Random, *, vertical: bool = False) -> tuple[bytes, list[str]]:
    """A JPEG file, and its truth as ICDAR has it: eight coordinates and the text, one line a row."""
    sheet = set_page(face, write, random, vertical=vertical)
    ink = np.asarray(sheet.ink, np.float32) / np.float32(255)
    pixels = as_jpeg(put_on_paper(ink, random, rough=0.7), random, low=60)
    rows = [",".join([*(f"{v:.1f}" for v in q.reshape(-1)), t]) for q, t in zip(sheet.quads, sheet.texts, strict=True)]
    return pixels, rows


def set_page(face: Typeface, write: Texts, random: Random, *, vertical: bool = False) -> Sheet:
    """The ink of a page as it lies before the camera, and where its lines are."""
    width = int(random.integers(*WIDTHS))
    height = round(width * SHAPES[int(random.integers(len(SHAPES)))])
    sheet = Sheet(Image.new("L", (width, height)), face, write, random)
    if random.random() >= BLANK:
        (_set_vertically if vertical else _set_blocks)(sheet)
    if random.random() < 0.7:
        corners = seen_from_aside(random, width, height, reach=0.012)
        sheet.ink = warp(sheet.ink, corners)
        sheet.quads = [moved(quad, (width, height), corners) for quad in sheet.quads]
    return sheet


def _set_blocks(sheet: Sheet) -> None:
    """Blocks of one or two columns from top to bottom."""
    random, (width, height) = sheet.random, sheet.ink.size
    margin = width * random.uniform(0.04, 0.1)
    em = EMS[int(random.integers(len(EMS)))]
    y = margin + em
    if random.random() < 0.7:
        font = sheet.face.at(round(em * random.uniform(1.3, 2.2)))
        sheet.line(margin, y, sheet.write(12), font, most=width - 2 * margin)
        y += 1.8 * font.size
    while y < height - margin - 2 * em:
        columns = 2 if width > 640 and random.random() < 0.4 else 1
        kinds = (_paragraph, _paragraph, _list, _table)
        room = (width - 2 * margin - (columns - 1) * 1.5 * em) / columns
        lowest, kind = y, kinds[int(random.integers(len(kinds)))]
        for number in range(columns):
            left = margin + number * (room + 1.5 * em)
            lowest = max(lowest, kind(sheet, left, y, room, height - margin, em))
        y = lowest + em * random.uniform(0.6, 2.0)


def _paragraph(sheet: Sheet, left: float, top: float, room: float, bottom: float, em: int) -> float:
    font, step = sheet.face.at(em), em * sheet.random.uniform(1.25, 1.9)
    for number in range(int(sheet.random.integers(2, 9))):
        if top + 1.3 * em > bottom:
            break
        indent = em if number == 0 and sheet.random.random() < 0.5 else 0
        text = _long(sheet, int((room - indent) / (em * sheet.em_width)))
        sheet.line(left + indent, top, text, font, most=room - indent)
        top += step
    return top


def _list(sheet: Sheet, left: float, top: float, room: float, bottom: float, em: int) -> float:
    """Names at the left, numbers at the right: a receipt."""
    font, step = sheet.face.at(em), em * sheet.random.uniform(1.3, 2.0)
    for _ in range(int(sheet.random.integers(2, 10))):
        if top + 1.3 * em > bottom:
            break
        end = sheet.line(left, top, sheet.write(12), font, most=room * 0.6)
        value = f"{int(10 ** sheet.random.uniform(1, 5)):,}"
        wide = font.getlength(value)
        if end + em < left + room - wide:
            sheet.line(left + room - wide - 1, top, value, font, most=wide + 1)
        top += step
    return top


def _table(sheet: Sheet, left: float, top: float, room: float, bottom: float, em: int) -> float:
    """Cells between rules, each a line of its own."""
    random, font, step = sheet.random, sheet.face.at(em), em * sheet.random.uniform(1.6, 2.2)
    columns = int(random.integers(2, 5))
    rows = min(int(random.integers(2, 8)), int((bottom - top) / step))
    wide, draw, shade = room / columns, ImageDraw.Draw(sheet.ink), int(random.integers(90, 256))
    for row in range(rows):
        y = top + row * step
        for column in range(columns):
            if random.random() < 0.9:
                text = sheet.write(max(1, int((wide - em) / (em * sheet.em_width))))
                sheet.line(left + column * wide + em / 2, y + (step - em) / 2, text, font, most=wide - em)
    for row in range(rows + 1):
        draw.line((left, top + row * step, left + room, top + row * step), shade)
    if random.random() < 0.5:
        for column in range(columns + 1):
            draw.line((left + column * wide, top, left + column * wide, top + rows * step), shade)
    return top + rows * step


def _set_vertically(sheet: Sheet) -> None:
    """Columns from right to left, in one or two storeys."""
    random, (width, height) = sheet.random, sheet.ink.size
    em, margin = EMS[int(random.integers(len(EMS)))], width * random.uniform(0.05, 0.1)
    font, step = sheet.face.at(em), em * random.uniform(1.4, 2.0)
    storeys = 2 if height > 700 and random.random() < 0.5 else 1
    room = (height - 2 * margin - (storeys - 1) * 2 * em) / storeys
    for storey in range(storeys):
        top, right = margin + storey * (room + 2 * em), width - margin
        while right - em > margin:
            longest = int(room / em) - 1
            if longest >= 1 and random.random() < 0.93:
                sheet.column(right, top, _long(sheet, int(random.integers(max(1, longest // 2), longest + 1))), font)
            right -= step


def _long(sheet: Sheet, length: int) -> str:
    """A text of about `length` characters, at least one."""
    text = sheet.write(max(1, min(length, 24)))
    while len(text) < 0.8 * length:
        text += " " * (sheet.em_width < 0.8) + sheet.write(max(1, min(length - len(text), 24)))
    return text[: max(1, length)].strip() or text
