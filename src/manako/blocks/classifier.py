"""The base of every image classifier: features, then a head; soft cross-entropy."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from manako.blocks.model import Model

if TYPE_CHECKING:
    from manako.training.targets.classification import ClassTargets


class Classifier(Model):
    """forward(images) = {"logits": head(features(images))}: logits (N, classes)."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> the last feature map (N, F, h, w), or (N, F) where the network keeps no map."""

    @abstractmethod
    def head(self, features: Tensor) -> Tensor:
        """Feature map -> logits (N, classes). Pools first."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.features(images))}

    def loss(self, outputs: dict[str, Tensor], targets: ClassTargets) -> Tensor:  # type: ignore[override]
        """Cross-entropy against class probabilities, averaged with the samples' weights."""
        each = functional.cross_entropy(outputs["logits"].float(), targets.probabilities, reduction="none")
        return (each * targets.weights).sum() / targets.weights.sum()
