"""From the content of a report to the texts, tables and pictures of its page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from manako.errors import ManakoError
from manako.figures import Axis, Bars, Figure, Panel, learning_curves, names_axis
from manako.messages import message
from manako.report.content import ReportContent
from manako.report.pictures import embedded, figure_parts, overlay, thumbnail
from manako.report.words import (
    VERDICTS,
    duration,
    metric_meaning,
    metric_name,
    metric_value,
    setting_value,
)
from manako.tasks import get_task
from manako.types import SPLITS

Part = dict[str, Any]
MISTAKES = 12
CORRECT = 12
PROBLEMS = 20
CLASSES_DRAWN = 40


def build_page(content: ReportContent) -> Part:
    """All that the template shows; sections without content are empty."""
    found = content.evaluated
    task = get_task(found.task)
    figures = task.figures(found.evaluation, found.classes)
    page = {
        "name": content.name,
        "facts": _facts(content),
        "score": _score(content),
        "verdict": _verdict(content),
        "curves": _curves(content),
        "mistakes": _mistakes(content),
        "mistakes_note": message("report.mistakes_note" if content.explain else "report.mistakes_note_plain"),
        "correct": _correct(content),
        "metrics": _metrics(content),
        "metrics_note": message("report.metrics_note", count=found.evaluation.count, split=_split(found.split)),
        "figures": [figure_parts(figure) for figure in figures.values()],
        "per_class": _per_class(content),
        "choices": _choices(content),
        "config": content.config,
        "data": _data(content),
        "commands": _commands(content),
        "environment": _environment(content),
    }
    titles = ("curves", "mistakes", "correct", "metrics", "choices", "data", "next", "environment")
    shown = {"next": "commands"}
    page["contents"] = [(key, message(f"report.{key}")) for key in titles if page[shown.get(key, key)]]
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
    return [figure_parts(figure)]


def _mistakes(content: ReportContent) -> list[Part]:
    """The most confident mistakes that can still be opened, each with where the network looked."""
    found, cards = content.evaluated, []
    for index in found.evaluation.worst:
        card = _mistake(content, index)
        if card:
            cards.append(card)
        if len(cards) == MISTAKES:
            break
    return cards


def _mistake(content: ReportContent, index: int) -> Part | None:
    found = content.evaluated
    sample, prediction, truth = found.samples[index], found.predictions[index], found.truths[index]
    try:
        image = thumbnail(sample, max_pixels=content.max_pixels)
    except ManakoError:  # moved or changed since it was evaluated
        return None
    answer, score = found.classes[prediction.best], float(prediction.score[0])
    card = {
        "image": embedded(image, message("report.alt_image", file=sample.id)),
        "map": None,
        "answer": answer,
        "percent": f"{100 * score:.0f} %",
        "width": f"{100 * min(max(score, 0), 1):.0f}",
        "truth": found.classes[truth.best],
        "file": sample.id,
    }
    if content.explain:
        seen = content.explain(sample, prediction.best, size=(image.height, image.width))
        card["map"] = embedded(overlay(image, seen), message("report.alt_map", name=answer))
    return card


def _correct(content: ReportContent) -> list[Part]:
    """Right answers, drawn as `predict --draw` does; one of each class by turns, spread over the images."""
    found, cards = content.evaluated, []
    task = get_task(found.task)
    wrong = set(found.evaluation.worst)
    right = [i for i in range(len(found.samples)) if i not in wrong]
    for index in _by_turns(right, [found.truths[i].best for i in right])[: 2 * CORRECT]:
        sample = found.samples[index]
        try:
            image = thumbnail(sample, max_pixels=content.max_pixels)
        except ManakoError:
            continue
        drawn = task.draw(image, found.predictions[index], found.classes, truth=found.truths[index])
        name = found.classes[found.predictions[index].best]
        cards.append({"image": embedded(drawn, message("report.alt_drawn", name=name)), "file": sample.id})
        if len(cards) == CORRECT:
            break
    return cards


def _by_turns(items: list[int], groups: list[int]) -> list[int]:
    """The first of each group, then the second of each ..."""
    seen: Counter[int] = Counter()
    turns = []
    for item, group in zip(items, groups, strict=True):
        turns.append((seen[group], item))
        seen[group] += 1
    return [item for _, item in sorted(turns)]


def _metrics(content: ReportContent) -> list[Part]:
    found = content.evaluated.evaluation
    main = found.main
    interval = f"{metric_value(main.name, main.low)} – {metric_value(main.name, main.high)}"
    return [
        {
            "name": metric_name(name),
            "value": metric_value(name, value),
            "interval": interval if name == main.name else "",
            "meaning": metric_meaning(name),
        }
        for name, value in found.metrics.items()
    ]


def _per_class(content: ReportContent) -> Part | None:
    per_class = content.evaluated.evaluation.per_class
    if not per_class:
        return None
    names = list(next(iter(per_class.values())))
    rows = [
        {"name": name, "values": [f"{v:.0f}" if key == "support" else f"{v:.3f}" for key, v in row.items()]}
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
    marks, places = [], np.arange(len(dataset.classes))
    for order, split in enumerate(SPLITS):
        ids = [s.target.best for s in dataset.of(split) if s.target is not None]
        count = np.bincount(ids, minlength=len(places)).astype(np.float64)
        colour = {"train": "train", "val": "validation", "test": "3"}[split]
        shift = (order - 1) * 0.27
        marks.append(Bars(places + shift, count, _split(split), colour, width=0.25, lying=True))
    panel = Panel(
        marks,
        x=Axis(message("report.images"), low=0),
        y=names_axis(dataset.classes, reverse=True),
        width=420,
        height=max(90.0, 34.0 * len(places)),
    )
    return figure_parts(Figure([panel], message("report.class_counts")))


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
