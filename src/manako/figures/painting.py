"""Draws one placed panel: grid, marks, frame, numbers, words, legend, colour scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from manako.figures.axes import scale
from manako.figures.canvas import Canvas
from manako.figures.colours import SERIES_DASHES, Palette, class_style
from manako.figures.geometry import Box
from manako.figures.marks import Mark
from manako.figures.sizes import BAR, CAP, HEAD, KEY, LINE, TICK, TICK_GAP, WORDS
from manako.figures.view import Style, View
from manako.fonts import text_width

if TYPE_CHECKING:
    from manako.figures.layout import Placed


def draw_panel(placed: Placed, canvas: Canvas, palette: Palette) -> None:
    panel, box, (across, up) = placed.room.panel, placed.box, placed.room.spans
    view = View(
        canvas, palette, box, scale(panel.x, across, box.left, box.right), scale(panel.y, up, box.bottom, box.top)
    )
    styles = _styles(panel.marks, palette)
    if not any(mark.tight for mark in panel.marks):
        _grid(placed, view)
    for mark, style in zip(panel.marks, styles, strict=True):
        mark.draw(view, style)
    _frame(placed, view)
    _numbers(placed, view)
    _words(placed, view)
    _legend(placed, view, styles)
    if placed.room.bar:
        _bar(placed, view)


def _styles(marks: Sequence[Mark], palette: Palette) -> list[Style]:
    styles, index = [], 0
    for mark in marks:
        if mark.colour is None:
            name, dash, marker = class_style(index)
            index += mark.numbered
        else:
            name = mark.colour
            _, dash, marker = (
                class_style(int(name) - 1) if name.isdigit() else ("", SERIES_DASHES.get(name, ()), "circle")
            )
        styles.append(Style(palette(name), dash if mark.dash is None else mark.dash, marker))
    return styles


def _grid(placed: Placed, view: View) -> None:
    room, box, colour = placed.room, view.box, view.palette("line")
    if room.panel.x.grid:
        for x in view.x(room.x.places).tolist():
            view.canvas.line([(x, box.top), (x, box.bottom)], colour, 0.8)
    if room.panel.y.grid:
        for y in view.y(room.y.places).tolist():
            view.canvas.line([(box.left, y), (box.right, y)], colour, 0.8)


def _frame(placed: Placed, view: View) -> None:
    panel = placed.room.panel
    tight = any(mark.tight for mark in panel.marks)
    if tight or not (panel.x.hidden or panel.y.hidden):
        corners = view.box.corners
        view.canvas.line([*corners, corners[0], corners[1]], view.palette("secondary"), 1)


def _numbers(placed: Placed, view: View) -> None:
    room, box, canvas, colour = placed.room, view.box, view.canvas, view.palette("secondary")
    for x, text in zip(view.x(room.x.places).tolist(), room.x.texts, strict=True):
        canvas.line([(x, box.bottom), (x, box.bottom + 4)], colour, 1)
        if room.x.angle:
            at = (x + 3, box.bottom + 6 + TICK * 0.8)
            canvas.text(at, text, size=TICK, colour=colour, anchor="end", angle=room.x.angle)
        else:
            canvas.text((x, box.bottom + 5 + TICK), text, size=TICK, colour=colour, anchor="middle")
    for y, text in zip(view.y(room.y.places).tolist(), room.y.texts, strict=True):
        canvas.line([(box.left - 4, y), (box.left, y)], colour, 1)
        canvas.text((box.left - 7, y + CAP * TICK), text, size=TICK, colour=colour, anchor="end")


def _words(placed: Placed, view: View) -> None:
    room, around, box, canvas, palette = placed.room, placed.around, view.box, view.canvas, view.palette
    top = box.top - around.above
    for index, line in enumerate(around.head):
        at = (placed.left, top + (index + 0.5) * HEAD * LINE + CAP * HEAD)
        canvas.text(at, line, size=HEAD, colour=palette("text"), bold=True)
    under = box.bottom + (room.x.depth + TICK_GAP if room.x.texts else 0)
    for index, line in enumerate(around.x_label):
        at = (box.left + box.width / 2, under + (index + 0.5) * WORDS * LINE + CAP * WORDS)
        canvas.text(at, line, size=WORDS, colour=palette("text"), anchor="middle")
    under += len(around.x_label) * WORDS * LINE + 4
    for index, line in enumerate(around.caption):
        at = (placed.left, under + (index + 0.5) * WORDS * LINE + CAP * WORDS)
        canvas.text(at, line, size=WORDS, colour=palette("secondary"))
    side = box.left - (room.y.depth + TICK_GAP if room.y.texts else 0) - len(room.y_label) * WORDS * LINE - 4
    for index, line in enumerate(room.y_label):
        at = (side + (index + 0.5) * WORDS * LINE + CAP * WORDS, box.top + box.height / 2)
        canvas.text(at, line, size=WORDS, colour=palette("text"), anchor="middle", angle=-90)


def _legend(placed: Placed, view: View, styles: list[Style]) -> None:
    top = view.box.top - placed.around.above + len(placed.around.head) * HEAD * LINE + 2
    for row in placed.around.legend:
        left = placed.left
        for index, label in row:
            box = Box(left, top + WORDS * 0.25, KEY, WORDS)
            placed.room.panel.marks[index].key(view.canvas, box, styles[index], view.palette)
            at = (left + KEY + 6, top + WORDS * 0.75 + CAP * WORDS)
            view.canvas.text(at, label, size=WORDS, colour=view.palette("text"))
            left += KEY + 20 + text_width(label, WORDS)
        top += WORDS * 1.5


def _bar(placed: Placed, view: View) -> None:
    bar, box, canvas, palette = placed.room.bar, view.box, view.canvas, view.palette
    assert bar is not None
    left = box.right + 12
    canvas.image(np.ascontiguousarray(bar.colours(palette)[::-1, None]), left, box.top, BAR, box.height)
    corners = Box(left, box.top, BAR, box.height).corners
    canvas.line([*corners, corners[0]], palette("secondary"), 1)
    ticks = placed.room.bar_ticks
    for place, text in zip(ticks.places, ticks.texts, strict=True):
        y = box.bottom - (place - bar.low) / (bar.high - bar.low) * box.height
        canvas.line([(left + BAR, y), (left + BAR + 3, y)], palette("secondary"), 1)
        canvas.text((left + BAR + 5, y + CAP * TICK), text, size=TICK, colour=palette("secondary"))
    if bar.label:
        side = box.right + placed.room.right - WORDS * LINE + WORDS
        canvas.text(
            (side, box.top + box.height / 2), bar.label, size=WORDS, colour=palette("text"), anchor="middle", angle=-90
        )
