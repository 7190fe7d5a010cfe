"""Marks that fill a panel with cells: pictures, heat maps, tables of numbers.

Row 0 stands at the lower end of the y axis; a panel that shows a picture turns its axis round (`Axis(reverse=True)`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from manako.figures.canvas import Canvas
from manako.figures.colours import Palette, class_style, magnitude, readable_on, shade, signed
from manako.figures.geometry import Box
from manako.figures.marks import ColourBar, Mark, Span
from manako.figures.view import Style, View
from manako.fonts import text_width

Kind = Literal["magnitude", "signed", "shade", "classes"]
_NUMBER_SIZE = 8.0  # the smallest number that is written into a cell


def _span(extent: tuple[float, float, float, float] | None, shape: tuple[int, ...]) -> Span:
    left, right, low, high = extent or (-0.5, shape[1] - 0.5, -0.5, shape[0] - 0.5)
    return np.array([left, right]), np.array([low, high])


def _draw_pixels(view: View, pixels: NDArray[np.uint8], span: Span) -> None:
    (x0, y0), (x1, y1) = view.points(*span).tolist()
    if x0 > x1:
        pixels = pixels[:, ::-1]
    if y0 > y1:
        pixels = pixels[::-1]
    view.canvas.image(np.ascontiguousarray(pixels), min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))


@dataclass(frozen=True, eq=False)
class Image(Mark):
    """A picture: (H, W) or (H, W, 3) uint8, over `extent` (left, right, y of row 0's edge, y of the last's)."""

    tight: ClassVar[bool] = True
    numbered: ClassVar[bool] = False
    pixels: NDArray[np.uint8]
    extent: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim not in (2, 3) or self.pixels.size == 0:
            raise ValueError(f"an image must be (H, W) or (H, W, 3) uint8, not {self.pixels.shape} {self.pixels.dtype}")

    def span(self) -> Span:
        return _span(self.extent, self.pixels.shape)

    def draw(self, view: View, style: Style) -> None:
        colour = self.pixels if self.pixels.ndim == 3 else np.repeat(self.pixels[..., None], 3, -1)
        _draw_pixels(view, colour[..., :3], self.span())


@dataclass(frozen=True, eq=False)
class Heatmap(Mark):
    """`values` (H, W) as colours; NaN is drawn in the ground's colour.

    kind: "magnitude" (how much), "signed" (blue, 0, orange), "shade" (white to blue), "classes" (whole numbers, pale
    class colours). `low` and `high` are the ends of the colour scale, by default those of the values; `label` names it.
    """

    tight: ClassVar[bool] = True
    numbered: ClassVar[bool] = False
    values: NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
    kind: Kind = "magnitude"
    extent: tuple[float, float, float, float] | None = None
    low: float | None = None
    high: float | None = None
    name: str = ""
    scale: bool = True

    def __post_init__(self) -> None:
        if np.ndim(self.values) != 2 or np.size(self.values) == 0:
            raise ValueError(f"a heat map needs (H, W) numbers, not {np.shape(self.values)}")

    def span(self) -> Span:
        return _span(self.extent, np.shape(self.values))

    def ends(self) -> tuple[float, float]:
        finite = np.asarray(self.values, np.float64)[np.isfinite(self.values)]
        low = self.low if self.low is not None else float(finite.min(initial=np.inf)) if finite.size else 0.0
        high = self.high if self.high is not None else float(finite.max(initial=-np.inf)) if finite.size else 1.0
        if self.kind == "signed":
            reach = max(abs(low), abs(high)) or 1.0
            return -reach, reach
        return low, high if high > low else low + 1.0

    def colours(self, values: NDArray[np.float64], palette: Palette) -> NDArray[np.uint8]:
        """(..., 3) of `values` (...)."""
        if self.kind == "classes":
            known = [palette(class_style(index)[0]) for index in range(6)]
            pale = np.array(known, np.float64) * 0.25 + np.array(palette("ground")) * 0.75
            classes = np.nan_to_num(values).astype(np.int64) % 6
            return np.asarray(pale[classes].round(), np.uint8)
        low, high = self.ends()
        if self.kind == "signed":
            mapped = signed(values / high, palette)
        else:
            fraction = (values - low) / (high - low)
            mapped = shade(fraction, palette) if self.kind == "shade" else magnitude(fraction)
        return np.where(np.isfinite(values)[..., None], mapped, np.array(palette("ground"), np.uint8)).astype(np.uint8)

    def draw(self, view: View, style: Style) -> None:
        _draw_pixels(view, self.colours(np.asarray(self.values, np.float64), view.palette), self.span())

    def bar(self, width: float, height: float) -> ColourBar | None:
        if not self.scale or self.kind == "classes":
            return None
        low, high = self.ends()
        steps = np.linspace(low, high, 128)
        return ColourBar(low, high, lambda palette: self.colours(steps, palette), self.name)


@dataclass(frozen=True, eq=False)
class Cells(Mark):
    """A table: each value of `values` (R, C) as a coloured cell with its number, or with `texts` (R, C), in it.

    Where the cells are too small for numbers, a colour scale stands beside them.
    """

    tight: ClassVar[bool] = True
    numbered: ClassVar[bool] = False
    values: NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
    texts: Sequence[Sequence[str]] = ()
    kind: Kind = "shade"
    low: float | None = None
    high: float | None = None
    decimals: int = 0
    name: str = ""
    outlined: Sequence[tuple[int, int]] = ()  # (row, column) of cells with a strong edge

    def __post_init__(self) -> None:
        if np.ndim(self.values) != 2 or np.size(self.values) == 0:
            raise ValueError(f"a table needs (R, C) numbers, not {np.shape(self.values)}")

    def span(self) -> Span:
        return _span(None, np.shape(self.values))

    def _map(self) -> Heatmap:
        return Heatmap(self.values, self.kind, low=self.low, high=self.high, name=self.name)

    def _strings(self) -> list[list[str]]:
        if len(self.texts):
            return [list(row) for row in self.texts]
        values = np.asarray(self.values, np.float64).tolist()
        return [["–" if v != v else f"{v:.{self.decimals}f}".replace("-", "−") for v in row] for row in values]

    def number_size(self, width: float, height: float) -> float:
        """Size of the largest text that fits the cells of a panel of `width` x `height` pixels; 0 where none does."""
        rows, columns = np.shape(self.values)
        longest = max(
            (text_width(part, 1) for row in self._strings() for t in row for part in t.split("\n")), default=0
        )
        lines = max((t.count("\n") + 1 for row in self._strings() for t in row), default=1)
        size = min((width / columns - 4) / max(longest, 1e-9), (height / rows - 2) / (1.3 * lines), 13.0)
        return size if size >= _NUMBER_SIZE else 0

    def draw(self, view: View, style: Style) -> None:
        colours = self._map().colours(np.asarray(self.values, np.float64), view.palette)
        size = self.number_size(view.box.width, view.box.height)
        _draw_pixels(view, colours, self.span())
        if view.box.width / colours.shape[1] >= 8:
            self._lines(view)
        if size:
            for row, texts in enumerate(self._strings()):
                for column, text in enumerate(texts):
                    at = view.points(column, row)[0].tolist()
                    ink = readable_on(tuple(colours[row, column].tolist()))
                    view.write((at[0], at[1]), text.split("\n"), size=size, colour=ink)
        for row, column in self.outlined:
            x, y = np.array([-0.5, 0.5, 0.5, -0.5]) + column, np.array([-0.5, -0.5, 0.5, 0.5]) + row
            view.line(np.append(x, x[0]), np.append(y, y[0]), view.palette("text"), 2.5)

    def _lines(self, view: View) -> None:
        rows, columns = np.shape(self.values)
        colour = view.palette("line")
        for row in range(rows + 1):
            view.line([-0.5, columns - 0.5], [row - 0.5] * 2, colour, 1)
        for column in range(columns + 1):
            view.line([column - 0.5] * 2, [-0.5, rows - 0.5], colour, 1)

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        """Tables stand in no legend."""

    def bar(self, width: float, height: float) -> ColourBar | None:
        return None if self.number_size(width, height) or self.kind == "classes" else self._map().bar(width, height)
