"""Learning curves and scores as a few lines for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from unicodedata import east_asian_width

import numpy as np

from manako.doctor.curves import Reading
from manako.messages import message
from manako.report.words import VERDICTS, metric_name, metric_value, with_intervals
from manako.runtime.evaluate import Evaluated

_BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 40
_WORST = 5


def curves_text(
    history: Sequence[Mapping[str, float]],
    *,
    score: str,
    reading: Reading | None = None,
    width: int = WIDTH,
    higher_is_better: bool = True,
) -> str:
    """The losses and the score (a metric's name) as sparklines, with their first, best and last values."""
    rows = [
        (message("report.training_loss"), "training_loss", False),
        (message("report.validation_loss"), "validation_loss", False),
        (message("report.validation_score", name=metric_name(score)), "validation_score", True),
    ]
    columns = {key: [line.get(key, math.nan) for line in history] for _, key, _ in rows}
    losses = [v for key in ("training_loss", "validation_loss") for v in columns[key] if math.isfinite(v)]
    lines = []
    room = max(display_width(label) for label, _, _ in rows)
    for label, key, high in rows:
        values = columns[key]
        finite = [v for v in values if math.isfinite(v)]
        if not finite:
            continue
        # The two losses share a scale, so that their distance can be seen.
        drawn = sparkline(values, width, pool=finite if high else losses)
        best = max(finite) if high and higher_is_better else min(finite)
        facts = {"first": values[0], "best": best, "last": values[-1]}
        lines.append(f"{pad(label, room)}  {drawn}  {message('report.first_best_last', **facts)}")
    if reading:
        sign, _ = VERDICTS[reading.verdict]
        lines.append(f"{sign} {reading}")
        lines += [f"  {line}" for line in reading.evidence]
        lines += [f"  → {message(key)}" for key in reading.advice]
    return "\n".join(lines)


def evaluation_text(found: Evaluated) -> str:
    """The main score with its interval, the other metrics, the weakest classes, the most frequent confusions."""
    evaluation = found.evaluation
    main = evaluation.main
    facts = {
        "name": metric_name(main.name),
        "value": metric_value(main.name, main.value),
        "low": metric_value(main.name, main.low),
        "high": metric_value(main.name, main.high),
        "count": evaluation.count,
        "split": message(f"report.split.{found.split}"),
    }
    lines = [message("report.main_line", **facts)]
    others = [(metric_name(n), metric_value(n, v), i) for n, v, i in with_intervals(evaluation) if n != main.name]
    room = max((display_width(name) for name, _, _ in others), default=0)
    lines += [f"  {pad(name, room)}  {value:>9}" + f"  ({i})" * bool(i) for name, value, i in others]
    lines += _weakest(found) + _confused(found)
    if found.skipped:
        first = found.skipped[0]
        lines.append(message("report.skipped", count=len(found.skipped), first=first.error))
    return "\n".join(lines)


def _weakest(found: Evaluated) -> list[str]:
    rows = [(v["f1"], name) for name, v in found.evaluation.per_class.items() if v.get("support") and "f1" in v]
    weak = [(f1, name) for f1, name in sorted(rows) if f1 < 1][:_WORST]
    if not weak:
        return []
    return [message("report.weakest", classes=", ".join(f"{name} {f1:.2f}" for f1, name in weak))]


def _confused(found: Evaluated) -> list[str]:
    table = found.evaluation.tables.get("confusion")
    if table is None:
        return []
    known = len(found.classes)  # a row and a column more are the background's
    counts = table[:known, :known].copy()
    np.fill_diagonal(counts, 0)
    pairs = []
    for index in np.argsort(-counts, axis=None, kind="stable")[:_WORST]:
        truth, answer = np.unravel_index(index, counts.shape)
        if counts[truth, answer] > 0:
            pairs.append(f"{found.classes[truth]} → {found.classes[answer]} ({counts[truth, answer]:.0f})")
    return [message("report.confused", pairs=", ".join(pairs))] if pairs else []


def sparkline(values: Sequence[float], width: int, *, pool: Sequence[float]) -> str:
    """`values` as at most `width` blocks, each the mean of a share, on the scale of `pool`; a dot where not finite."""
    low, high = min(pool), max(pool)
    parts = np.array_split(np.asarray(values, np.float64), min(width, len(values)))
    line = ""
    for part in parts:
        mean = float(part.mean())
        if not math.isfinite(mean):
            line += "·"
            continue
        place = (mean - low) / (high - low) if high > low else 0.5
        line += _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(place * len(_BLOCKS))))]
    return line


def display_width(text: str) -> int:
    """Columns of a terminal: East Asian letters take two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def pad(text: str, width: int) -> str:
    return text + " " * max(0, width - display_width(text))
