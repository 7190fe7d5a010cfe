"""Reading with a memory of several beginnings: the text whose paths are likely all together, not the likeliest path.

Graves 2012, "Supervised Sequence Labelling", section 7.5.3; with a language model as Hannun et al. 2014, "First-Pass
Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLANK = 0
LEAST = 1e-4  # less likely symbols of a step are not followed


class Guide(Protocol):
    """What is known of texts beforehand: a lexicon, a language model. Symbols are classes + 1."""

    def begin(self) -> Any:
        """What is remembered of no text at all."""
        ...

    def go_on(self, state: Any, symbol: int) -> tuple[Any, float] | None:
        """After one more character: what is remembered, and how much likelier (logarithm) it makes the text. None: no
        text goes on like this."""
        ...

    def end(self, state: Any) -> float | None:
        """How much likelier the text is if it ends here; None: it can't."""
        ...


@dataclass(slots=True)
class _Beginning:
    """blank, symbol: probability of its paths that end with a blank and with its last symbol."""

    blank: float
    symbol: float
    state: Any
    bonus: float
    rank: float = 0.0


def prefix_beam(
    symbols: NDArray[np.int64],
    scores: NDArray[np.float32],
    *,
    width: int,
    guide: Guide | None = None,
    least: float = LEAST,
) -> tuple[int, ...] | None:
    """(T, K) symbols and probabilities of each step -> the symbols of the likeliest text, blanks left out; None where
    `guide` lets no text end that the network saw.

    width: beginnings of texts that are remembered from step to step.
    """
    state = guide.begin() if guide else None
    beams: dict[tuple[int, ...], _Beginning] = {(): _Beginning(1.0, 0.0, state, 0.0)}
    for step, chances in zip(symbols.tolist(), scores.tolist(), strict=True):
        choices = [(s, p) for s, p in zip(step, chances, strict=True) if p >= least] or [(step[0], chances[0])]
        beams = _widest(_one_more_step(beams, choices, guide), width)
    best, text = -math.inf, None
    for prefix, beam in beams.items():
        end = guide.end(beam.state) if guide else 0.0
        if end is not None and beam.rank + end > best:
            best, text = beam.rank + end, prefix
    return text


def _one_more_step(
    beams: dict[tuple[int, ...], _Beginning], choices: list[tuple[int, float]], guide: Guide | None
) -> dict[tuple[int, ...], _Beginning]:
    found: dict[tuple[int, ...], _Beginning] = {}
    for prefix, beam in beams.items():
        last = prefix[-1] if prefix else BLANK
        for symbol, chance in choices:
            gain = (beam.blank + beam.symbol) * chance
            if symbol == BLANK:
                _same(found, prefix, beam).blank += gain
                continue
            if symbol == last:  # after a blank it is a new character, else the same one for longer
                _same(found, prefix, beam).symbol += beam.symbol * chance
                gain = beam.blank * chance
            longer = (*prefix, symbol)
            entry = found.get(longer)
            if entry is None:
                further = guide.go_on(beam.state, symbol) if guide else (None, 0.0)
                if further is None or not gain:
                    continue
                entry = found[longer] = _Beginning(0.0, 0.0, further[0], beam.bonus + further[1])
            entry.symbol += gain
    return found


def _same(found: dict[tuple[int, ...], _Beginning], prefix: tuple[int, ...], beam: _Beginning) -> _Beginning:
    return found.setdefault(prefix, _Beginning(0.0, 0.0, beam.state, beam.bonus))


def _widest(found: dict[tuple[int, ...], _Beginning], width: int) -> dict[tuple[int, ...], _Beginning]:
    """The likeliest ones, their probabilities brought up so that none becomes too small for a number."""
    total = sum(beam.blank + beam.symbol for beam in found.values())
    for beam in found.values():
        beam.blank, beam.symbol = beam.blank / total, beam.symbol / total
        chance = beam.blank + beam.symbol
        beam.rank = beam.bonus + math.log(chance) if chance > 0 else -math.inf
    if len(found) <= width:
        return found
    kept = sorted(found.items(), key=lambda item: -item[1].rank)[:width]
    return dict(kept)


def character_scores(
    text: tuple[int, ...], symbols: NDArray[np.int64], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(L,): each character's surest step, on the likeliest path that reads `text` (Viterbi)."""
    count, steps = len(text), len(symbols)
    if not count:
        return np.empty(0, np.float32)
    wanted = np.full(2 * count + 1, BLANK)
    wanted[1::2] = text
    chance = np.where(symbols[:, :, None] == wanted, scores[:, :, None], 0).max(1)  # (T, 2 L + 1)
    logs = np.log(np.maximum(chance, 1e-12)).astype(np.float64)
    jump = np.zeros(len(wanted), np.bool_)  # from one character to the next without a blank between
    jump[3::2] = wanted[3::2] != wanted[1:-2:2]
    best = np.full(len(wanted), -np.inf)
    best[:2] = logs[0, :2]
    came = np.zeros((steps, len(wanted)), np.int64)
    for step in range(1, steps):
        one = np.concatenate([[-np.inf], best[:-1]])
        two = np.where(jump, np.concatenate([[-np.inf, -np.inf], best[:-2]]), -np.inf)
        options = np.stack([best, one, two])
        came[step] = options.argmax(0)
        best = options.max(0) + logs[step]
    place = len(wanted) - (1 if best[-1] >= best[-2] else 2)
    found = np.zeros(count, np.float32)
    for step in range(steps - 1, -1, -1):
        if place % 2:
            found[place // 2] = max(found[place // 2], chance[step, place])
        place -= came[step, place]
    return found
