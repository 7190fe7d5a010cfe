"""What follows the training: calibrate, measure on held-out images, explain."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from manako.blocks.classifier import Classifier
from manako.doctor.curves import Evidence, Reading, Verdict
from manako.doctor.history import read_run
from manako.report import ReportContent, curves_text, evaluation_text, write_report
from manako.results import Run
from manako.runtime.evaluate import Evaluated, evaluate
from manako.runtime.evaluation_files import write_evaluation
from manako.tasks import get_task
from manako.training.plan import Reason
from manako.training.run import LoadedRun, calibrate_run, load_run
from manako.training.saliency import Explainer
from manako.training.train import Trained
from manako.types import Split


def finish(trained: Trained, *, began: float) -> Run:
    """Measure the best weights on the test images (validation images where there are none) and write the report.

    began: `time.monotonic()` when the command started.
    """
    run = calibrate_run(load_run(trained.folder.path, device=trained.device), trained.dataset)
    split: Split = "test" if trained.dataset.of("test") else "val"
    measured = evaluate(
        run.predictor, trained.dataset.of(split), trained.dataset.classes, split=split, max_pixels=trained.max_pixels
    )
    write_evaluation(measured, trained.folder.path)
    history = trained.result.history
    rising = get_task(run.card.task).higher_is_better
    reading = read_run(history, higher_is_better=rising)
    if run.model.learns == "once":  # there are no curves to read or to draw
        history = ()
        reading = Reading(Verdict.DONE, None, (Evidence("curves.evidence.once", {}),))
    if trained.result.alarm:
        code, facts = trained.result.alarm
        since = max(1, round(trained.result.best.epoch))
        reading = Reading(Verdict.DIVERGING, since, (Evidence(code, {k: float(str(v)) for k, v in facts.items()}),))
    seconds = time.monotonic() - began
    write_report(trained.folder.report, _content(trained, run, measured, reading, history=history, seconds=seconds))
    texts = (
        curves_text(history, score=measured.evaluation.main.name, reading=reading, higher_is_better=rising),
        evaluation_text(measured),
    )
    return Run(
        folder=trained.folder.path,
        task=run.card.task,
        model=run.card.model,
        best=measured.evaluation.main,
        split=split,
        seconds=time.monotonic() - began,
        epochs=trained.result.epochs,
        verdict=reading.verdict.value,
        notes=texts,
    )


def _content(
    trained: Trained,
    run: LoadedRun,
    measured: Evaluated,
    reading: Reading,
    *,
    history: Sequence[Mapping[str, float]],
    seconds: float,
) -> ReportContent:
    folder = trained.folder
    explain = None
    if isinstance(run.model, Classifier):
        explain = Explainer(run.model, run.card.preprocess, max_pixels=trained.max_pixels)
    return ReportContent(
        name=folder.path.name,
        run=str(folder.path),
        card=run.card,
        evaluated=measured,
        history=history,
        reading=reading,
        choices=_choices(folder.plan),
        config=folder.config.read_text("utf-8"),
        dataset=trained.dataset,
        environment=json.loads(folder.environment.read_text("utf-8")),
        best_epoch=trained.result.best.epoch if history else None,
        seconds=seconds,
        explain=explain,
        max_pixels=trained.max_pixels,
    )


def _choices(plan: Path) -> Sequence[Reason]:
    return [Reason(**record) for record in json.loads(plan.read_text("utf-8"))]
