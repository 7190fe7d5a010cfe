"""The learning rate over the run, as a factor 0..1 of its highest, a pure function of the progress 0..1."""

from __future__ import annotations

import math
from collections.abc import Callable

LOWEST_START = 0.02  # where the warm-up begins: a first step of nothing would be wasted


def constant(progress: float) -> float:
    return 1.0


def linear(progress: float) -> float:
    return 1.0 - progress


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "one_cycle": cosine,
}
ONE_CYCLE_WARMUP = 0.3


def rate(name: str, progress: float, *, warmup: float = 0.0) -> float:
    """Warm-up, then the schedule over what is left. warmup: part of the run in which the rate rises.

    "one_cycle" (Smith and Topin 2018) rises by half a cosine over `warmup` (0.3 if not given) and falls likewise.
    """
    if name == "one_cycle":
        warmup = warmup or ONE_CYCLE_WARMUP
    if progress < warmup:
        part = progress / warmup
        return LOWEST_START + (1.0 - LOWEST_START) * (1.0 - cosine(part) if name == "one_cycle" else part)
    return SCHEDULES[name](min(1.0, (progress - warmup) / max(1.0 - warmup, 1e-9)))
