"""A mark for networks and trees: nodes with text, joined by edges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from manako.figures.canvas import Point
from manako.figures.colours import Dash, Rgb, readable_on
from manako.figures.geometry import Box
from manako.figures.marks import Mark, Span
from manako.figures.sizes import LINE
from manako.figures.view import Style, View, draw_arrow
from manako.figures.words import widest


@dataclass(frozen=True)
class Node:
    """A node at data coordinates (x, y); `note` stands under it. `size`: radius or half the height, in pixels."""

    x: float
    y: float
    text: str = ""
    note: str = ""
    colour: str = "raised"
    shape: Literal["circle", "box"] = "circle"
    size: float = 22


@dataclass(frozen=True)
class Edge:
    """An edge between two nodes, by their places in the list; `text` stands at the fraction `at` of its length."""

    start: int
    end: int
    text: str = ""
    colour: str = "secondary"
    width: float = 1.5
    dash: Dash = ()
    at: float = 0.5
    arrow: bool = True


@dataclass(frozen=True, eq=False)
class Graph(Mark):
    numbered: ClassVar[bool] = False
    nodes: Sequence[Node]
    edges: Sequence[Edge] = ()
    size: float = 11  # of the text

    def span(self) -> Span:
        return np.array([node.x for node in self.nodes]), np.array([node.y for node in self.nodes])

    def draw(self, view: View, style: Style) -> None:
        places = [tuple(view.points(node.x, node.y)[0].tolist()) for node in self.nodes]
        for edge in self.edges:
            self._edge(view, edge, places)
        for edge in self.edges:  # after all the lines: no line crosses a text
            if edge.text:
                self._edge_text(view, edge, places)
        for node, place in zip(self.nodes, places, strict=True):
            self._node(view, node, place)

    def _ends(self, edge: Edge, places: Sequence[Point]) -> tuple[Point, Point]:
        (x0, y0), (x1, y1) = places[edge.start], places[edge.end]
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        x, y = (x1 - x0) / length, (y1 - y0) / length
        out = _reach(self.nodes[edge.start], x, y, self.size)
        into = _reach(self.nodes[edge.end], x, y, self.size) + (2 if edge.arrow else 0)
        return (x0 + x * out, y0 + y * out), (x1 - x * into, y1 - y * into)

    def _edge(self, view: View, edge: Edge, places: Sequence[Point]) -> None:
        start, end = self._ends(edge, places)
        if edge.arrow:
            draw_arrow(view.canvas, start, end, view.palette(edge.colour), edge.width, edge.dash)
        else:
            view.canvas.line([start, end], view.palette(edge.colour), edge.width, edge.dash)

    def _edge_text(self, view: View, edge: Edge, places: Sequence[Point]) -> None:
        (x0, y0), (x1, y1) = self._ends(edge, places)
        at = (x0 + (x1 - x0) * edge.at, y0 + (y1 - y0) * edge.at)
        lines = edge.text.split("\n")
        view.write(at, lines, size=self.size, colour=view.palette("text"), ground=view.palette("ground"))

    def _node(self, view: View, node: Node, place: Point) -> None:
        fill, edge = view.palette(node.colour), view.palette("secondary")
        lines = node.text.split("\n") if node.text else []
        if node.shape == "circle":
            view.canvas.circle(place, node.size, fill, stroke=edge, width=1.2)
            room = 2 * node.size - 6
        else:
            half = _half_width(node, self.size)
            box = Box(place[0] - half, place[1] - node.size, 2 * half, 2 * node.size)
            view.canvas.polygon(box.corners, fill, stroke=edge, width=1.2)
            room = 2 * half
        if lines:
            size = min(self.size + 1, (self.size + 1) * room / max(widest(lines, self.size + 1), 1e-9))
            view.write(place, lines, size=size, colour=_ink(view, fill))
        if node.note:
            notes = node.note.split("\n")
            below = place[1] + node.size + 3 + len(notes) * self.size * LINE / 2
            view.write((place[0], below), notes, size=self.size, colour=view.palette("secondary"))


def _ink(view: View, fill: Rgb) -> Rgb:
    return view.palette("text") if fill in (view.palette("raised"), view.palette("ground")) else readable_on(fill)


def _half_width(node: Node, size: float) -> float:
    return max(node.size, widest(node.text.split("\n"), size + 1) / 2 + 8)


def _reach(node: Node, x: float, y: float, size: float) -> float:
    """From a node's centre to its edge in the direction (x, y)."""
    if node.shape == "circle":
        return node.size
    across, down = abs(x) / _half_width(node, size), abs(y) / node.size
    return 1 / max(across, down)
