"""A detector whose graph also leaves out what was found twice, for programs that have no suppression of their own."""

from __future__ import annotations

from torch import Tensor, nn

from manako.blocks.candidates import best, pick, survivors
from manako.blocks.model import Model

MOST = 300  # objects of one image
_BEYOND = 512  # pixels by which boxes may lie outside of the image


class Suppressed(nn.Module):
    """The outputs of `model` with at most MOST candidates, best first; of two of one class that overlap by more than
    `iou` the better one. Rows that fill up have the score 0."""

    def __init__(self, model: Model, iou: float) -> None:
        super().__init__()
        self.model, self.iou = model, iou
        self.normalise = model.normalise

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.model(images)
        size = (images.shape[-2] + 2 * _BEYOND, images.shape[-1] + 2 * _BEYOND)
        alive = survivors(found["boxes"], found["scores"], found["labels"], iou=self.iou, size=size)
        score, place = best(alive, MOST)
        rows = {key: pick(found[key], place) for key in ("boxes", "labels")}
        return found | rows | {"scores": score.clamp_min(0)}
