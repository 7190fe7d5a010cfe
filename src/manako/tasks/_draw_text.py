"""Regions of text drawn on an image; beside it, where they were read, what they say at the same places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures.colours import LIGHT, class_style
from manako.figures.words import shorten
from manako.fonts import draw_text, text_width
from manako.polygons import from_top_left, sides_of
from manako.types import TextRegions

SMALLEST = 384  # pixels of the longer side; a smaller image is enlarged
TALL = 1.8  # times as tall as wide: a vertical line
_INK, _PAPER, _MISSED = (24, 27, 32), (255, 255, 255), (213, 94, 0)


def draw_regions(image: Image.Image, found: TextRegions, *, truth: TextRegions | None = None) -> Image.Image:
    """A copy of `image` (RGB) with all outlines: the found ones blue with a white rim, the true ones thin orange."""
    factor = max(1, -(-SMALLEST // max(image.size)))
    size = (image.width * factor, image.height * factor)
    picture = image.convert("RGB").resize(size, Image.Resampling.NEAREST)
    draw, width = ImageDraw.Draw(picture), max(2, round((size[0] * size[1]) ** 0.5 / 400))
    blue = LIGHT(class_style(0)[0])
    for polygon in found.polygons:
        _outline(draw, polygon * factor, _PAPER, width + 2)
        _outline(draw, polygon * factor, blue, width)
    for polygon in () if truth is None else truth.polygons:
        _outline(draw, polygon * factor, _MISSED, max(1, width // 2))
    if found.texts is None:
        return picture
    _numbers(draw, found, factor, blue)
    both = Image.new("RGB", (2 * size[0], size[1]), _PAPER)
    both.paste(picture)
    both.paste(readings(found, size, factor), (size[0], 0))
    return both


def _outline(draw: ImageDraw.ImageDraw, polygon: NDArray[np.float32], colour: tuple[int, ...], width: int) -> None:
    points = [(float(x), float(y)) for x, y in polygon]
    draw.line([*points, points[0]], fill=colour, width=width, joint="curve")


def _numbers(draw: ImageDraw.ImageDraw, found: TextRegions, factor: int, colour: tuple[int, ...]) -> None:
    """Where each line stands in the order of reading, at the corner where it begins."""
    for number, polygon in enumerate(found.polygons, 1):
        size = float(np.clip(0.6 * min(_sides(polygon)) * factor, 9, 26))
        x, y = (polygon[0] * factor).tolist()
        wide = text_width(str(number), size) + 0.5 * size
        x, y = max(0.0, x - wide), max(0.0, y)
        draw.rectangle((x, y, x + wide, y + 1.2 * size), fill=colour)
        draw_text(draw, x + 0.25 * size, y + 0.95 * size, str(number), size=size, fill=_PAPER, bold=True)


def readings(found: TextRegions, size: tuple[int, int], factor: int = 1) -> Image.Image:
    """White paper of `size` (width, height) with each text where it was found, as large as it fits there."""
    paper = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(paper)
    draw.line([(0, 0), (0, size[1])], fill=(200, 204, 210), width=2)
    for polygon, text in zip(found.polygons, found.texts or (), strict=True):
        if not text:
            continue
        quad = polygon * factor
        wide, high = _sides(quad)
        left, top = quad.min(0).tolist()
        if high > TALL * wide:
            step = min(0.95 * wide, high / len(text))
            for i, character in enumerate(text):
                draw_text(draw, left, top + (i + 0.88) * step, character, size=step, fill=_INK)
            continue
        letters = float(np.clip(min(0.8 * high, wide / max(text_width(text, 1.0), 1e-6)), 6, 200))
        base = float(quad[:, 1].mean()) + 0.35 * letters
        shown = shorten(text, letters, max(size[0] - left - 4, letters))
        draw_text(draw, left, base, shown, size=letters, fill=_INK)
    return paper


def _sides(polygon: NDArray[np.float32]) -> tuple[float, float]:
    """(width, height) of the region."""
    if len(polygon) == 4:
        return sides_of(from_top_left(polygon))
    wide, high = np.ptp(polygon, axis=0).tolist()
    return wide, high
