"""Small robust statistics of a noisy curve: its noise, its slope, whether it trends, where it turns. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """The lowest point of a curve: its index, level, the fall before and the rise after it (to the mean of the last
    `tail` values), and whether that rise is a trend clear of the noise."""

    index: int
    level: float
    fall: float
    rise: float
    tail: int
    rises: bool


def despike(curve: Array) -> Array:
    """The running median of three; the two ends stay."""
    if len(curve) < 3:
        return curve.copy()
    inner = np.median(np.stack([curve[:-2], curve[1:-1], curve[2:]]), axis=0)
    return np.concatenate([curve[:1], inner, curve[-1:]])


def noise_of(curve: Array, lag: int = 1) -> float:
    """Standard deviation of the noise on a smooth curve, from the median absolute second difference over `lag`.

    A longer lag also sees noise that wanders from epoch to epoch, which neighbours share and so hide.
    """
    if len(curve) < 2 * lag + 1:
        return 0.0
    second = curve[: -2 * lag] - 2 * curve[lag:-lag] + curve[2 * lag :]
    return float(np.median(np.abs(second)) * 1.4826 / np.sqrt(6))


def slope_of(curve: Array) -> float:
    """Change per step: the median of the slopes between all pairs (Theil and Sen)."""
    first, second = np.triu_indices(len(curve), 1)
    return float(np.median((curve[second] - curve[first]) / (second - first))) if len(first) else 0.0


def trend_z(curve: Array) -> float:
    """Kendall's test against time: standard normal without a trend, above 0 for a rise (Mann 1945, Kendall 1975)."""
    count = len(curve)
    if count < 3:
        return 0.0
    first, second = np.triu_indices(count, 1)
    concordant = float(np.sign(curve[second] - curve[first]).sum())
    spread = np.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    return float(np.sign(concordant) * max(abs(concordant) - 1, 0) / spread)


def lowest_turn(curve: Array) -> Turn:
    """The lowest point of the unimodal curve nearest to this one, and how sure the rise after it is.

    Sure: a trend, clear of the noise, and half as large again as any rise before it: curves that wander have those.
    """
    smooth = despike(curve)
    index = _turning_index(curve, smooth)
    after = curve[index + 1 :]
    tail = max(3, len(after) // 4)
    around = smooth[max(0, index - 1) : index + 2]
    level = float(around.mean())
    noise = max(noise_of(curve, lag) for lag in range(1, 1 + min(4, max(1, len(curve) // 9))))
    rise = float(np.median(curve[-tail:])) - level
    clear = rise > 4 * noise * np.sqrt(1 / len(around) + 1 / tail) and rise > 1.5 * _largest_rise(curve[: index + 1])
    rises = bool(len(after) >= 5 and clear and trend_z(curve[index:]) > 2.5)
    return Turn(index, level, float(curve[0]) - level, rise, tail, rises)


def _largest_rise(curve: Array) -> float:
    """Over its lowest value so far, of the running median of five."""
    if len(curve) < 5:
        return 0.0
    smooth = np.median(np.lib.stride_tricks.sliding_window_view(curve, 5), axis=1)
    return float((smooth - np.minimum.accumulate(smooth)).max())


def _turning_index(curve: Array, smooth: Array) -> int:
    """Where the best fall-then-rise fit changes direction; on a flat floor, the last epoch on it."""
    falling = _isotonic_errors(-smooth)
    rising = _isotonic_errors(-smooth[::-1])[::-1]
    best = int(np.argmin(falling + np.append(rising[1:], 0.0)))
    padded = np.pad(curve, 1, mode="edge")
    weighted = (padded[:-2] + 4 * padded[1:-1] + padded[2:]) / 6
    low = max(0, best - 1)
    best = low + int(np.argmin(weighted[low : best + 3]))
    return int(np.flatnonzero(weighted <= weighted[best] + noise_of(curve))[-1])


def _isotonic_errors(curve: Array) -> Array:
    """Squared error of the best non-decreasing fit to each beginning of the curve (pooling adjacent violators)."""
    blocks: list[tuple[float, int]] = []  # mean, count
    error, errors = 0.0, np.empty(len(curve))
    for position, value in enumerate(curve):
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            other, more = blocks.pop()
            error += (other - mean) ** 2 * count * more / (count + more)
            mean, count = (mean * count + other * more) / (count + more), count + more
        blocks.append((mean, count))
        errors[position] = error
    return errors
