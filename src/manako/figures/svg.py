"""The SVG canvas: one self-contained file, text as text, no scripts, no links."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from io import BytesIO
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.figures.canvas import Anchor, Point
from manako.figures.colours import Dash, Rgb, hexadecimal
from manako.figures.words import clean
from manako.fonts import text_width

_FAMILY = (
    "'M PLUS 1', system-ui, 'Hiragino Sans', 'Yu Gothic UI', 'Noto Sans JP', 'Noto Sans CJK JP', 'DejaVu Sans', "
    "sans-serif"
)


def _n(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:g}"


def _points(points: Sequence[Point]) -> str:
    return " ".join(f"{round(float(x), 2)},{round(float(y), 2)}" for x, y in points)


def _paint(fill: Rgb | None, stroke: Rgb | None, width: float) -> str:
    text = f'fill="{hexadecimal(fill) if fill else "none"}"'
    return f'{text} stroke="{hexadecimal(stroke)}" stroke-width="{_n(width)}"' if stroke else text


class SvgCanvas:
    def __init__(self) -> None:
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], colour: Rgb, width: float, dash: Dash = ()) -> None:
        dashes = f' stroke-dasharray="{" ".join(_n(d) for d in dash)}"' if dash else ""
        self._parts.append(
            f'<polyline points="{_points(points)}" {_paint(None, colour, width)} stroke-linejoin="round"{dashes}/>'
        )

    def polygon(
        self,
        points: Sequence[Point],
        fill: Rgb | None,
        *,
        stroke: Rgb | None = None,
        width: float = 1,
        opacity: float = 1,
    ) -> None:
        see_through = f' fill-opacity="{_n(opacity)}"' if opacity < 1 else ""
        self._parts.append(f'<polygon points="{_points(points)}" {_paint(fill, stroke, width)}{see_through}/>')

    def circle(
        self, centre: Point, radius: float, fill: Rgb | None, *, stroke: Rgb | None = None, width: float = 1
    ) -> None:
        place = f'cx="{_n(centre[0])}" cy="{_n(centre[1])}" r="{_n(radius)}"'
        self._parts.append(f"<circle {place} {_paint(fill, stroke, width)}/>")

    def image(self, pixels: NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
        # Not every viewer keeps pixels sharp when it enlarges: they come enlarged.
        rows, columns = (max(1, math.ceil(2 * a / b)) for a, b in ((height, pixels.shape[0]), (width, pixels.shape[1])))
        pixels = np.repeat(np.repeat(pixels, rows, 0), columns, 1)
        file = BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        data = base64.b64encode(file.getvalue()).decode("ascii")
        self._parts.append(
            f'<image x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" preserveAspectRatio="none" '
            f'style="image-rendering:pixelated" href="data:image/png;base64,{data}"/>'
        )

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
        place = f'x="{_n(at[0])}" y="{_n(at[1])}" font-size="{_n(size)}" text-anchor="{anchor}"'
        if angle:
            place += f' transform="rotate({_n(angle)} {_n(at[0])} {_n(at[1])})"'
        if bold:
            place += ' font-weight="600"'
        # The reader's fonts may be wider than ours: textLength keeps every line in the room measured for it.
        fit = f' textLength="{_n(text_width(text, size))}" lengthAdjust="spacingAndGlyphs"' if len(text) > 1 else ""
        self._parts.append(f"<text {place} {_paint(colour, None, 0)}{fit}>{escape(clean(text))}</text>")

    def document(self, width: float, height: float, *, ground: Rgb, title: str, description: str) -> str:
        """The whole file; `title` and `description` are read out by screen readers."""
        body = "\n".join(self._parts)
        # Several figures may stand in one page: ids come from the content.
        name = "f" + hashlib.sha256((title + body).encode("utf-8", "replace")).hexdigest()[:10]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(width)}" height="{_n(height)}" '
            f'viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-labelledby="{name}t {name}d" '
            f'font-family="{escape(_FAMILY)}">\n'
            f'<title id="{name}t">{escape(clean(title))}</title>\n'
            f'<desc id="{name}d">{escape(clean(description))}</desc>\n'
            f'<rect width="100%" height="100%" fill="{hexadecimal(ground)}"/>\n{body}\n</svg>\n'
        )
