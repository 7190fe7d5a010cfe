"""The base of models that give every pixel a class."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.model import Model
from manako.blocks.region_loss import region_loss

if TYPE_CHECKING:
    from manako.training.targets.segmentation import SegmentationTargets


class Segmenter(Model):
    """A subclass gives `scores`; `loss` names losses of `region_loss`, joined by "+"."""

    def __init__(self, *, loss: str, name: str) -> None:
        super().__init__()
        self.region_loss = region_loss(loss, model=name)

    @abstractmethod
    def scores(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> logits (N, K, h, w), of the images' size or smaller."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """logits (N, K, H, W); in evaluation mode also the best class of each pixel and its probability."""
        logits = self.scores(images)
        if logits.shape[-2:] != images.shape[-2:]:
            logits = functional.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False)
        if self.training:
            return {"logits": logits}
        probabilities = logits.float().softmax(1)
        class_id = probabilities.argmax(1).to(torch.uint8)
        return {"class_id": class_id, "score": probabilities.amax(1), "logits": logits}

    def loss(self, outputs: dict[str, Tensor], targets: SegmentationTargets) -> Tensor:  # type: ignore[override]
        return self.region_loss(outputs["logits"], targets.class_id.long(), targets.weights)

    def take_over(self, encoder: Encoder) -> None:
        """What goes with an encoder's weights."""
        self.mean, self.std, self.pretrained = encoder.mean, encoder.std, encoder.pretrained
        self.notice = encoder.notice
        self.notes += encoder.notes


def conv_norm(inputs: int, outputs: int) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU; height and width stay."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )
