"""How far a reading is from the truth: edits of characters and of words, exact or normalised (always named).

Normalised: Unicode NFKC, case folded; for characters without any spaces, for words split at spaces.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Step = Literal["same", "other", "missed", "added"]


@dataclass(frozen=True)
class Edits:
    """same, other, missed, added: counts of the cheapest alignment. length: of the truth."""

    length: int
    same: int
    other: int
    missed: int
    added: int

    @property
    def count(self) -> int:
        return self.other + self.missed + self.added


def align(truth: Sequence[str], found: Sequence[str]) -> list[tuple[Step, str, str]]:
    """The cheapest way from `truth` to `found`, each edit costing 1 (Levenshtein 1966): (step, true, found) in order.

    "missed" has no found character, "added" no true one: "" stands there.
    """
    cost = _costs(truth, found)
    steps: list[tuple[Step, str, str]] = []
    i, j = len(truth), len(found)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            steps.append(("same" if truth[i] == found[j] else "other", truth[i], found[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            steps.append(("missed", truth[i], ""))
        else:
            j -= 1
            steps.append(("added", "", found[j]))
    return steps[::-1]


def _costs(truth: Sequence[str], found: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(len(truth) + 1, len(found) + 1): edits between the beginnings of the two, a row at a time."""
    number = {item: k for k, item in enumerate(dict.fromkeys([*truth, *found]))}
    columns = np.array([number[item] for item in found], np.int64)
    places = np.arange(len(found) + 1)
    cost = np.empty((len(truth) + 1, len(found) + 1), np.int64)
    cost[0] = places
    for i, item in enumerate(truth, 1):
        row = np.empty_like(places)
        row[0] = i
        row[1:] = np.minimum(cost[i - 1, :-1] + (columns != number[item]), cost[i - 1, 1:] + 1)
        # An addition costs 1 a place: the running minimum of what lies to the left, less its distance.
        cost[i] = np.minimum.accumulate(row - places) + places
    return cost


def edits(truth: Sequence[str], found: Sequence[str]) -> Edits:
    steps = [step for step, _, _ in align(truth, found)]
    counts = (steps.count(name) for name in ("same", "other", "missed", "added"))
    return Edits(len(truth), *counts)


def normalised(text: str) -> str:
    """NFKC, case folded, runs of white space as one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class LineErrors:
    """One line: its edits of characters and of words, exact and normalised."""

    characters: Edits
    words: Edits
    characters_normalised: Edits
    words_normalised: Edits


def measure_line(truth: str, found: str) -> LineErrors:
    plain, read = normalised(truth), normalised(found)
    return LineErrors(
        edits(truth, found),
        edits(truth.split(), found.split()),
        edits(plain.replace(" ", ""), read.replace(" ", "")),
        edits(plain.split(), read.split()),
    )
