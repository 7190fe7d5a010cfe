"""From numbers to pixels, and the round numbers that stand on an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Scale:
    """Maps `low`..`high` to the pixels `start`..`end`, evenly or by logarithm.

    Raises ValueError where low is not under high, or a logarithm of 0 or less is asked for.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"the limits of an axis must be finite and rise, not {self.low} .. {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a logarithmic axis must start above 0, not at {self.low}")

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Pixels of `values`; NaN where a value is not finite or has no logarithm."""
        array = np.asarray(values, np.float64)
        low, high = self.low, self.high
        if self.log:
            array = np.log10(array, out=np.full(array.shape, np.nan), where=array > 0)
            low, high = math.log10(low), math.log10(high)
        # Halves keep high - low finite for the largest floats.
        pixels = self.start + (array / 2 - low / 2) / (high / 2 - low / 2) * (self.end - self.start)
        return np.where(np.isfinite(pixels), pixels, np.nan)


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten within low..high; at least one, for any low <= high."""
    raw = (high / 2 - low / 2) * 2 / max(count, 1) * 0.85  # rather one tick more than half as many
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9)), power * 10)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    if first > last or step == 0:
        return [low, high]
    return [min(max(index * step, low), high) for index in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Powers of ten within low..high, thinned to about `count`; with 2 and 5 times them where there are few."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    powers = [10.0**p for p in range(first, last + 1)]
    if len(powers) >= 3:
        return powers[:: math.ceil(len(powers) / max(count, 2))]
    finer = [m * 10.0**p for p in range(first - 1, last + 1) for m in (1, 2, 5)]
    within = [value for value in finer if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    return within if len(within) >= 2 else nice_ticks(low, high, count)


def tick_texts(ticks: list[float]) -> list[str]:
    """The ticks as text, all with the same decimals; very large and very small ones as 1e6."""
    sizes = [abs(tick) for tick in ticks if tick]
    if not sizes:
        return ["0" for _ in ticks]
    if max(sizes) >= 1e6 or max(sizes) < 1e-3:
        return [_general(tick) for tick in ticks]
    gaps = [abs(b - a) for a, b in pairwise(ticks)]
    if gaps and max(sizes) / min(sizes) > 50 and max(gaps) / max(min(gaps), 1e-300) > 5:
        return [_general(tick) for tick in ticks]  # a logarithmic axis: each its own decimals
    step = min(gaps, default=min(sizes)) or min(sizes)
    decimals = next((d for d in range(7) if abs(step - round(step, d)) < step * 1e-3), 7)
    return [minus(f"{tick:.{decimals}f}") for tick in ticks]


def _general(tick: float) -> str:
    """Few digits; 1e-05 as 1e−5."""
    return minus(f"{tick:.4g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e"))


def minus(text: str) -> str:
    """The true minus sign; a rounded -0.0 loses it."""
    if text.startswith("-") and not text.strip("-0.,"):
        text = text[1:]
    return text.replace("-", "−")


def limits(low: float, high: float, *, log: bool, pad: float) -> tuple[float, float]:
    """Limits of an axis around the data's low..high, `pad` (a fraction) wider on each side; never empty."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return (0.1, 1.0) if log else (0.0, 1.0)
    if log:
        a, b = math.log10(low), math.log10(high)
        extra = (b - a) * pad if b > a else 0.5
        return 10 ** (a - extra), 10 ** (b + extra)
    if high / 2 - low / 2 <= max(abs(low), abs(high)) * 1e-12:
        extra = abs(low) * 0.1 or 0.5
        return low - extra, high + extra
    return low - (high - low) * pad, high + (high - low) * pad
