"""What a mark draws with: a panel's canvas, its rectangle, and the scales that lead from data to pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from manako.figures.canvas import Anchor, Canvas, Point
from manako.figures.colours import Dash, Palette, Rgb
from manako.figures.geometry import Box, clip_line, clip_polygon
from manako.figures.scales import Scale
from manako.figures.sizes import CAP, LINE
from manako.figures.words import widest

_TINY = 7.0  # text smaller than this is not drawn


@dataclass(frozen=True)
class Style:
    """How one series is told from the others."""

    colour: Rgb
    dash: Dash = ()
    marker: str = "circle"


@dataclass(frozen=True)
class View:
    canvas: Canvas
    palette: Palette
    box: Box
    x: Scale
    y: Scale

    def points(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """Pixels (N, 2) of data coordinates (N,) and (N,), which may be single numbers."""
        across, down = np.broadcast_arrays(np.atleast_1d(self.x(x)), np.atleast_1d(self.y(y)))
        return np.stack([across, down], -1)

    def line(self, x: ArrayLike, y: ArrayLike, colour: Rgb, width: float, dash: Dash = ()) -> None:
        for piece in clip_line(self.points(x, y), self.box):
            self.canvas.line(piece, colour, width, dash)

    def polygon(
        self, x: ArrayLike, y: ArrayLike, fill: Rgb | None, *, stroke: Rgb | None = None, opacity: float = 1
    ) -> None:
        points: list[Point] = [(a, b) for a, b in self.points(x, y).tolist() if a == a and b == b]
        clipped = clip_polygon(points, self.box)
        if clipped:
            self.canvas.polygon(clipped, fill, stroke=stroke, opacity=opacity)

    def write(
        self,
        at: Point,
        lines: Sequence[str],
        *,
        size: float,
        colour: Rgb,
        anchor: Anchor = "middle",
        bold: bool = False,
        ground: Rgb | None = None,
    ) -> None:
        """Lines of text around the pixel `at`, moved and, if need be, made smaller to stay within the panel."""
        width = widest(lines, size)
        size *= min(1.0, self.box.width / max(width, 1e-9), self.box.height / (len(lines) * size * LINE))
        if size < _TINY:
            return
        width, height = widest(lines, size), len(lines) * size * LINE
        left = at[0] - {"start": 0, "middle": width / 2, "end": width}[anchor]
        left = min(max(left, self.box.left), self.box.right - width)
        top = min(max(at[1] - height / 2, self.box.top), self.box.bottom - height)
        if ground:
            corners = Box(left - 2, top, width + 4, height).corners
            self.canvas.polygon(corners, ground, opacity=0.85)
        shift = {"start": 0, "middle": width / 2, "end": width}[anchor]
        for index, line in enumerate(lines):
            baseline = top + (index + 0.5) * size * LINE + CAP * size
            self.canvas.text((left + shift, baseline), line, size=size, colour=colour, anchor=anchor, bold=bold)


_SHAPES: dict[str, list[Point]] = {
    "triangle": [(0, -1.15), (1.05, 0.75), (-1.05, 0.75)],
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    "cross": [
        (-0.35, -1.1), (0.35, -1.1), (0.35, -0.35), (1.1, -0.35), (1.1, 0.35), (0.35, 0.35),
        (0.35, 1.1), (-0.35, 1.1), (-0.35, 0.35), (-1.1, 0.35), (-1.1, -0.35), (-0.35, -0.35),
    ],
}  # fmt: skip


def draw_marker(canvas: Canvas, name: str, at: Point, radius: float, colour: Rgb, ground: Rgb) -> None:
    """One of `colours.MARKERS`, with a thin edge in the ground's colour so that neighbours stay apart."""
    if name == "circle":
        canvas.circle(at, radius, colour, stroke=ground, width=0.8)
    elif name == "ring":
        canvas.circle(at, radius * 0.85, None, stroke=colour, width=min(max(radius * 0.4, 1), 1.8))
    else:
        shape = [(at[0] + x * radius, at[1] + y * radius) for x, y in _SHAPES[name]]
        canvas.polygon(shape, colour, stroke=ground, width=0.8)


def draw_arrow(canvas: Canvas, start: Point, end: Point, colour: Rgb, width: float, dash: Dash = ()) -> None:
    """A line with a filled head at `end`."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(across, down))
    if length < 1e-6:
        return
    head = min(4 + 2.5 * width, length)
    x, y = across / length, down / length
    base = (end[0] - x * head, end[1] - y * head)
    canvas.line([start, base], colour, width, dash)
    half = head * 0.45
    canvas.polygon([end, (base[0] - y * half, base[1] + x * half), (base[0] + y * half, base[1] - x * half)], colour)
