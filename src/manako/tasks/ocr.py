"""Reading: the text of one line. The classes are the characters of the alphabet.

Outputs: for each step from left to right the surest symbols and their probabilities: 0 is CTC's blank, i + 1 the class
i. The text is what is left when repeats are taken as one and blanks are left out (Graves et al. 2006, the best path),
or, with a `Beam`, the likeliest text of all paths.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from manako.images import Fit
from manako.metrics.bootstrap import ratio_interval
from manako.metrics.text import Edits, LineErrors, align, measure_line
from manako.tasks import Json, Output, Outputs, Task
from manako.tasks._prefix_beam import BLANK, Guide, character_scores, prefix_beam
from manako.types import Dataset, Evaluation, Frame, Score, TextLine

if TYPE_CHECKING:
    from PIL import Image

    from manako.figures import Figure

WORST = 100
INTERVALS = (  # beside the main metric's
    ("cer_normalised", "characters_normalised", "count"),
    ("word_accuracy", "words", "same"),
    ("word_accuracy_normalised", "words_normalised", "same"),
)
KINDS = ("characters", "words", "characters_normalised", "words_normalised")


@dataclass(frozen=True)
class ReadLine:
    """One line as it is scored. mistakes: (true, found) classes of the characters that were taken for others."""

    errors: LineErrors
    mistakes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Beam:
    """width: beginnings of texts that are remembered from step to step. guide: what is known of texts beforehand; a
    line that it forbids altogether is read without it."""

    width: int
    guide: Guide | None = None


class Ocr(Task[TextLine]):
    """beam: None takes the best path, which is fastest."""

    name: ClassVar[str] = "ocr"
    main_metric: ClassVar[str] = "cer"
    higher_is_better: ClassVar[bool] = False
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("symbols", ("N", "T", "K"), "classes", "int64"),
        Output("symbol_scores", ("N", "T", "K"), "probabilities"),
    )
    columns: ClassVar[tuple[str, ...]] = ("text", "score")
    fit: ClassVar[Fit] = "line"

    def __init__(self, beam: Beam | None = None) -> None:
        self.beam = beam

    def decode(self, outputs: Outputs, frames: Sequence[Frame], settings: Mapping[str, float]) -> list[TextLine]:
        pairs = zip(outputs["symbols"], outputs["symbol_scores"], strict=True)
        if self.beam is None:
            return [best_path(symbols[:, 0], scores[:, 0]) for symbols, scores in pairs]
        return [beam_path(symbols, scores, self.beam) for symbols, scores in pairs]

    def measure(self, prediction: TextLine, truth: TextLine, classes: Sequence[str]) -> ReadLine:
        place = {name: index for index, name in enumerate(classes)}
        true, found = truth.text(classes), prediction.text(classes)
        mistakes = [(place.get(t, -1), place.get(f, -1)) for step, t, f in align(true, found) if step == "other"]
        return ReadLine(measure_line(true, found), tuple(mistakes))

    def summarise(
        self, measures: Sequence[ReadLine], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """Rates are edits over the length of the truth, of all lines together; they may be above 1. The accuracy of
        words is the share of the true words that were read without a mistake."""
        metrics: dict[str, float] = {}
        for name, kind in zip(("cer", "wer", "cer_normalised", "wer_normalised"), KINDS, strict=True):
            metrics[name] = _rate(measures, kind, "count")
        for ending in ("", "_normalised"):
            metrics[f"word_accuracy{ending}"] = _rate(measures, f"words{ending}", "same")
            right = [getattr(m.errors, f"characters{ending}").count == 0 for m in measures]
            metrics[f"line_accuracy{ending}"] = float(np.mean(right)) if right else 0.0
        low = high = metrics["cer"]
        if intervals:
            low, high = _interval(measures, "characters", "count", seed=seed)
            for name, kind, field in INTERVALS:
                ends = zip(("low", "high"), _interval(measures, kind, field, seed=seed), strict=True)
                metrics |= {f"{name}_{end}": value for end, value in ends}
        return Evaluation(
            main=Score("cer", metrics["cer"], low, high),
            metrics=metrics,
            per_class={},
            count=len(measures),
            worst=_worst(measures),
            tables={
                "lines": np.array([(m.errors.characters.length, m.errors.characters.count) for m in measures], float),
                "taken_for": _taken_for(measures),
            },
        )

    def same(self, first: TextLine, second: TextLine) -> bool:
        return np.array_equal(first.class_id, second.class_id)

    def draw(
        self, image: Image.Image, prediction: TextLine, classes: Sequence[str], *, truth: TextLine | None = None
    ) -> Image.Image:
        from manako.tasks._caption import with_caption

        text, score = _shown(prediction, classes), prediction.confidence
        if truth is None:
            return with_caption(image, text, score)
        return with_caption(image, text, score, right=self.same(prediction, truth), truth=_shown(truth, classes))

    def compare(
        self, image: Image.Image, prediction: TextLine, truth: TextLine, classes: Sequence[str]
    ) -> list[tuple[str, Image.Image]]:
        from manako.tasks._text_picture import alignment

        drawn = alignment(truth.text(classes), prediction.text(classes), least=image.width)
        return [("gallery.image", image.convert("RGB")), ("gallery.ocr_alignment", drawn)]

    def describe(self, prediction: TextLine, classes: Sequence[str]) -> str:
        return f"{_shown(prediction, classes)} {100 * prediction.confidence:.0f} %"

    def as_json(self, prediction: TextLine, classes: Sequence[str]) -> list[Json]:
        return [{"text": prediction.text(classes), "score": round(prediction.confidence, 6)}]

    def figures(self, evaluation: Evaluation, classes: Sequence[str]) -> dict[str, Figure]:
        from manako.tasks._text_figures import text_figures

        return text_figures(evaluation, classes)

    def synthetic(self, folder: Path, *, seed: int, count: int) -> Dataset:
        from manako.formats import read_dataset
        from manako.samples.text_lines import WORDS, write_text_lines

        return read_dataset(write_text_lines(folder, seed=seed, count=count, texts=WORDS), task=self.name)


def best_path(symbols: NDArray[np.int64], scores: NDArray[np.float32]) -> TextLine:
    """(T,) and (T,) -> the line; a character scores as the surest of its steps."""
    begins = np.flatnonzero(np.diff(symbols, prepend=BLANK - 1))
    if not len(begins):
        return TextLine(np.empty(0, np.int64), np.empty(0, np.float32))
    best = np.maximum.reduceat(scores, begins)
    kept = symbols[begins] != BLANK
    return TextLine(symbols[begins][kept].astype(np.int64) - 1, best[kept].astype(np.float32))


def beam_path(symbols: NDArray[np.int64], scores: NDArray[np.float32], beam: Beam) -> TextLine:
    """(T, K) and (T, K) -> the line; a character scores as the surest of its steps."""
    text = prefix_beam(symbols, scores, width=beam.width, guide=beam.guide)
    if text is None:
        text = prefix_beam(symbols, scores, width=beam.width)
    assert text is not None  # without a guide any text may end
    return TextLine(np.array(text, np.int64) - 1, character_scores(text, symbols, scores))


def _shown(line: TextLine, classes: Sequence[str]) -> str:
    from manako.messages import message

    return line.text(classes) or message("ocr.nothing")


def _counts(measures: Sequence[ReadLine], kind: str, field: str) -> tuple[list[int], list[int]]:
    """One of the numbers of each line's edits, and the lengths that they are counted against."""
    found: list[Edits] = [getattr(m.errors, kind) for m in measures]
    return [getattr(e, field) for e in found], [e.length for e in found]


def _rate(measures: Sequence[ReadLine], kind: str, field: str) -> float:
    parts, wholes = _counts(measures, kind, field)
    return sum(parts) / max(1, sum(wholes))


def _interval(measures: Sequence[ReadLine], kind: str, field: str, *, seed: int) -> tuple[float, float]:
    return ratio_interval(*_counts(measures, kind, field), seed=seed)


def _worst(measures: Sequence[ReadLine]) -> tuple[int, ...]:
    """Lines with mistakes, most for their length first."""
    rates = np.array([m.errors.characters.count / max(1, m.errors.characters.length) for m in measures])
    order = np.argsort(-rates, kind="stable").tolist()
    return tuple(i for i in order if rates[i] > 0)[:WORST]


def _taken_for(measures: Sequence[ReadLine]) -> NDArray[np.float64]:
    """(K, 3): true class, found class, how often; the most frequent first."""
    pairs = [pair for m in measures for pair in m.mistakes]
    if not pairs:
        return np.empty((0, 3))
    kinds, counts = np.unique(np.array(pairs), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.concatenate([kinds, counts[:, None]], 1)[order].astype(np.float64)


TASK = Ocr()
