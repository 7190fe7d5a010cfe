"""Where everything goes: the room that each text needs is measured first, so that nothing is cut off or overlaps.

All sizes are in CSS pixels. A figure grows to hold its texts; the plots inside keep the size they asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from manako.figures.axes import Ticks, spans, x_ticks, y_ticks
from manako.figures.canvas import Canvas
from manako.figures.colours import Palette
from manako.figures.figure import Figure, Panel
from manako.figures.geometry import Box
from manako.figures.marks import ColourBar
from manako.figures.painting import draw_panel
from manako.figures.scales import nice_ticks, tick_texts
from manako.figures.sizes import BAR, CAP, GAP, HEAD, KEY, LINE, NARROWEST, PAD, TICK, TICK_GAP, TITLE, WORDS
from manako.figures.words import shorten, widest, wrap
from manako.fonts import text_width


@dataclass(frozen=True)
class Room:
    """What a panel needs left and right of its plot, and what goes there."""

    panel: Panel
    spans: tuple[tuple[float, float], tuple[float, float]]
    x: Ticks
    y: Ticks
    y_label: list[str]
    bar: ColourBar | None
    bar_ticks: Ticks
    left: float
    right: float


@dataclass(frozen=True)
class Surroundings:
    """What stands above and under a panel's plot once the width of its column is known."""

    head: list[str]
    legend: list[list[tuple[int, str]]]  # rows of (place of the mark, label)
    x_label: list[str]
    caption: list[str]
    above: float
    below: float


@dataclass(frozen=True)
class Placed:
    room: Room
    around: Surroundings
    box: Box
    left: float  # of the column


@dataclass(frozen=True)
class Plan:
    """A figure with every part in its place."""

    width: float
    height: float
    title: list[str]
    note: list[str]
    panels: list[Placed]

    def draw(self, canvas: Canvas, palette: Palette) -> None:
        for index, line in enumerate(self.title):
            baseline = PAD + (index + 0.5) * TITLE * LINE + CAP * TITLE
            canvas.text((PAD, baseline), line, size=TITLE, colour=palette("text"), bold=True)
        for placed in self.panels:
            draw_panel(placed, canvas, palette)
        top = self.height - PAD - len(self.note) * WORDS * LINE
        for index, line in enumerate(self.note):
            baseline = top + (index + 0.5) * WORDS * LINE + CAP * WORDS
            canvas.text((PAD, baseline), line, size=WORDS, colour=palette("secondary"))


def measure(panel: Panel) -> Room:
    across, up = spans(panel)
    x, y = x_ticks(panel.x, across, panel.width), y_ticks(panel.y, up, panel.height)
    label = wrap(panel.y.label, WORDS, max(panel.height, 80)) if panel.y.label else []
    left = (y.depth + TICK_GAP if y.texts else 0) + (len(label) * WORDS * LINE + 4 if label else 0)
    edge = text_width(x.texts[-1], TICK) / 2 if x.texts and not x.angle else 0
    left, right = max(left, x.overhang, edge), edge
    bar = next(filter(None, (mark.bar(panel.width, panel.height) for mark in panel.marks)), None)
    bar_ticks = Ticks([], [])
    if bar:
        places = nice_ticks(bar.low, bar.high, max(1, int(panel.height // 38)))
        bar_ticks = Ticks(places, tick_texts(places))
        right += 12 + BAR + 5 + widest(bar_ticks.texts, TICK) + (WORDS * LINE + 2 if bar.label else 0)
    return Room(panel, (across, up), x, y, label, bar, bar_ticks, left, right)


def surround(room: Room, width: float, head_width: float) -> Surroundings:
    """Lines for a column `width` pixels wide, whose title may be `head_width` wide."""
    panel = room.panel
    head = wrap(panel.title, HEAD, head_width) if panel.title else []
    legend = _legend(panel, width)
    x_label = wrap(panel.x.label, WORDS, width) if panel.x.label else []
    caption = wrap(panel.caption, WORDS, width) if panel.caption else []
    above = len(head) * HEAD * LINE + len(legend) * WORDS * 1.5 + (6 if head or legend else 0)
    ticks = room.x.depth + TICK_GAP if room.x.texts else 0
    below = ticks + len(x_label) * WORDS * LINE + (len(caption) * WORDS * LINE + 4 if caption else 0)
    return Surroundings(head, legend, x_label, caption, above, max(below, TICK / 2 if room.y.texts else 0))


def _legend(panel: Panel, width: float) -> list[list[tuple[int, str]]]:
    rows: list[list[tuple[int, str]]] = []
    left = width
    for index, mark in enumerate(panel.marks):
        if not mark.label or not panel.legend:
            continue
        label = shorten(mark.label, WORDS, width - KEY - 6)
        needed = KEY + 20 + text_width(label, WORDS)
        if left + needed > width + 14:
            rows.append([])
            left = 0
        rows[-1].append((index, label))
        left += needed
    return rows


def arrange(figure: Figure) -> Plan:
    """Place all panels in a grid whose columns and rows are as wide and high as their largest panel."""
    columns = min(figure.columns, len(figure.panels))
    rooms = [measure(panel) for panel in figure.panels]
    by_column = [rooms[start::columns] for start in range(columns)]
    lefts = [max(room.left for room in column) for column in by_column]
    widths = [
        left + max(room.panel.width + room.right for room in column)
        for left, column in zip(lefts, by_column, strict=True)
    ]
    total = max(sum(widths) + GAP * (columns - 1), NARROWEST)
    title = wrap(figure.title, TITLE, total) if figure.title else []
    top = PAD + (len(title) * TITLE * LINE + 10 if title else 0)
    placed: list[Placed] = []
    for start in range(0, len(rooms), columns):
        row = rooms[start : start + columns]
        around = [surround(room, widths[i], _head_width(row, i, widths)) for i, room in enumerate(row)]
        placed += _place_row(row, around, lefts, widths, top)
        top += _row_height(row, around) + GAP
    note = wrap(figure.note, WORDS, total) if figure.note else []
    bottom = top - GAP + (len(note) * WORDS * LINE + 12 if note else 0) + PAD
    return Plan(total + 2 * PAD, bottom, title, note, placed)


def _head_width(row: Sequence[Room], column: int, widths: list[float]) -> float:
    """A title may run on over the panels after it that have neither title nor legend."""
    width = widths[column]
    for room, more in zip(row[column + 1 :], widths[column + 1 :], strict=False):
        if room.panel.title or (room.panel.legend and any(mark.label for mark in room.panel.marks)):
            break
        width += GAP + more
    return width


def _row_height(row: Sequence[Room], around: Sequence[Surroundings]) -> float:
    under = max(room.panel.height + words.below for room, words in zip(row, around, strict=True))
    return max(words.above for words in around) + under


def _place_row(
    row: Sequence[Room], around: Sequence[Surroundings], lefts: list[float], widths: list[float], top: float
) -> list[Placed]:
    placed = []
    x, above = PAD, max(words.above for words in around)
    for column, (room, words) in enumerate(zip(row, around, strict=True)):
        box = Box(x + lefts[column], top + above, room.panel.width, room.panel.height)
        placed.append(Placed(room, words, box, x))
        x += widths[column] + GAP
    return placed
