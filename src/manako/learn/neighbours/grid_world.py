"""A grid world of one's own drawing, as a Markov decision process.

    S start    G goal (+1, the end)    o pit (-1, the end)    # wall    . floor

Moves: up, right, down, left; into a wall or over the edge one stays. With `slip`, a move goes to either side instead
with that probability in all. Each step costs `step_cost`. Source: R. S. Sutton, A. G. Barto, "Reinforcement Learning",
2018, chapters 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from manako.errors import DataError, MissingExtraError, UsageError
from manako.learn.layer import Array

MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
ARROWS = "↑→↓←"
Outcome = tuple[float, int, float, bool]  # probability, next state, reward, whether it ends


@dataclass(frozen=True, eq=False)
class World:
    """`outcomes[state][action]` lists what may happen. `starts` (S,) probabilities of beginning in each state."""

    outcomes: Sequence[Sequence[Sequence[Outcome]]]
    starts: Array

    @property
    def actions(self) -> int:
        return len(self.outcomes[0])


@dataclass(frozen=True, eq=False)
class GridWorld(World):
    """`rows` of the drawing; state = row * width + column."""

    rows: tuple[str, ...]


def from_text(text: str, *, slip: float = 0.0, step_cost: float = 0.04) -> GridWorld:
    """Raises DataError for a drawing that is uneven, has unknown letters, or lacks S or G."""
    rows = tuple(line.strip() for line in text.strip().splitlines())
    for number, row in enumerate(rows, start=1):
        if len(row) != len(rows[0]):
            raise DataError("learn.grid.uneven", line=number, length=len(row), expected=len(rows[0]))
        for column, letter in enumerate(row, start=1):
            if letter not in "SGo#.":
                raise DataError("learn.grid.letter", line=number, column=column, letter=letter)
    flat = "".join(rows)
    for letter in "SG":
        if letter not in flat:
            raise DataError("learn.grid.lacks", letter=letter)
    outcomes = [[_outcomes(rows, state, action, slip, step_cost) for action in range(4)] for state in range(len(flat))]
    starts = np.array([letter == "S" for letter in flat], np.float64)
    return GridWorld(outcomes, starts / starts.sum(), rows)


def _outcomes(rows: tuple[str, ...], state: int, action: int, slip: float, cost: float) -> list[Outcome]:
    row, column = divmod(state, len(rows[0]))
    if rows[row][column] in "Go#":
        return [(1.0, state, 0.0, True)]
    turns = [(1 - slip, action)] + ([(slip / 2, (action + 1) % 4), (slip / 2, (action - 1) % 4)] if slip else [])
    return [(chance, *_arrive(rows, row, column, turned, cost)) for chance, turned in turns]


def _arrive(rows: tuple[str, ...], row: int, column: int, action: int, cost: float) -> tuple[int, float, bool]:
    down, across = MOVES[action]
    r, c = row + down, column + across
    if not (0 <= r < len(rows) and 0 <= c < len(rows[0])) or rows[r][c] == "#":
        r, c = row, column
    letter = rows[r][c]
    return r * len(rows[0]) + c, {"G": 1.0, "o": -1.0}.get(letter, 0.0) - cost, letter in "Go"


def from_gymnasium(name: str) -> World:
    """A tabular world of Gymnasium by its name, "FrozenLake" or "Taxi" (the newest version) or "Taxi-v4".

    Raises MissingExtraError without Gymnasium, UsageError for a name that it doesn't know or that has no tables.
    """
    if find_spec("gymnasium") is None:
        raise MissingExtraError("learn.grid.no_gymnasium")
    import gymnasium

    # The newest is asked for by name: an unversioned name makes Gymnasium warn.
    versions = [spec.version or 0 for spec in gymnasium.registry.values() if spec.name == name]
    try:
        made = gymnasium.make(f"{name}-v{max(versions)}" if versions else name)
    except gymnasium.error.Error as error:
        raise UsageError("learn.grid.unknown", name=name, reason=str(error)) from error
    if not hasattr(made.unwrapped, "P"):
        raise UsageError("learn.grid.no_tables", name=name)
    return from_table(made.unwrapped)


def from_table(environment: Any) -> World:
    """Any environment with Gymnasium's tables: `P[state][action]` and `initial_state_distrib`."""
    table: Mapping[int, Mapping[int, Sequence[Outcome]]] = environment.P
    outcomes = [
        [[(float(p), int(s), float(r), bool(end)) for p, s, r, end in table[state][action]] for action in table[state]]
        for state in range(len(table))
    ]
    return World(outcomes, np.asarray(environment.initial_state_distrib, np.float64))
