"""Lines of text as symbols for CTC: 0 is the blank, i + 1 the class i. And the recipe to learn them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.errors import ImageError
from manako.images import image_size
from manako.training.hardware import choose_device
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, TextLine

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = True  # a line is a few numbers
HEIGHT = 32  # pixels of the network's images
WIDEST = 1024
STEP = 32  # widths are multiples of it
SAMPLED = 500
MANY = 10_000  # training lines, of which more go into a step
RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "weight_decay": 0.01,
    "warmup": 0.15,
    "flip": "off",
    "clip": 5.0,
}


@dataclass(frozen=True, eq=False)
class LineTargets:
    """symbols: (N, L) int64, filled up with 0. lengths: (N,) int64."""

    moves: ClassVar[bool] = False
    symbols: Tensor
    lengths: Tensor

    @property
    def mass(self) -> float:
        return float(len(self.lengths))

    def __len__(self) -> int:
        return len(self.lengths)

    def to(self, device: torch.device) -> LineTargets:
        return LineTargets(self.symbols.to(device, non_blocking=True), self.lengths.to(device, non_blocking=True))

    def take(self, index: Tensor) -> LineTargets:
        return LineTargets(self.symbols[index], self.lengths[index])

    def mix(self, order: Tensor, share: Tensor) -> LineTargets:
        """Of two lines in one image, the one that can be read better."""
        own = share >= 0.5
        symbols = torch.where(own[:, None], self.symbols, self.symbols[order])
        return replace(self, symbols=symbols, lengths=torch.where(own, self.lengths, self.lengths[order]))

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> LineTargets:
        return self


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
    """Every open setting. Nine of ten lines fit into the network's width, the longest are squeezed. What is learnt from
    nothing needs no colours to read."""
    width = config.imgsz or line_width(dataset)
    model = config.model or ("crnn_small" if choose_device(config.device) == "cpu" else "crnn")
    return {
        **RECIPE,
        "model": model,
        "lr": 2e-3 if model.startswith("crnn") and config.weights in ("auto", "none") else 1e-3,  # from nothing: faster
        "batch": "32" if facts.count >= MANY else "16",
        "imgsz": width,
        "aspect": width / HEIGHT,
        "channels": 1 if facts.grey or model.startswith("crnn") else 3,
        "why_channels": "plan.line_channels" if model.startswith("crnn") and not facts.grey else "",
        "why_size": "plan.line_size",
    }


def line_width(dataset: Dataset) -> int:
    """The width at which nine of ten lines of the training data fit at the network's height."""
    samples = dataset.of("train") or dataset.samples
    picked = [samples[i] for i in np.linspace(0, len(samples) - 1, min(SAMPLED, len(samples))).astype(int)]
    shapes = []
    for sample in picked:
        try:
            shapes.append(image_size(sample.image, sample.frame))
        except ImageError:
            continue
    ratios = [width / height for height, width in shapes] or [1.0]
    steps = int(np.ceil(float(np.quantile(ratios, 0.9)) * HEIGHT / STEP))
    return min(max(steps, 2) * STEP, WIDEST)
