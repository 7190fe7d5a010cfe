"""What stands in a panel: lines, points, rules, text, arrows. Each mark is data and knows how to draw itself.

A mark with a `label` appears in the legend. `colour` is a name of the palette or "#rrggbb"; left out, each mark gets
the next colour, dash pattern and marker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from manako.figures.canvas import Anchor, Canvas
from manako.figures.colours import Dash, Palette, Rgb
from manako.figures.geometry import Box
from manako.figures.sizes import CAP
from manako.figures.view import Style, View, draw_arrow, draw_marker

Numbers = Sequence[float] | NDArray[np.floating[Any]] | NDArray[np.integer[Any]]
Span = tuple[NDArray[np.float64], NDArray[np.float64]]  # the x and the y values that the axes must hold


@dataclass(frozen=True)
class ColourBar:
    """The scale beside a picture of numbers: `colours` gives (N, 3), from `low` to `high`, in a palette."""

    low: float
    high: float
    colours: Callable[[Palette], NDArray[np.uint8]]
    label: str


class Mark:
    """Base of all marks; by itself it draws nothing."""

    label: str = ""
    colour: str | None = None
    dash: Dash | None = None
    tight: ClassVar[bool] = False  # fills the panel to its edges: no margin, no grid
    numbered: ClassVar[bool] = True  # takes the next colour where it has none

    def span(self) -> Span:
        return np.empty(0), np.empty(0)

    def draw(self, view: View, style: Style) -> None:
        """Draw on the panel."""

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        """Draw the sign that stands before the label in the legend: by default a filled patch."""
        canvas.polygon(Box(box.left + 4, box.top, box.width - 8, box.height).corners, style.colour)

    def bar(self, width: float, height: float) -> ColourBar | None:
        """The colour scale to stand beside a panel of `width` x `height` pixels."""
        return None


def as_array(values: Numbers | float) -> NDArray[np.float64]:
    return np.atleast_1d(np.asarray(values, np.float64))


def same_length(mark: Mark, *columns: Numbers) -> None:
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1:
        raise ValueError(f"{type(mark).__name__} needs columns of one length, not {lengths}")


@dataclass(frozen=True, eq=False)
class Line(Mark):
    """A line through the points; a NaN breaks it. `marker` names a sign to put on each point."""

    x: Numbers
    y: Numbers
    label: str = ""
    colour: str | None = None
    dash: Dash | None = None
    width: float = 2
    marker: str = ""

    def __post_init__(self) -> None:
        same_length(self, self.x, self.y)

    def span(self) -> Span:
        return as_array(self.x), as_array(self.y)

    def draw(self, view: View, style: Style) -> None:
        view.line(as_array(self.x), as_array(self.y), style.colour, self.width, style.dash)
        if self.marker:
            _draw_points(view, as_array(self.x), as_array(self.y), self.marker, 3.5, style.colour)

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        middle = box.top + box.height / 2
        canvas.line([(box.left, middle), (box.right, middle)], style.colour, self.width, style.dash)
        if self.marker:
            centre = (box.left + box.width / 2, middle)
            draw_marker(canvas, self.marker, centre, 3.5, style.colour, palette("ground"))


def _draw_points(
    view: View, x: NDArray[np.float64], y: NDArray[np.float64], marker: str, size: float, colour: Rgb
) -> None:
    for across, down in view.points(x, y).tolist():
        if view.box.holds(across, down):
            draw_marker(view.canvas, marker, (across, down), size, colour, view.palette("ground"))


@dataclass(frozen=True, eq=False)
class Points(Mark):
    """Separate points; `size` is their radius in pixels."""

    x: Numbers
    y: Numbers
    label: str = ""
    colour: str | None = None
    marker: str = ""
    size: float = 4

    def __post_init__(self) -> None:
        same_length(self, self.x, self.y)

    def span(self) -> Span:
        return as_array(self.x), as_array(self.y)

    def draw(self, view: View, style: Style) -> None:
        _draw_points(view, as_array(self.x), as_array(self.y), self.marker or style.marker, self.size, style.colour)

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        centre = (box.left + box.width / 2, box.top + box.height / 2)
        draw_marker(canvas, self.marker or style.marker, centre, min(self.size, 5), style.colour, palette("ground"))


@dataclass(frozen=True, eq=False)
class Rule(Mark):
    """A straight line across the whole panel at `at`."""

    numbered: ClassVar[bool] = False
    at: float
    direction: Literal["vertical", "horizontal"] = "vertical"
    label: str = ""
    colour: str | None = "secondary"
    dash: Dash | None = (4, 3)
    width: float = 1.3

    def span(self) -> Span:
        place, nothing = as_array(self.at), np.empty(0)
        return (place, nothing) if self.direction == "vertical" else (nothing, place)

    def draw(self, view: View, style: Style) -> None:
        box = view.box
        if self.direction == "vertical":
            x = float(view.x(self.at))
            if box.holds(x, box.top):
                view.canvas.line([(x, box.top), (x, box.bottom)], style.colour, self.width, style.dash)
            return
        y = float(view.y(self.at))
        if box.holds(box.left, y):
            view.canvas.line([(box.left, y), (box.right, y)], style.colour, self.width, style.dash)

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        middle = box.top + box.height / 2
        canvas.line([(box.left, middle), (box.right, middle)], style.colour, self.width, style.dash)


@dataclass(frozen=True, eq=False)
class Text(Mark):
    """Words at a point, centred on its height; `\\n` starts a new line. Kept within the panel."""

    numbered: ClassVar[bool] = False
    x: float
    y: float
    text: str
    colour: str | None = "text"
    size: float = 12
    anchor: Anchor = "middle"
    shift: tuple[float, float] = (0, 0)  # pixels to the right and downward
    bold: bool = False
    ground: bool = False  # a light patch behind the words

    def span(self) -> Span:
        return as_array(self.x), as_array(self.y)

    def draw(self, view: View, style: Style) -> None:
        x, y = view.points(self.x, self.y)[0].tolist()
        view.write(
            (x + self.shift[0], y + self.shift[1]),
            self.text.split("\n"),
            size=self.size,
            colour=style.colour,
            anchor=self.anchor,
            bold=self.bold,
            ground=view.palette("ground") if self.ground else None,
        )


@dataclass(frozen=True, eq=False)
class Arrow(Mark):
    """An arrow from (x, y) to (to_x, to_y)."""

    numbered: ClassVar[bool] = False
    x: float
    y: float
    to_x: float
    to_y: float
    text: str = ""
    label: str = ""
    colour: str | None = "text"
    dash: Dash | None = ()
    width: float = 1.8

    def span(self) -> Span:
        return as_array([self.x, self.to_x]), as_array([self.y, self.to_y])

    def draw(self, view: View, style: Style) -> None:
        (x0, y0), (x1, y1) = view.points([self.x, self.to_x], [self.y, self.to_y]).tolist()
        if view.box.holds(x0, y0) and view.box.holds(x1, y1):
            draw_arrow(view.canvas, (x0, y0), (x1, y1), style.colour, self.width, style.dash)
            if self.text:
                middle = ((x0 + x1) / 2, (y0 + y1) / 2 - 12 * CAP * 2.5)
                view.write(middle, [self.text], size=12, colour=style.colour)

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        middle = box.top + box.height / 2
        draw_arrow(canvas, (box.left, middle), (box.right, middle), style.colour, self.width, style.dash)
