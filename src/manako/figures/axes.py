"""The limits, round numbers and room of one panel's axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from manako.figures.figure import Axis, Panel
from manako.figures.scales import Scale, limits, log_ticks, nice_ticks, tick_texts
from manako.figures.sizes import LINE, TICK
from manako.figures.words import shorten, widest
from manako.fonts import text_width

_GAP = 6.0  # pixels between neighbouring texts
_LONGEST_NAME = 170.0
_SLANT = -40.0  # degrees, for names that don't fit side by side


@dataclass(frozen=True)
class Ticks:
    """Places and texts; `angle` turns the texts. `depth` is the room they need across the axis, in pixels."""

    places: list[float]
    texts: list[str]
    angle: float = 0
    depth: float = 0
    overhang: float = 0  # how far a slanted text reaches back from its place


def spans(panel: Panel) -> tuple[tuple[float, float], tuple[float, float]]:
    """The limits of the x and of the y axis."""
    tight = any(mark.tight for mark in panel.marks)
    pairs = [mark.span() for mark in panel.marks]
    across = _limits(panel.x, [pair[0] for pair in pairs], 0 if tight else 0.03)
    return across, _limits(panel.y, [pair[1] for pair in pairs], 0 if tight else 0.05)


def _limits(axis: Axis, values: Sequence[NDArray[np.float64]], pad: float) -> tuple[float, float]:
    array = np.concatenate([*values, np.empty(0)])
    array = array[np.isfinite(array) & (array > 0 if axis.log else True)]
    low, high = (float(array.min()), float(array.max())) if array.size else (math.nan, math.nan)
    padded = limits(low, high, log=axis.log, pad=pad)
    if not axis.log and low == 0 <= high:  # counts and fractions start on the axis
        padded = 0.0, padded[1]
    low = padded[0] if axis.low is None else axis.low
    high = padded[1] if axis.high is None else axis.high
    if low >= high:
        low, high = (low, low + (abs(low) or 1)) if axis.high is None else (high - (abs(high) or 1), high)
    return low, high


def scale(axis: Axis, span: tuple[float, float], start: float, end: float) -> Scale:
    return Scale(*span, *((end, start) if axis.reverse else (start, end)), log=axis.log)


def x_ticks(axis: Axis, span: tuple[float, float], width: float) -> Ticks:
    """Ticks whose texts do not touch, across `width` pixels."""
    if axis.hidden:
        return Ticks([], [])
    place = scale(axis, span, 0, width)
    if axis.ticks is not None:
        return _names(axis.ticks, place, width)
    for count in range(max(2, int(width // 55)), 0, -1):
        places = log_ticks(*span, count) if axis.log else nice_ticks(*span, count)
        texts = tick_texts(places)
        if _apart(place(places).tolist(), [text_width(text, TICK) for text in texts]):
            return Ticks(places, texts, depth=TICK * LINE)
    return Ticks(places[:1], texts[:1], depth=TICK * LINE)


def _apart(centres: list[float], widths: list[float]) -> bool:
    ordered = sorted(zip(centres, widths, strict=True))
    return all(b - a >= (one + other) / 2 + _GAP for (a, one), (b, other) in pairwise(ordered))


def _names(ticks: Sequence[tuple[float, str]], place: Scale, width: float) -> Ticks:
    kept = [(at, text) for at, text in ticks if place.low <= at <= place.high]
    centres = [float(place(at)) for at, _ in kept]
    if _apart(centres, [text_width(text, TICK) for _, text in kept]):
        return Ticks([at for at, _ in kept], [text for _, text in kept], depth=TICK * LINE)
    room = width / max(len(kept), 1)
    kept = kept[:: max(1, math.ceil(TICK * 1.3 / room))]
    texts = [shorten(text, TICK, _LONGEST_NAME) for _, text in kept]
    angle = math.radians(-_SLANT)
    long = widest(texts, TICK)
    back = max(
        (
            text_width(text, TICK) * math.cos(angle) - float(place(at))
            for (at, _), text in zip(kept, texts, strict=True)
        ),
        default=0.0,
    )
    return Ticks([at for at, _ in kept], texts, _SLANT, long * math.sin(angle) + TICK * LINE, max(back, 0))


def y_ticks(axis: Axis, span: tuple[float, float], height: float) -> Ticks:
    """Ticks whose texts do not touch, down `height` pixels."""
    if axis.hidden:
        return Ticks([], [])
    if axis.ticks is not None:
        place = scale(axis, span, height, 0)
        kept = [(at, shorten(text, TICK, _LONGEST_NAME)) for at, text in axis.ticks if span[0] <= at <= span[1]]
        centres = sorted(float(place(at)) for at, _ in kept)
        closest = min((b - a for a, b in pairwise(centres)), default=height)
        kept = kept[:: max(1, math.ceil(TICK * 1.15 / max(closest, 0.1)))]
        texts = [text for _, text in kept]
        return Ticks([at for at, _ in kept], texts, depth=widest(texts, TICK))
    count = max(1, int(height // 38))
    places = log_ticks(*span, count) if axis.log else nice_ticks(*span, count)
    texts = tick_texts(places)
    return Ticks(places, texts, depth=widest(texts, TICK))
