"""The images of a report: what went wrong, with the truth beside the answer, and what went right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from manako.decode import open_image
from manako.errors import ManakoError
from manako.messages import message
from manako.report.content import ReportContent
from manako.report.pictures import embedded, overlay, reduced, thumbnail
from manako.tasks import task_of
from manako.types import Labels, Prediction, Sample

Part = dict[str, Any]
MISTAKES = 12
CORRECT = 12


def _by_class(content: ReportContent) -> bool:
    return content.evaluated.task == "classification"


def mistakes_title(content: ReportContent) -> str:
    if _made(content):
        return message("report.made_odd")
    return message("report.mistakes" if _by_class(content) else "report.worst")


def _made(content: ReportContent) -> bool:
    """Made images are no answers: there is nothing that is true of one."""
    return content.evaluated.task == "generation"


def correct_title(content: ReportContent) -> str:
    return message("report.made_well" if _made(content) else "report.correct")


def mistakes_note(content: ReportContent) -> str:
    if _made(content):
        return message("report.made_odd_note")
    if not _by_class(content):
        return message("report.worst_note")
    return message("report.mistakes_note" if content.explain else "report.mistakes_note_plain")


def mistakes(content: ReportContent) -> list[Part]:
    """The most instructive mistakes that can still be opened."""
    cards = (_class_card(content, i) if _by_class(content) else _card(content, i) for i in _worst(content))
    found: list[Part] = []
    for card in cards:
        if card:
            found.append(card)
        if len(found) == MISTAKES:
            break
    return found


def _worst(content: ReportContent) -> Iterator[int]:
    found = content.evaluated
    return (index for index in found.evaluation.worst if index in found.shown)


def _class_card(content: ReportContent, index: int) -> Part | None:
    """One wrong class, with where the network looked."""
    found = content.evaluated
    sample, (prediction, truth) = found.samples[index], found.shown[index]
    assert isinstance(prediction, Labels) and isinstance(truth, Labels)
    try:
        image = thumbnail(sample, max_pixels=content.max_pixels)
    except ManakoError:  # moved or changed since it was evaluated
        return None
    answer, score = found.classes[prediction.best], float(prediction.score[0])
    pictures = [embedded(image, message("report.alt_image", file=sample.id))]
    if content.explain:
        seen = content.explain(sample, prediction.best, size=(image.height, image.width))
        pictures.append(embedded(overlay(image, seen), message("report.alt_map", name=answer)))
    return {
        "pictures": [("", picture) for picture in pictures],
        "answer": answer,
        "percent": f"{100 * score:.0f} %",
        "width": f"{100 * min(max(score, 0), 1):.0f}",
        "truth": found.classes[truth.best],
        "file": sample.id,
    }


def _card(content: ReportContent, index: int) -> Part | None:
    """One image with the truth beside the answer, as the task draws them."""
    found, task = content.evaluated, task_of(content.evaluated)
    sample, (prediction, truth) = found.samples[index], found.shown[index]
    image = _whole(sample, content.max_pixels)
    if image is None:
        return None
    pictures = task.compare(image, prediction, truth, found.classes)
    return {
        "pictures": [(message(key), embedded(reduced(drawn), message(key))) for key, drawn in pictures],
        "answer": task.describe(prediction, found.classes),
        "percent": "",
        "width": "",
        "truth": "" if _made(content) else task.describe(truth, found.classes),
        "file": "" if _made(content) else sample.id,
    }


def _whole(sample: Sample, max_pixels: int) -> Image.Image | None:
    try:
        return open_image(sample.image, sample.frame, max_pixels=max_pixels).convert("RGB")
    except ManakoError:
        return None


def correct(content: ReportContent) -> list[Part]:
    """Right answers, drawn as `predict --draw` does; one of each class by turns, spread over the images."""
    found, cards = content.evaluated, []
    task = task_of(found)
    wrong = set(found.evaluation.worst)
    right = [i for i in sorted(found.shown) if i not in wrong]
    for index in _by_turns(right, [_group(found.shown[i][1]) for i in right])[: 2 * CORRECT]:
        sample, (prediction, truth) = found.samples[index], found.shown[index]
        image = _image(content, sample)
        if image is None:
            continue
        drawn = task.draw(image, prediction, found.classes, truth=truth if _by_class(content) else None)
        name = task.describe(prediction, found.classes)
        cards.append(
            {
                "image": embedded(reduced(drawn), message("report.alt_drawn", name=name)),
                "file": "" if _made(content) else sample.id,
            }
        )
        if len(cards) == CORRECT:
            break
    return cards


def _image(content: ReportContent, sample: Sample) -> Image.Image | None:
    """A class is written under a small picture; everything else is drawn on the whole one."""
    if not _by_class(content):
        return _whole(sample, content.max_pixels)
    try:
        return thumbnail(sample, max_pixels=content.max_pixels)
    except ManakoError:
        return None


def _group(truth: Prediction) -> int:
    return truth.best if isinstance(truth, Labels) else 0


def _by_turns(items: Sequence[int], groups: Sequence[int]) -> list[int]:
    """The first of each group, then the second of each ..."""
    seen: Counter[int] = Counter()
    turns = []
    for item, group in zip(items, groups, strict=True):
        turns.append((seen[group], item))
        seen[group] += 1
    return [item for _, item in sorted(turns)]
