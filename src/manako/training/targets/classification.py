"""Classes of whole images as probabilities: smoothing and mixing make them soft. And the recipes to learn them by.

`docs/results.md` says what each choice was measured to bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.models import find_model
from manako.training.batch import TensorTargets
from manako.training.hardware import choose_device
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, Labels

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

# From scratch, for the network that is made for it: small images, of which it sees many in little time.
SMALL_RESNET: Mapping[str, Any] = {
    **ADAMW,
    "optimiser": "muon",
    "lr": 0.04,
    "weight_decay": 5e-4,
    "schedule": "linear",
    "warmup": 0.05,
    "label_smoothing": 0.1,
    "clip": 0.0,
    "batch": "128",
}
# From scratch, for any other network: slower, but at home with layers that no normalisation follows.
FROM_SCRATCH: Mapping[str, Any] = {**ADAMW, "label_smoothing": 0.1, "batch": "64"}
# Fine-tuning: photographs, where a backbone that has seen a million of them knows most already.
FINE_TUNE: Mapping[str, Any] = {
    **ADAMW,
    "warmup": 0.2,
    "label_smoothing": 0.1,
    "mixup": 0.1,
    "augment": "medium",
    "ema": 0.2,
    "frozen_stages": 4,
    "fixed_norms": True,
    "layer_decay": 0.9,
    "batch": "32",
}
UNTAUGHT = ("mlp", "cnn", "small_resnet")  # networks that have no pretrained weights anywhere
SMALL_SIDE = 64  # pixels; a shorter side up to this is no photograph
MANY = 5_000  # training images
COMPACT = True  # a target is K numbers: those of a whole split may be made at once


@dataclass(frozen=True, eq=False)
class ClassTargets(TensorTargets):
    """probabilities: (N, K) float32, each row sums to 1. weights: (N,) float32, how much each image counts."""

    probabilities: Tensor
    weights: Tensor

    @property
    def mass(self) -> float:
        return float(self.weights.sum())

    def mix(self, order: Tensor, share: Tensor) -> ClassTargets:
        return ClassTargets(
            torch.lerp(self.probabilities[order], self.probabilities, share[:, None]),
            torch.lerp(self.weights[order], self.weights, share),
        )


def collate(
    truths: Sequence[Labels],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> ClassTargets:
    """label_smoothing: the part of each target that is spread over all classes (Szegedy et al. 2016).

    class_weights: (K,) float32; mean 1 over the training images keeps the size of the loss.
    """
    ids = torch.tensor([truth.best for truth in truths], dtype=torch.int64)
    probabilities = torch.full((len(ids), classes), label_smoothing / classes)
    probabilities[torch.arange(len(ids)), ids] += 1.0 - label_smoothing
    weights = torch.ones(len(ids)) if class_weights is None else class_weights[ids]
    return ClassTargets(probabilities, weights)


def classes_of(targets: Sequence[Labels]) -> NDArray[np.int64]:
    """The class of each image, (N,), for class-balanced sampling and weights."""
    return np.fromiter((target.best for target in targets), np.int64, len(targets))


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting, from the size and the number of the images."""
    small = facts.side <= SMALL_SIDE
    model = config.model or ("small_resnet" if small else "efficientnet_lite0")
    scratch = config.weights == "none" or find_model(model, "classification").family in UNTAUGHT
    chosen = FINE_TUNE if not scratch else SMALL_RESNET if model == "small_resnet" else FROM_SCRATCH
    return {
        **chosen,
        "model": model,
        "imgsz": max(8, (facts.side + 3) // 4 * 4) if small else _photograph_size(config, facts),
        "channels": 1 if facts.grey and scratch else 3,
        "why": "plan.small" if small else "plan.photographs",
    }


def _photograph_size(config: RunConfig, facts: DataFacts) -> int:
    """Detail is worth more than epochs where there are few images; a CPU that has many must be quicker."""
    wanted = 256 if facts.count <= MANY or choose_device(config.device) != "cpu" else 192
    return max(96, min(wanted, facts.side // 32 * 32))
