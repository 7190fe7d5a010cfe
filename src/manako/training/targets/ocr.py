"""Lines of text as symbols for CTC: 0 is the blank, i + 1 the class i. And the recipe to learn them by."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.errors import ImageError
from manako.images import LINE_STEP, image_size
from manako.models import find_model
from manako.training.batch import TensorTargets
from manako.training.hardware import choose_device
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, TextLine

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = True  # a line is a few numbers
HEIGHT = 32  # pixels of the network's images
READ_HEIGHT = 48  # of the packaged reader's
WIDEST = 3072
SAMPLED = 5000
EAST = ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "FULLWIDTH", "HALFWIDTH", "IDEOGRAPHIC")
MANY = 10_000  # training lines, of which more go into a step
RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "weight_decay": 0.01,
    "warmup": 0.15,
    "flip": "off",
    "clip": 5.0,
}
FROM_NOTHING: Mapping[str, Any] = {"lr": 2e-3}
# What reads already knows its lines by heart after a few epochs: it mustn't forget, and see them varied.
LEARNT: Mapping[str, Any] = {"lr": 3e-4, "augment": "medium", "layer_decay": 0.8, "clip": 1.0}


@dataclass(frozen=True, eq=False)
class LineTargets(TensorTargets):
    """symbols: (N, L) int64, filled up with 0. lengths: (N,) int64."""

    symbols: Tensor
    lengths: Tensor

    def mix(self, order: Tensor, share: Tensor) -> LineTargets:
        """Of two lines in one image, the one that can be read better."""
        own = share >= 0.5
        symbols = torch.where(own[:, None], self.symbols, self.symbols[order])
        return replace(self, symbols=symbols, lengths=torch.where(own, self.lengths, self.lengths[order]))


def collate(
    truths: Sequence[TextLine],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> LineTargets:
    """Characters that the alphabet lacks are left out."""
    lines = [truth.class_id[truth.class_id >= 0] + 1 for truth in truths]
    symbols = np.zeros((len(lines), max((len(line) for line in lines), default=0)), np.int64)
    for row, line in zip(symbols, lines, strict=True):
        row[: len(line)] = line
    lengths = np.array([len(line) for line in lines], np.int64)
    return LineTargets(torch.from_numpy(symbols), torch.from_numpy(lengths))


def classes_of(targets: Sequence[object]) -> NDArray[np.int64] | None:
    """A line has no single class."""
    return None


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. What is learnt from nothing needs no colours to read."""
    model = config.model or _default(config)
    new = find_model(model, "ocr").family == "crnn"
    height = HEIGHT if new else READ_HEIGHT
    width = config.imgsz or line_width(dataset, height)
    learnt = not new and config.weights != "none"
    nothing = new and config.weights in ("auto", "none")
    return {
        **RECIPE,
        **(LEARNT if learnt else FROM_NOTHING if nothing else {}),
        "model": model,
        "batch": "32" if facts.count >= MANY else "16",
        "imgsz": width,
        "aspect": width / height,
        "channels": 1 if facts.grey or new else 3,
        "why_channels": "plan.line_channels" if new and not facts.grey else "",
        "why": "plan.ocr_learnt" if learnt else "plan.ocr",
        "why_size": "plan.line_size",
    }


def _default(config: RunConfig) -> str:
    """What reads already, where its weights are installed."""
    if config.weights in ("auto", "packaged") and find_spec("rapidocr"):
        return "ppocr"
    return "crnn_small" if choose_device(config.device) == "cpu" else "crnn"


def with_known(config: RunConfig, dataset: Dataset) -> Dataset:
    """The alphabet with what the packaged reader also knows: few lines to learn from lack what later lines have.

    The model's option `keep` says which: "scripts" (those of the scripts that the data use: fast, and no Chinese
    character can be taken for a digit), "all" or "data" (none).
    """
    if config.model != "ppocr" or config.weights not in ("auto", "packaged"):
        return dataset
    from manako.models.ppocr import Ppocr

    keep = config.options.get("keep", "scripts")
    if keep == "data":
        return dataset
    used, own = {script(c) for c in dataset.classes}, set(dataset.classes)
    known = (c for c in Ppocr.packaged_classes() if c not in own)
    return replace(dataset, classes=(*dataset.classes, *(c for c in known if keep == "all" or script(c) in used)))


def script(character: str) -> str:
    """ASCII is one; kana, Chinese characters and their full-width company are one; else Unicode's name says it."""
    word = unicodedata.name(character, "").partition(" ")[0]
    return "ascii" if character.isascii() else "east" if word in EAST else word


def line_width(dataset: Dataset, height: int) -> int:
    """The width of the widest of the lines that are looked at, at the network's height."""
    samples = dataset.of("train") or dataset.samples
    picked = [samples[i] for i in np.linspace(0, len(samples) - 1, min(SAMPLED, len(samples))).astype(int)]
    shapes = []
    for sample in picked:
        try:
            shapes.append(image_size(sample.image, sample.frame))
        except ImageError:
            continue
    widest = max((width / height for height, width in shapes), default=1.0)
    return min(max(int(np.ceil(widest * height / LINE_STEP)), 2) * LINE_STEP, WIDEST)
