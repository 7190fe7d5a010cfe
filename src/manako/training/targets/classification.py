"""Classes of whole images as probabilities: smoothing and mixing make them soft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.types import Labels

COMPACT = True  # a target is K numbers: those of a whole split may be made at once


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """probabilities: (N, K) float32, each row sums to 1. weights: (N,) float32, how much each image counts."""

    moves: ClassVar[bool] = False
    probabilities: Tensor
    weights: Tensor

    @property
    def mass(self) -> float:
        return float(self.weights.sum())

    def __len__(self) -> int:
        return len(self.weights)

    def to(self, device: torch.device) -> ClassTargets:
        return ClassTargets(
            self.probabilities.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
        )

    def take(self, index: Tensor) -> ClassTargets:
        return ClassTargets(self.probabilities[index], self.weights[index])

    def mix(self, order: Tensor, share: Tensor) -> ClassTargets:
        return ClassTargets(
            torch.lerp(self.probabilities[order], self.probabilities, share[:, None]),
            torch.lerp(self.weights[order], self.weights, share),
        )

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> ClassTargets:
        return self


def collate(
    truths: Sequence[Labels],
    *,
    classes: int,
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


def classes_of(truths: Sequence[Labels]) -> NDArray[np.int64]:
    """The class of each image, (N,), for class-balanced sampling and weights."""
    return np.fromiter((truth.best for truth in truths), np.int64, len(truths))


def balanced_weights(ids: NDArray[np.int64], *, classes: int) -> Tensor:
    """(K,) weights by which every class counts alike: N / (K * images of the class), their mean over images is 1."""
    counts = np.bincount(ids, minlength=classes)
    present = (counts > 0).sum()
    return torch.from_numpy(len(ids) / (present * np.maximum(counts, 1))).float()
