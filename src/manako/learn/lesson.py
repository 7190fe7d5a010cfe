"""What a topic of the course shows: sections of words and tables, figures, and the numbers behind them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from manako.figures import Figure
from manako.figures.plain import plain
from manako.figures.scales import minus

_NUMBER = re.compile(r"[−+]?[\d.,]*(e−?\d+)?( ?[%×a-zA-Z]{1,3})?|–|[−+]?∞")


@dataclass(frozen=True)
class Table:
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.head) for row in self.rows):
            raise ValueError(f"every row needs {len(self.head)} cells, as the head has")

    def text(self) -> str:
        """The table for a terminal: columns of numbers to the right, others to the left."""
        columns = list(zip(self.head, *self.rows, strict=True))
        widths = [max(screen_width(cell) for cell in column) for column in columns]
        right = [all(_is_number(cell) for cell in column[1:]) for column in columns]
        lines = [self.head, ["─" * width for width in widths], *self.rows]
        return "\n".join("  ".join(map(_aligned, line, widths, right)).rstrip() for line in lines)


def screen_width(text: str) -> int:
    """Columns of a terminal: Japanese characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text)


def _is_number(cell: str) -> bool:
    return bool(_NUMBER.fullmatch(cell))


def _aligned(cell: str, width: int, right: bool) -> str:
    gap = " " * (width - screen_width(cell))
    return gap + cell if right else cell + gap


@dataclass(frozen=True)
class Section:
    title: str
    lines: Sequence[str] = ()
    table: Table | None = None

    def text(self) -> str:
        parts = [self.title, *(f"  {line}" for line in self.lines)]
        if self.table:
            parts.append("\n".join("  " + line for line in self.table.text().split("\n")))
        return "\n".join(parts)


@dataclass(frozen=True, eq=False)
class Lesson:
    """Words in the language in force. `values` are the computed numbers, as plain data for JSON."""

    sections: Sequence[Section]
    figures: Mapping[str, Figure]
    values: Mapping[str, object] = field(default_factory=dict)

    def text(self) -> str:
        return "\n\n".join(section.text() for section in self.sections)

    def as_json(self) -> dict[str, object]:
        data = plain(dict(self.values))
        assert isinstance(data, dict)
        return data


def number(value: float, decimals: int = 3, *, small: bool = True) -> str:
    """A number for people: fixed decimals, the true minus sign; large ones, and with `small` tiny ones, as 1.2e−7."""
    value = float(value)
    if not np.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "–"
    if abs(value) < 1e-12:  # rounding noise
        value = 0.0
    if value and ((small and abs(value) < 0.5 * 10**-decimals) or abs(value) >= 1e7):
        return minus(f"{value:.1e}")
    return minus(f"{value:.{decimals}f}")


def numbers(values: object, decimals: int = 3) -> str:
    """`(0.100, 0.700)`."""
    return "(" + ", ".join(number(value, decimals, small=False) for value in np.ravel(np.asarray(values))) + ")"
