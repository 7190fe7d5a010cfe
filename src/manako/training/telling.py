"""What a person sees of a run while it goes: the bar with its latest numbers, and now and then a line."""

from __future__ import annotations

from collections.abc import Mapping

from manako.console import Bar, say

LINES = 40  # in one run, about


class Teller:
    """metric: the name of the task's main metric. total: of the bar, in epochs or minutes."""

    def __init__(self, bar: Bar, *, metric: str, total: float) -> None:
        self.bar, self.metric, self.total = bar, metric, total
        self._told, self._seen = -1.0, ""

    def step(self, advance: float, loss: float | None) -> None:
        """advance: of the progress 0..1. loss: mean since the last look."""
        note = f"{self._seen}" if loss is None else f"loss {loss:.4f} {self._seen}"
        self.bar.step(advance * self.total, note.strip())

    def look(self, line: Mapping[str, float], *, better: bool) -> None:
        """A look, as it goes into the history. better: than all before."""
        score = line.get("validation_score")
        self._seen = "" if score is None else f"{self.metric} {score:.4f}"
        if line["progress"] - self._told >= 1 / LINES or line["progress"] >= 1:
            self._told = line["progress"]
            code = "training.line_unscored" if score is None else "training.line"
            say(code, **line, metric=self.metric, score=score, mark=" *" if better else "")
