"""The curves of a run, as its `metrics.jsonl` holds them, read by the rule of `curves.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from manako.doctor.curves import Curves, Evidence, Reading, read_curves


def read_run(history: Sequence[Mapping[str, float]], *, higher_is_better: bool = True) -> Reading:
    """A line of the history is one look at the validation images; an epoch may hold several, or a look several epochs.

    Epochs in the reading are those of the history, rounded up.
    """
    sign = 1 if higher_is_better else -1
    reading = read_curves(
        Curves(
            tuple(line["training_loss"] for line in history),
            tuple(line["validation_loss"] for line in history),
            tuple(sign * line["validation_score"] for line in history if "validation_score" in line),
            progress=history[-1].get("progress") if history else None,
        )
    )

    def epoch(look: int) -> int:
        return max(1, round(history[min(look, len(history)) - 1]["epoch"] + 0.49))

    evidence = tuple(
        Evidence(e.code, {k: epoch(int(v)) if k == "epoch" else v for k, v in e.facts.items()})
        for e in reading.evidence
    )
    since = None if reading.since_epoch is None else epoch(reading.since_epoch)
    return replace(reading, since_epoch=since, evidence=evidence)
