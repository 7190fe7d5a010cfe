"""Maps of classes as pictures: laid over an image, as a colour map, as a map of mistakes, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures.words import shorten
from manako.fonts import draw_text, text_width
from manako.types import IGNORE

# Told apart with any colour vision (Okabe and Ito 2008); further classes are lighter and darker versions.
_BASE = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (240, 228, 66)
)  # fmt: skip
_GROUND, _TEXT = (20, 23, 28), (255, 255, 255)
FOUND, MISSED, FALSE, OTHER = (255, 255, 255), (230, 159, 0), (86, 180, 233), (204, 121, 167)
_UNKNOWN = (90, 97, 107)
_OPACITY = 0.45
LEAST_WIDTH = 224

Ids = NDArray[np.uint8]
Pixels = NDArray[np.uint8]


def mask_colours() -> Pixels:
    """(256, 3): the colour of each class; the first is black, IGNORE is white."""
    table = np.zeros((256, 3), np.uint8)
    for index in range(1, 255):
        turn, base = divmod(index - 1, len(_BASE))
        colour = np.array(_BASE[base], np.float64)
        towards, share = (255, 0) if turn % 2 == 0 else (0, 255), min(0.8, 0.22 * ((turn + 1) // 2))
        table[index] = np.round(colour + (towards[0] - colour) * share)
    table[IGNORE] = 255
    return table


def resized(ids: Ids, width: int, height: int) -> Ids:
    """The nearest class of each pixel of another size."""
    if ids.shape == (height, width):
        return ids
    return np.asarray(Image.fromarray(ids).resize((width, height), Image.Resampling.NEAREST))


def borders(ids: Ids) -> NDArray[np.bool_]:
    """(H, W): pixels with a neighbour of another class in one of four directions."""
    edge = np.zeros(ids.shape, np.bool_)
    across, down = ids[:, :-1] != ids[:, 1:], ids[:-1] != ids[1:]
    edge[:, :-1] |= across
    edge[:, 1:] |= across
    edge[:-1] |= down
    edge[1:] |= down
    return edge


def overlay(image: Image.Image, ids: Ids, *, plain: int | None) -> Image.Image:
    """The classes' colours over a copy of the image, their borders in full colour. plain: a class that is not
    coloured (the background)."""
    picture = np.asarray(image.convert("RGB"), np.float32)
    ids = resized(ids, image.width, image.height)
    colours = mask_colours()[ids].astype(np.float32)
    if plain is None:
        colours[ids == 0] = _UNKNOWN
    shown = ids != plain if plain is not None else np.ones(ids.shape, np.bool_)
    strength = np.where(shown & (ids != IGNORE), np.where(borders(ids), 0.9, _OPACITY), 0.0)[..., None]
    grey = np.where((ids == IGNORE)[..., None], picture * 0.5 + 64, picture)
    return Image.fromarray(np.round(grey + (colours - grey) * strength).astype(np.uint8))


def mistakes(truth: Ids, prediction: Ids, *, plain: int | None) -> Image.Image:
    """Where a prediction is wrong. Agreement is white (black for the background), a missed part orange, a false one
    light blue, another class purple, unknown truth grey."""
    right = truth == prediction
    colours = np.empty((*truth.shape, 3), np.uint8)
    colours[...] = OTHER
    colours[right] = FOUND
    if plain is not None:
        colours[right & (truth == plain)] = 0
        colours[~right & (truth == plain)] = FALSE
        colours[~right & (prediction == plain)] = MISSED
    colours[truth == IGNORE] = _UNKNOWN
    return Image.fromarray(colours)


def with_legend(image: Image.Image, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> Image.Image:
    """A copy of the image over a strip with a coloured square and a name for each entry, in as many lines as needed."""
    if image.width < LEAST_WIDTH:
        factor = -(-LEAST_WIDTH // image.width)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    size = max(13.0, min(image.width, 1.5 * image.height) / 26)
    line, gap = round(1.7 * size), round(size / 2)
    places, x, row = [], gap, 0
    for name, colour in entries:
        shown = shorten(name, size, image.width - 2 * gap - 1.4 * size)
        needed = 1.4 * size + text_width(shown, size)
        if x > gap and x + needed > image.width - gap:
            x, row = gap, row + 1
        places.append((x, row, shown, colour))
        x += round(needed + 1.2 * size)
    height = (row + 1) * line + gap if entries else 0
    result = Image.new("RGB", (image.width, image.height + height), _GROUND)
    result.paste(image)
    draw = ImageDraw.Draw(result)
    for x, row, shown, colour in places:
        top = image.height + gap / 2 + row * line + (line - size) / 2
        draw.rectangle((x, top, x + size, top + size), colour, (160, 168, 178))
        draw_text(draw, x + 1.4 * size, top + 0.86 * size, shown, size=size, fill=_TEXT)
    return result
