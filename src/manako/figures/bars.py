"""Marks with a surface: bars, histograms, bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from manako.figures.canvas import Canvas
from manako.figures.colours import Dash, Palette
from manako.figures.geometry import Box
from manako.figures.marks import Mark, Numbers, Span, as_array, same_length
from manako.figures.view import Style, View
from manako.fonts import text_width


@dataclass(frozen=True, eq=False)
class Bars(Mark):
    """Bars from 0 to `length` at the places `x`, `width` wide in units of the axis; upright, or lying with `lying`.

    `low` and `high` draw an interval on each bar; `texts` stand at the bars' ends.
    """

    x: Numbers
    length: Numbers
    label: str = ""
    colour: str | None = None
    width: float = 0.8
    lying: bool = False
    low: Numbers = ()
    high: Numbers = ()
    texts: Sequence[str] = ()

    def __post_init__(self) -> None:
        same_length(self, self.x, self.length, *(c for c in (self.low, self.high, list(self.texts)) if len(c)))  # type: ignore[arg-type]

    def span(self) -> Span:
        places, lengths = as_array(self.x), as_array(self.length)
        across = np.concatenate([places - self.width / 2 - 0.1, places + self.width / 2 + 0.1])
        along = np.concatenate([[0.0], lengths, as_array(self.low), as_array(self.high)])
        if self.texts:  # room for the numbers
            along = np.concatenate([along, [along.max() + 0.1 * np.ptp(along), along.min() * 1.1]])
        return (along, across) if self.lying else (across, along)

    def draw(self, view: View, style: Style) -> None:
        for index, (place, length) in enumerate(zip(as_array(self.x), as_array(self.length), strict=True)):
            sides = np.array([place - self.width / 2, place + self.width / 2])[[0, 1, 1, 0]]
            ends = np.array([0, 0, length, length])
            view.polygon(*self._turn(sides, ends), style.colour)
            if len(self.low) and len(self.high):
                self._interval(view, place, float(self.low[index]), float(self.high[index]))
            if self.texts:
                self._write(view, style, place, length, self.texts[index])

    def _turn(self, across: NDArray[np.float64], along: NDArray[np.float64]) -> Span:
        return (along, across) if self.lying else (across, along)

    def _interval(self, view: View, place: float, low: float, high: float) -> None:
        half, colour = self.width / 6, view.palette("text")
        for across, along in (
            ([place, place], [low, high]),
            ([place - half, place + half], [low, low]),
            ([place - half, place + half], [high, high]),
        ):
            view.line(*self._turn(np.array(across), np.array(along)), colour, 1.5)

    def _write(self, view: View, style: Style, place: float, length: float, text: str) -> None:
        end = max(length, float(np.max(as_array(self.high), initial=length)) if len(self.high) else length)
        x, y = view.points(*self._turn(np.array([place]), np.array([end if length >= 0 else length])))[0].tolist()
        size, colour = 11.0, view.palette("text")
        if not self.lying:
            view.write((x, y + (-9 if length >= 0 else 9)), [text], size=size, colour=colour)
        elif x + 5 + text_width(text, size) <= view.box.right:
            view.write((x + 5, y), [text], size=size, colour=colour, anchor="start")
        else:
            view.write(
                (x - 5, y), [text], size=size, colour=view.palette("text"), anchor="end", ground=view.palette("ground")
            )


@dataclass(frozen=True, eq=False)
class Steps(Mark):
    """The outline of a histogram: `values` (N,) between `edges` (N + 1,)."""

    edges: Numbers
    values: Numbers
    label: str = ""
    colour: str | None = None
    dash: Dash | None = None
    opacity: float = 0.2

    def __post_init__(self) -> None:
        if len(self.edges) != len(self.values) + 1:
            raise ValueError(f"Steps needs one edge more than values, not {len(self.edges)} and {len(self.values)}")

    def span(self) -> Span:
        return as_array(self.edges), np.append(as_array(self.values), 0.0)

    def draw(self, view: View, style: Style) -> None:
        edges = np.repeat(as_array(self.edges), 2)
        heights = np.concatenate([[0.0], np.repeat(as_array(self.values), 2), [0.0]])
        view.polygon(edges, heights, style.colour, opacity=self.opacity)
        view.line(edges, heights, style.colour, 1.8, style.dash)


@dataclass(frozen=True, eq=False)
class Area(Mark):
    """The band between `low` and `high`."""

    x: Numbers
    low: Numbers
    high: Numbers
    label: str = ""
    colour: str | None = None
    opacity: float = 0.2

    def __post_init__(self) -> None:
        same_length(self, self.x, self.low, self.high)

    def span(self) -> Span:
        return as_array(self.x), np.concatenate([as_array(self.low), as_array(self.high)])

    def draw(self, view: View, style: Style) -> None:
        x = np.concatenate([as_array(self.x), as_array(self.x)[::-1]])
        view.polygon(
            x, np.concatenate([as_array(self.low), as_array(self.high)[::-1]]), style.colour, opacity=self.opacity
        )

    def key(self, canvas: Canvas, box: Box, style: Style, palette: Palette) -> None:
        canvas.polygon(box.corners, style.colour, opacity=max(self.opacity, 0.2))
