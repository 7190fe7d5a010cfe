"""From the content of a report to the texts, tables and pictures of its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manako.figures import Axis, Bars, Figure, Line, Panel, learning_curves, names_axis
from manako.messages import message
from manako.report.content import ReportContent
from manako.report.gallery import correct, correct_title, mistakes, mistakes_note, mistakes_title
from manako.report.pictures import embedded_file, figure_parts
from manako.report.words import (
    VERDICTS,
    duration,
    metric_meaning,
    metric_name,
    metric_value,
    setting_value,
    with_intervals,
)
from manako.tasks import task_of
from manako.types import SPLITS, Detections, Labels

Part = dict[str, Any]
PROBLEMS = 20
CLASSES_DRAWN = 40


def build_page(content: ReportContent) -> Part:
    """All that the template shows; sections without content are empty."""
    found = content.evaluated
    task = task_of(found)
    figures = task.figures(found.evaluation, found.classes)
    page: Part = {
        "name": content.name,
        "facts": _facts(content),
        "score": _score(content),
        "verdict": _verdict(content),
        "curves": _curves(content),
        "learning": [embedded_file(path, message("report.alt_learning")) for path in content.learning],
        "mistakes": mistakes(content),
        "mistakes_title": mistakes_title(content),
        "mistakes_note": mistakes_note(content),
        "correct": correct(content),
        "correct_title": correct_title(content),
        "metrics": _metrics(content),
        "metrics_note": _metrics_note(content),
        "figures": [figure_parts(figure) for figure in figures.values()],
        "per_class": _per_class(content),
        "choices": _choices(content),
        "config": content.config,
        "data": _data(content),
        "commands": _commands(content),
        "environment": _environment(content),
    }
    titles = ("curves", "learning", "mistakes", "correct", "metrics", "choices", "data", "next", "environment")
    shown = {"next": "commands"}
    headings = {key: message(f"report.{key}") for key in titles} | {
        key: page[f"{key}_title"] for key in ("mistakes", "correct")
    }
    page["contents"] = [(key, headings[key]) for key in titles if page[shown.get(key, key)]]
    return page


def _split(name: str) -> str:
    return message(f"report.split.{name}") if name in SPLITS else name


def _facts(content: ReportContent) -> list[tuple[str, str]]:
    found = content.evaluated
    facts = [
        (message("report.task"), message(f"task.{found.task}")),
        (message("report.model"), found.model),
        (message("report.classes"), str(len(found.classes))),
    ]
    if content.dataset:
        facts.append((message("report.images"), f"{len(content.dataset.samples):,}"))
    if content.best_epoch is not None:
        facts.append((message("report.best_epoch"), f"{content.best_epoch:.4g}"))
    if content.seconds is not None:
        facts.append((message("report.trained_for"), duration(content.seconds)))
    return facts


def _score(content: ReportContent) -> Part:
    found = content.evaluated.evaluation
    main = found.main
    low, high = metric_value(main.name, main.low), metric_value(main.name, main.high)
    facts = {"low": low, "high": high, "count": found.count, "split": _split(content.evaluated.split)}
    if math.isnan(main.value):
        return {"title": metric_name(main.name), "value": "–", "note": message("report.unscored_note")}
    return {
        "title": metric_name(main.name),
        "value": metric_value(main.name, main.value),
        "note": message("report.score_note", **facts),
    }


def _verdict(content: ReportContent) -> Part | None:
    reading = content.reading
    if reading is None:
        return None
    sign, tone = VERDICTS[reading.verdict]
    return {
        "sign": sign,
        "tone": tone,
        "text": str(reading),
        "evidence": [str(line) for line in reading.evidence],
        "advice": [message(key) for key in reading.advice],
    }


def _curves(content: ReportContent) -> list[Part]:
    """Loss and score over the epochs, training solid, validation dashed."""
    history = content.history
    if not history:
        return []
    epochs = [line["epoch"] for line in history]
    columns = {
        name: [line.get(name, np.nan) for line in history]
        for name in ("training_loss", "validation_loss", "validation_score")
    }
    main = metric_name(content.evaluated.evaluation.main.name)
    figure = learning_curves(
        epochs,
        {
            message("report.loss"): (columns["training_loss"], columns["validation_loss"]),
            main: ([], columns["validation_score"]),
        },
        best=content.best_epoch,
    )
    return [figure_parts(figure), *_parts_of_loss(history)]


def _parts_of_loss(history: Sequence[Mapping[str, float]]) -> list[Part]:
    """The losses of several players, in one panel."""
    names = [name for name in history[-1] if name.startswith("loss_")]
    if not names:
        return []
    marks = [
        Line(
            [line["epoch"] for line in history],
            [line.get(name, np.nan) for line in history],
            message(f"loss.{name.removeprefix('loss_')}"),
            str(place + 1),
        )
        for place, name in enumerate(names)
    ]
    panel = Panel(marks, x=Axis(message("figures.epoch")), y=Axis(message("report.loss")))
    return [figure_parts(Figure([panel], message("report.players")))]


def _metrics_note(content: ReportContent) -> str:
    """On what was measured, and what the calibrated model lets expect."""
    found = content.evaluated
    note = message("report.metrics_note", count=found.evaluation.count, split=_split(found.split))
    promise = task_of(found).promise(content.card.settings)
    return f"{note} {message(promise[0], **promise[1])}" if promise else note


def _metrics(content: ReportContent) -> list[Part]:
    return [
        {
            "name": metric_name(name),
            "value": metric_value(name, value),
            "interval": interval,
            "meaning": metric_meaning(name),
        }
        for name, value, interval in with_intervals(content.evaluated.evaluation)
    ]


_COUNTS = ("support", "objects")  # columns of whole numbers


def _per_class(content: ReportContent) -> Part | None:
    per_class = content.evaluated.evaluation.per_class
    if not per_class:
        return None
    names = list(next(iter(per_class.values())))
    rows = [
        {"name": name, "values": [f"{v:.0f}" if key in _COUNTS else f"{v:.3f}" for key, v in row.items()]}
        for name, row in per_class.items()
    ]
    return {"columns": [metric_name(name) for name in names], "rows": rows}


def _choices(content: ReportContent) -> list[Part]:
    """Settings by the reason that they share."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for choice in content.choices:
        reason = message(choice.code, **choice.facts)
        groups.setdefault(reason, []).append((choice.setting, setting_value(choice.value)))
    return [{"why": reason, "settings": settings} for reason, settings in groups.items()]


