"""An evaluation on disk: `evaluation.json` for programs, `figures/` for people."""

from __future__ import annotations

import json
from pathlib import Path

from manako.errors import StorageError
from manako.paths import atomic_write
from manako.runtime.evaluate import Evaluated
from manako.tasks import task_of

WORST = 100  # mistakes listed


def write_evaluation(found: Evaluated, folder: Path) -> None:
    """Write `evaluation.json` (with the worst mistakes) and the task's figures as SVG. Raises StorageError."""
    worst = [_mistake(found, index) for index in found.evaluation.worst[:WORST] if index in found.shown]
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError("storage.unwritable", file=figures, reason=error.strerror) from error
    text = json.dumps(found.as_json() | {"worst": worst}, ensure_ascii=False, indent=1, allow_nan=False)
    atomic_write(folder / "evaluation.json", text + "\n")
    for name, figure in task_of(found).figures(found.evaluation, found.classes).items():
        figure.write(figures / f"{name}.svg")


def _mistake(found: Evaluated, index: int) -> dict[str, object]:
    task, (prediction, truth) = task_of(found), found.shown[index]
    return {
        "image": found.samples[index].id,
        "truth": task.as_json(truth, found.classes),
        "predictions": task.as_json(prediction, found.classes),
    }
