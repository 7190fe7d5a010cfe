"""The base of models that find text by a map of the cores of lines."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn import functional

from manako.blocks.model import Model
from manako.blocks.text_maps import draw_maps, text_map_loss

if TYPE_CHECKING:
    from manako.training.targets.text_finding import TextTargets


class TextFinder(Model):
    """A subclass gives `maps`. shrink: the part of a line's polygon, 0..1, that its core is shrunk by."""

    def __init__(self, *, shrink: float) -> None:
        super().__init__()
        self.shrink = shrink

    @abstractmethod
    def maps(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """(N, C, H, W) -> logits of the probability and, where the network learns thresholds, those, 0..1: (N, 1, h, w)
        each, of the images' size or smaller."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """probability, logits and perhaps threshold: (N, H, W)."""
        logits, threshold = self.maps(images)
        size = images.shape[-2:]
        logits = _sized(logits, size)
        outputs = {"probability": logits.float().sigmoid(), "logits": logits}
        return outputs if threshold is None else outputs | {"threshold": _sized(threshold, size)}

    def loss(self, outputs: dict[str, Tensor], targets: TextTargets) -> Tensor:  # type: ignore[override]
        logits = outputs["logits"].float()
        size = (logits.shape[1], logits.shape[2])
        maps = draw_maps(targets.points, targets.valid, targets.ignore, size, shrink=self.shrink)
        return text_map_loss(logits, maps, outputs.get("threshold"))


def _sized(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    if tuple(maps.shape[-2:]) != tuple(size):
        maps = functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)
    return maps[:, 0]
