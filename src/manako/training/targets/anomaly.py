"""What anomaly models learn from: nothing but the normal images themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from manako.config import RunConfig
from manako.models import find_model
from manako.training.batch import TensorTargets
from manako.types import Anomaly, Dataset, Frame

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

# Computed in one pass: nothing is varied, so that what is remembered is what was seen.
COMPUTED: Mapping[str, Any] = {
    "optimiser": "sgd",
    "lr": 0.0,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup": 0.0,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "augment": "none",
    "ema": 0.0,
    "freeze": 0.0,
    "frozen_stages": 0,
    "fixed_norms": False,
    "layer_decay": 1.0,
    "clip": 0.0,
    "batch": "16",
    "epochs": 1,
}
# By steps: rebuilding normal images.
TRAINED: Mapping[str, Any] = {
    **COMPUTED,
    "optimiser": "adamw",
    "lr": 1e-3,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "schedule": "one_cycle",
    "warmup": 0.1,
    "augment": "light",
    "ema": 0.1,
    "clip": 1.0,
}
LONGER_SIDE = 384
TRAINED_SIDE = 128
SMALLEST = 128  # smaller images are enlarged: the pretrained network reduces what it sees by 8
COMPACT = True


@dataclass(frozen=True, eq=False)
class AnomalyTargets(TensorTargets):
    """defect: (N,) float32, 1 for images that are not normal (there are none in training)."""

    defect: Tensor

    def mix(self, order: Tensor, share: Tensor) -> AnomalyTargets:
        return AnomalyTargets(torch.lerp(self.defect[order], self.defect, share))


def collate(
    truths: Sequence[Anomaly],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> AnomalyTargets:
    return AnomalyTargets(torch.tensor([float(truth.score > 0.5) for truth in truths]))


def classes_of(targets: Sequence[Any]) -> None:
    """Images have no classes to balance: all that is learnt from is normal."""


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. Models that are computed see larger images than those that are trained."""
    model = config.model or "patchcore"
    computed = find_model(model, "anomaly").family == "patchcore"
    wanted = LONGER_SIDE if computed else TRAINED_SIDE
    chosen = dict(COMPUTED if computed else TRAINED)
    if not computed:
        del chosen["epochs"]
    grey = facts.grey and not computed
    return {
        **chosen,
        "model": model,
        "imgsz": max(SMALLEST if computed else 32, min(wanted, (facts.longer + 31) // 32 * 32)),
        "channels": 1 if grey else 3,
    }
