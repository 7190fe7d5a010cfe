"""Numbers and settings as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from manako.doctor.curves import Verdict
from manako.messages import catalogue, language, message
from manako.types import Evaluation

# How a verdict is shown: its sign and its tone. Colour is never the only sign: the word stands beside it.
VERDICTS = {
    Verdict.TOO_SHORT: ("◔", "warn"),
    Verdict.NOT_DONE: ("◔", "warn"),
    Verdict.GOING_WELL: ("▲", "good"),
    Verdict.DONE: ("✓", "good"),
    Verdict.OVER_FITTING: ("⚠", "warn"),
    Verdict.DIVERGING: ("✖", "bad"),
}
# Metrics that are not fractions start with one of these.
_PLAIN = ("nll", "abs_rel", "rmse", "log10", "pixel_error", "fid_", "kid_")


def metric_name(name: str) -> str:
    return _or(f"metric.{name}", name)


def with_intervals(evaluation: Evaluation) -> Iterator[tuple[str, float, str]]:
    """Name, value and interval ("" where there is none) of each metric; `x_low`, `x_high` are the interval of `x`."""
    main, metrics = evaluation.main, evaluation.metrics
    ends = {name: (metrics[f"{name}_low"], metrics[f"{name}_high"]) for name in metrics if f"{name}_low" in metrics}
    ends[main.name] = main.low, main.high
    inner = {f"{name}_{end}" for name in ends for end in ("low", "high")}
    for name, value in metrics.items():
        if name not in inner:
            low_high = [metric_value(name, end) for end in ends.get(name, ())]
            yield name, value, " – ".join(low_high)


def metric_meaning(name: str) -> str:
    return _or(f"metric.{name}.meaning", "")


def metric_value(name: str, value: float) -> str:
    """A fraction as percent, anything else as a number."""
    if math.isnan(value):
        return "–"
    return f"{value:.4f}" if name.startswith(_PLAIN) else f"{100 * value:.2f} %"


def setting_value(value: object) -> str:
    if isinstance(value, bool):
        return message("report.yes" if value else "report.no")
    if isinstance(value, float):
        return f"{value:g}"
    return "–" if value is None else str(value)


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return message("report.seconds", seconds=whole)
    return message("report.minutes", minutes=whole // 60, seconds=whole % 60)


def _or(key: str, fallback: str) -> str:
    return message(key) if key in catalogue(language()) else fallback
