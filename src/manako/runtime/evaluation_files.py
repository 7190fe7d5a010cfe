"""An evaluation on disk: `evaluation.json` for programs, `figures/` for people."""

from __future__ import annotations

import json
from pathlib import Path

from manako.errors import StorageError
from manako.paths import atomic_write
from manako.runtime.evaluate import Evaluated
from manako.tasks import get_task
from manako.types import Prediction

WORST = 100  # mistakes listed


def write_evaluation(found: Evaluated, folder: Path) -> None:
    """Write `evaluation.json` (with the worst mistakes) and the task's figures as SVG. Raises StorageError."""
    worst = [_mistake(found, index) for index in found.evaluation.worst[:WORST]]
    figures = folder / "figures"
    try:
        figures.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError("storage.unwritable", file=figures, reason=error.strerror) from error
    text = json.dumps(found.as_json() | {"worst": worst}, ensure_ascii=False, indent=1, allow_nan=False)
    atomic_write(folder / "evaluation.json", text + "\n")
    for name, figure in get_task(found.task).figures(found.evaluation, found.classes).items():
        figure.write(figures / f"{name}.svg")


def _mistake(found: Evaluated, index: int) -> dict[str, object]:
    def shown(prediction: Prediction) -> list[dict[str, object]]:
        return get_task(found.task).as_json(prediction, found.classes)

    return {
        "image": found.samples[index].id,
        "truth": shown(found.truths[index]),
        "predictions": shown(found.predictions[index]),
    }
