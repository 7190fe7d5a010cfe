"""What follows the training: calibrate, measure on held-out images, explain."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from PIL import Image

from manako.blocks.classifier import Classifier
from manako.doctor.curves import Evidence, Reading, Verdict
from manako.doctor.history import read_run
from manako.figures.film import film, with_progress
from manako.paths import atomic_write
from manako.report import ReportContent, curves_text, evaluation_text, write_report
from manako.results import Run
from manako.runtime.evaluate import Evaluated, beside_training, evaluate
from manako.runtime.evaluation_files import write_evaluation
from manako.tasks import get_task, spread
from manako.training.plan import Reason
from manako.training.run import LoadedRun, calibrate_run, load_run
from manako.training.saliency import Explainer
from manako.training.train import Trained
from manako.types import Split

FILM_FRAMES, FILM_SIDE, FRAME_MS = 40, 400, 250


def finish(trained: Trained, *, began: float) -> Run:
    """Measure the best weights on the test images (validation images where there are none) and write the report.

    began: `time.monotonic()` when the command started.
    """
    run = calibrate_run(load_run(trained.folder.path, device=trained.device), trained.dataset)
    split: Split = "test" if trained.dataset.of("test") else "val"
    measured = evaluate(
        run.predictor, trained.dataset.of(split), trained.dataset.classes, split=split, max_pixels=trained.max_pixels
    )
    measured = beside_training(measured, run.predictor, trained.dataset.of("train"))
    write_evaluation(measured, trained.folder.path)
    shown = film_of_learning(trained.folder.path)
    history = trained.result.history
    rising = get_task(run.card.task).higher_is_better
    reading = read_run(_readable(history), higher_is_better=rising)
    if run.model.learns == "once":  # there are no curves to read or to draw
        history = ()
        reading = Reading(Verdict.DONE, None, (Evidence("curves.evidence.once", {}),))
    if trained.result.alarm:
        code, facts = trained.result.alarm
        since = max(1, round(trained.result.best.epoch))
        reading = Reading(Verdict.DIVERGING, since, (Evidence(code, {k: float(str(v)) for k, v in facts.items()}),))
    reading = _with_gain(reading, trained)
    seconds = time.monotonic() - began
    content = _content(trained, run, measured, reading, history=history, shown=shown, seconds=seconds)
    write_report(trained.folder.report, content)
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
        left_out=trained.dataset.left_out + len(trained.problems) + len(measured.skipped),
    )


def _with_gain(reading: Reading, trained: Trained) -> Reading:
    """Of packaged weights that learnt on: what that was worth."""
    after = trained.result.best.score
    if trained.before is None or after is None:
        return reading
    gain = Evidence("train.gained", {"before": trained.before, "after": after})
    return replace(reading, evidence=(gain, *reading.evidence))


def _content(
    trained: Trained,
    run: LoadedRun,
    measured: Evaluated,
    reading: Reading,
    *,
    history: Sequence[Mapping[str, float]],
    shown: Sequence[Path],
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
        learning=shown,
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


def _readable(history: Sequence[Mapping[str, float]]) -> Sequence[Mapping[str, float]]:
    """Losses of players in a game (those that have curves of their own) needn't fall: the score, here a distance, is
    read in their place."""
    if not history or not any(name.startswith("loss_") for name in history[-1]):
        return history
    return [
        {**line, "training_loss": line["validation_score"], "validation_loss": line["validation_score"]}
        for line in history
        if "validation_score" in line
    ]


def film_of_learning(folder: Path) -> tuple[Path, ...]:
    """The last sheet of samples and `learning.gif` made of all of them; () for tasks without sheets."""
    sheets = sorted((folder / "figures").glob("samples-*.png"))
    if not sheets:
        return ()
    frames = [Image.open(io.BytesIO(sheet.read_bytes())) for sheet in spread(sheets, FILM_FRAMES)]
    for frame in frames:
        frame.thumbnail((FILM_SIDE, FILM_SIDE))
    target = folder / "figures" / "learning.gif"
    atomic_write(target, film(with_progress(frames), ms=FRAME_MS, rest_ms=2000))
    return sheets[-1], target


def _choices(plan: Path) -> Sequence[Reason]:
    return [Reason(**record) for record in json.loads(plan.read_text("utf-8"))]
