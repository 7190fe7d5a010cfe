"""What the verbs give back: plain records that say themselves as text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from manako.messages import message
from manako.types import Score


@dataclass(frozen=True)
class Run:
    """A finished training run. best: the main metric on `split`, measured after training, with its interval.
    left_out: what of the data could not be used."""

    folder: Path
    task: str
    model: str
    best: Score
    split: str
    seconds: float
    epochs: float
    verdict: str
    notes: tuple[str, ...] = ()
    left_out: int = 0

    def as_json(self) -> dict[str, object]:
        return {
            "run": str(self.folder),
            "task": self.task,
            "model": self.model,
            "best": self.best.as_json() | {"split": self.split},
            "seconds": round(self.seconds, 1),
            "epochs": round(self.epochs, 2),
            "verdict": self.verdict,
            "left_out": self.left_out,
        }

    def text(self) -> str:
        facts = self.as_json() | {
            "name": self.best.name,
            "value": self.best.value,
            "low": self.best.low,
            "high": self.best.high,
            "split": message(f"split.{self.split}"),
        }
        code = "run.done" if isfinite(self.best.value) else "run.done_unscored"
        return "\n".join([*self.notes, message(code, **facts)])