def _data(content: ReportContent) -> Part | None:
    dataset = content.dataset
    if dataset is None:
        return None
    counts = {split: len(dataset.of(split)) for split in SPLITS}
    problems = [
        {"level": message(f"report.level.{p.severity}"), "text": message(p.code, **p.facts)}
        for p in dataset.problems[:PROBLEMS]
    ]
    more = len(dataset.problems) - len(problems)
    return {
        "note": message("report.data_note", name=dataset.root.name, format=dataset.format, **counts),
        "figure": _class_counts(content),
        "problems": problems,
        "more": message("report.more_problems", count=more) if more > 0 else "",
    }


def _class_counts(content: ReportContent) -> Part | None:
    """Images of each class in each split; not drawn for more classes than can be read."""
    dataset = content.dataset
    if dataset is None or not 1 <= len(dataset.classes) <= CLASSES_DRAWN:
        return None
    if not isinstance(dataset.samples[0].target, (Labels, Detections)):
        return None
    found_labels = isinstance(dataset.samples[0].target, Labels)
    marks, places = [], np.arange(len(dataset.classes))
    for order, split in enumerate(SPLITS):
        ids = [i for s in dataset.of(split) if isinstance(s.target, (Labels, Detections)) for i in s.target.class_id]
        count = np.bincount(ids, minlength=len(places)).astype(np.float64)
        colour = {"train": "train", "val": "validation", "test": "3"}[split]
        shift = (order - 1) * 0.27
        marks.append(Bars(places + shift, count, _split(split), colour, width=0.25, lying=True))
    panel = Panel(
        marks,
        x=Axis(message("report.images" if found_labels else "report.objects"), low=0),
        y=names_axis(dataset.classes, reverse=True),
        width=420,
        height=max(90.0, 34.0 * len(places)),
    )
    return figure_parts(Figure([panel], message("report.class_counts" if found_labels else "report.object_counts")))


def _commands(content: ReportContent) -> list[Part]:
    run = content.run if content.run.isascii() and " " not in content.run else f'"{content.run}"'
    commands = {
        "evaluate": f"manako evaluate {run} --data FOLDER",
        "predict": f"manako predict {run} FOLDER --out predictions --draw",
        "export": f"manako export {run}",
    }
    return [{"text": message(f"report.next.{name}"), "command": command} for name, command in commands.items()]


def _environment(content: ReportContent) -> list[tuple[str, str]]:
    rows = []
    for name, value in (content.environment or {}).items():
        if isinstance(value, dict):
            rows += [(str(key), str(inner)) for key, inner in value.items()]
        elif value:
            rows.append((str(name), str(value)))
    return rows
