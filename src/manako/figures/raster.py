"""The Pillow canvas. Everything is drawn at twice the size and reduced, which smooths every edge alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures.canvas import Anchor, Point
from manako.figures.colours import Dash, Rgb
from manako.figures.geometry import dashed
from manako.figures.words import clean
from manako.fonts import draw_text, text_width

_SMOOTH = 2


class PillowCanvas:
    def __init__(self, width: float, height: float, *, ground: Rgb, scale: float) -> None:
        self._size = (max(1, math.ceil(width * scale)), max(1, math.ceil(height * scale)))
        self._scale = scale * _SMOOTH
        self._image = Image.new("RGB", (self._size[0] * _SMOOTH, self._size[1] * _SMOOTH), ground)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def finish(self) -> Image.Image:
        return self._image.resize(self._size, Image.Resampling.BOX)

    def _at(self, points: Sequence[Point]) -> list[tuple[float, float]]:
        return [(x * self._scale, y * self._scale) for x, y in points]

    def _width(self, width: float) -> int:
        return max(1, round(width * self._scale))

    def line(self, points: Sequence[Point], colour: Rgb, width: float, dash: Dash = ()) -> None:
        for piece in dashed(points, dash) if dash else [points]:
            if len(piece) > 1:
                self._draw.line(self._at(piece), colour, self._width(width), joint="curve" if len(piece) > 2 else None)

    def polygon(
        self,
        points: Sequence[Point],
        fill: Rgb | None,
        *,
        stroke: Rgb | None = None,
        width: float = 1,
        opacity: float = 1,
    ) -> None:
        if fill:
            self._draw.polygon(self._at(points), (*fill, round(255 * opacity)))
        if stroke:
            self.line([*points, points[0], points[1]], stroke, width)

    def circle(
        self, centre: Point, radius: float, fill: Rgb | None, *, stroke: Rgb | None = None, width: float = 1
    ) -> None:
        (x, y), r = self._at([centre])[0], (radius + (width / 2 if stroke else 0)) * self._scale
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill, stroke, self._width(width) if stroke else 0)

    def image(self, pixels: NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
        (x0, y0), (x1, y1) = self._at([(left, top), (left + width, top + height)])
        box = round(x0), round(y0), max(round(x1), round(x0) + 1), max(round(y1), round(y0) + 1)
        source = Image.fromarray(pixels)
        large = pixels.shape[1] > box[2] - box[0]
        how = Image.Resampling.BOX if large else Image.Resampling.NEAREST
        self._image.paste(source.resize((box[2] - box[0], box[3] - box[1]), how), box[:2])

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: float,
        colour: Rgb,
        anchor: Anchor = "start",
        angle: float = 0,
        bold: bool = False,
    ) -> None:
        text, size = clean(text), size * self._scale
        (x, y), width = self._at([at])[0], text_width(text, size)
        shift = {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        if not angle:
            draw_text(self._draw, x - shift, y, text, size=size, fill=colour, bold=bold)
            return
        # Turned text: a square mask whose centre is the anchor, turned about it.
        reach = math.ceil(max(shift, width - shift) + 2 * size)
        mask = Image.new("L", (2 * reach, 2 * reach))
        draw_text(ImageDraw.Draw(mask), reach - shift, reach, text, size=size, fill=255, bold=bold)
        turned = mask.rotate(-angle, Image.Resampling.BICUBIC)
        self._image.paste(colour, (round(x) - reach, round(y) - reach), turned)
