"""What follows the training: calibrate, measure on held-out images, explain."""

from __future__ import annotations

import time

from manako.results import Run
from manako.runtime.evaluate import evaluate
from manako.training.run import calibrate_run, load_run
from manako.training.train import Trained


def finish(trained: Trained, *, began: float) -> Run:
    """Measure the best weights on the test images (validation images where there are none) and write the report.

    began: `time.monotonic()` when the command started.
    """
    run = calibrate_run(load_run(trained.folder.path), trained.dataset)
    split = "test" if trained.dataset.of("test") else "val"
    measured = evaluate(run.predictor, trained.dataset.of(split), trained.dataset.classes, split=split)
    measured.write(trained.folder.path)
    return Run(
        folder=trained.folder.path,
        task=run.card.task,
        model=run.card.model,
        best=measured.evaluation.main,
        split=split,
        seconds=time.monotonic() - began,
        epochs=trained.result.epochs,
        verdict="",
    )
