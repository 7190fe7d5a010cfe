"""One line of text as ink: in a font, set wide or narrow, horizontal or vertical."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from manako.samples.paper import Random, as_jpeg, put_on_paper, seen_from_aside, warp
from manako.samples.typefaces import Font, Typeface

SIZES = (14, 16, 18, 20, 22, 25, 28, 32, 36, 40)  # pixels of the em; few, as each font is opened in each
# In vertical lines these are turned with the line, those stand in the upper right of their cell.
TURNED = "ー〜…‥（）〔〕［］｛｝〈〉《》「」『』【】()[]{}<>-−=＝：；→←↑↓～"
UPPER_RIGHT = "、。，．"
SMALL_KANA = "ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ"


def print_line(text: str, face: Typeface, random: Random, *, vertical: bool = False, neighbour: str = "") -> bytes:
    """A JPEG file. Vertical lines are turned a quarter counter-clockwise, so that they are read from left to right,
    too. neighbour: what stands on the lines above and below, of which a little may be seen."""
    size = SIZES[int(random.integers(len(SIZES)))]
    sheet = line_sheet(text, face.at(size), random, vertical=vertical, neighbour=neighbour)
    if random.random() < 0.6:
        sheet = warp(sheet, seen_from_aside(random, *sheet.size, reach=0.05))
    ink = np.asarray(sheet, np.float32) / np.float32(255)
    return as_jpeg(put_on_paper(ink, random), random)


def line_sheet(text: str, font: Font, random: Random, *, vertical: bool = False, neighbour: str = "") -> Image.Image:
    """Ink (0..255) of one line with its margins, sometimes with a rule, a frame or the edges of other lines."""
    strip = vertical_strip(text, font) if vertical else horizontal_strip(text, font, _tracking(random, font))
    if random.random() < 0.3:  # condensed or expanded
        strip = strip.resize((max(1, round(strip.width * random.uniform(0.8, 1.2))), strip.height))
    em = font.size
    left, right = (int(em * random.uniform(0.0, 0.6)) + 1 for _ in range(2))
    above, below = (int(em * random.uniform(0.02, 0.35)) + 1 for _ in range(2))
    sheet = Image.new("L", (strip.width + left + right, strip.height + above + below))
    sheet.paste(strip, (left, above))
    draw = ImageDraw.Draw(sheet)
    if neighbour and random.random() < 0.15:
        other = horizontal_strip(neighbour, font, 0.0)
        gap = int(em * random.uniform(0.05, 0.2))
        for top in (above - gap - other.height, above + strip.height + gap):
            sheet.paste(other, (left - int(random.integers(0, round(2 * em))), top))
    if random.random() < 0.06:
        y = above + strip.height + int(random.integers(-1, 2))
        draw.line((left, y, left + strip.width, y), int(random.integers(120, 256)), int(random.integers(1, 3)))
    if random.random() < 0.04:
        x, y = random.integers(0, 2, 2).tolist()
        draw.rectangle((x, y, sheet.width - 1 - x, sheet.height - 1 - y), outline=int(random.integers(120, 256)))
    return sheet


def _tracking(random: Random, font: Font) -> float:
    """Pixels between characters beyond what the font has."""
    return random.uniform(-0.04, 0.25) * font.size if random.random() < 0.2 else 0.0


def horizontal_strip(text: str, font: Font, tracking: float) -> Image.Image:
    """The ink and no more, but at least from the height of letters to the depth of g."""
    pieces = [text] if not tracking else list(text)
    starts = np.concatenate([[0.0], np.cumsum([font.getlength(piece) + tracking for piece in pieces])])
    em = int(np.ceil(font.size))
    image = Image.new("L", (int(starts[-1]) + 3 * em, 3 * em))
    draw = ImageDraw.Draw(image)
    for start, piece in zip(starts.tolist(), pieces, strict=False):
        draw.text((em + start, 2 * em), piece, 255, font, anchor="ls")
    box = image.getbbox() or (em, 2 * em, em + 1, 2 * em)
    top, bottom = min(box[1], round(2 * em - 0.7 * em)), max(box[3], round(2 * em + 0.15 * em))
    return image.crop((box[0], top, box[2], bottom))


def vertical_strip(text: str, font: Font) -> Image.Image:
    """A vertical line, turned a quarter counter-clockwise."""
    return vertical_column(text, font)[0].transpose(Image.Transpose.ROTATE_90)


def vertical_column(text: str, font: Font) -> tuple[Image.Image, int]:
    """Characters one below the other in cells of one em: the ink and no more, but at least most of the cells' width.
    And by how much its left side lies right of the cells'."""
    em = int(np.ceil(font.size))
    column = Image.new("L", (2 * em, em * len(text) + em))
    for number, character in enumerate(text):
        column.paste(_cell(character, font, em), (em // 2, em // 2 + number * em))
    box = column.getbbox() or (em // 2, 0, em // 2 + 1, 1)
    left, right = min(box[0], em // 2 + em // 8), max(box[2], em // 2 + em - em // 8)
    return column.crop((left, box[1], right, box[3])), left - em // 2


def _cell(character: str, font: Font, em: int) -> Image.Image:
    """One character as vertical lines have it."""
    cell = Image.new("L", (em, em))
    x, y = em / 2, em / 2
    if character in UPPER_RIGHT:
        x, y = x + 0.6 * em, y - 0.6 * em
    elif character in SMALL_KANA:
        x, y = x + 0.12 * em, y - 0.12 * em
    baseline = y + 0.38 * em  # the ideographic em box reaches from -0.12 to 0.88 of it
    ImageDraw.Draw(cell).text((x, baseline), character, 255, font, anchor="ms")
    return cell.transpose(Image.Transpose.ROTATE_270) if character in TURNED else cell
