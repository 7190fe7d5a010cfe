"""What a generator learns from: the images themselves; of what is true of them only their class. And the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from manako.config import RunConfig
from manako.training.batch import TensorTargets
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, Generated

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMMON: Mapping[str, Any] = {**ADAMW, "weight_decay": 0.0, "warmup": 0.02, "augment": "none", "batch": "64"}
# Two players: no momentum that overshoots.
GAME: Mapping[str, Any] = {**COMMON, "lr": 5e-4, "momentum": 0.5, "schedule": "linear", "clip": 0.0}
FLOW: Mapping[str, Any] = {**COMMON, "lr": 1e-3, "schedule": "cosine", "why": "plan.flow"}
DEFAULT = "diffusion"  # better pictures in the same minutes: docs/results.md
SMALLEST, LARGEST = 16, 64  # pixels a side
COMPACT = True


@dataclass(frozen=True, eq=False)
class GenerationTargets(TensorTargets):
    """class_id: (N,) int64."""

    class_id: Tensor

    def mix(self, order: Tensor, share: Tensor) -> GenerationTargets:
        """Of two images in one, the class of the one that can be seen better."""
        return GenerationTargets(torch.where(share >= 0.5, self.class_id, self.class_id[order]))


def collate(
    truths: Sequence[Generated],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> GenerationTargets:
    return GenerationTargets(torch.tensor([truth.class_id for truth in truths], dtype=torch.int64))


def classes_of(targets: Sequence[Any]) -> None:
    """Classes are told to the generator, not predicted: nothing to balance, no mirror test."""


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting, from the size and the colours of the images."""
    model = config.model or DEFAULT
    return {
        **(GAME if model.startswith("gan") else FLOW),
        "model": model,
        "imgsz": max(SMALLEST, min(LARGEST, facts.side)) // 4 * 4,
        "channels": 1 if facts.grey else 3,
    }
