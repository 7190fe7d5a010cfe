"""One subject's points, each as a map of where it may be: how such maps are learnt and read.

The loss is a cross-entropy over all places of a map, the answer the mean of its peak (Sun et al. 2018, "Integral Human
Pose Regression", arXiv 1711.08229): regressing the maps themselves collapses to nothing where points are small.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from manako.blocks.model import Model

if TYPE_CHECKING:
    from manako.training.targets.pose import PoseTargets

REACH = 3.0  # spreads to each side of a peak that belong to it


class SinglePose(Model):
    """stride: pixels a cell of the maps. spread: standard deviation of the target in cells. limbs: their number."""

    stride: int
    spread: float
    limbs: int

    def answer(self, logits: Tensor) -> dict[str, Tensor]:
        """logits: (N, K, h, w), of every place of a map against all others; in evaluation mode also peaks, limbs."""
        if self.training:
            return {"logits": logits}
        peaks = self.peaks(logits.float())
        limbs = torch.ones_like(peaks[:, :1, :, :1]).expand(-1, self.limbs, -1, -1)
        return {"logits": logits, "peaks": peaks, "limbs": limbs}

    def peaks(self, logits: Tensor) -> Tensor:
        """(N, K, 1, 3): x, y in pixels, and the share of the map that lies around them."""
        height, width = logits.shape[-2:]
        share = logits.flatten(2).softmax(-1)
        place = share.argmax(-1, keepdim=True)
        across = torch.arange(width, device=logits.device).repeat(height)
        down = torch.arange(height, device=logits.device).repeat_interleave(width)
        reach = math.ceil(REACH * self.spread)
        near = ((across - place % width).abs() <= reach) & ((down - place // width).abs() <= reach)
        share = share * near
        mass = share.sum(-1)
        x, y = ((share * (c + 0.5)).sum(-1) / mass * self.stride for c in (across, down))
        return torch.stack([x, y, mass], -1).unsqueeze(2)

    def loss(self, outputs: dict[str, Tensor], targets: PoseTargets) -> Tensor:  # type: ignore[override]
        """Relative entropy to a small Gaussian around each point, whose mean is the point to a fraction of a cell; 0
        where the maps are the Gaussians. Mean over images and points; unknown ones count 0."""
        logits = outputs["logits"]
        xy, known = largest(targets)
        log_share = logits.flatten(2).log_softmax(-1).view_as(logits)
        across, down = (
            self._target(xy[..., axis], cells) for axis, cells in ((0, logits.shape[-1]), (1, logits.shape[-2]))
        )
        each = -torch.einsum("nkh,nkhw,nkw->nk", down, log_share, across)
        floor = torch.special.entr(down).sum(-1) + torch.special.entr(across).sum(-1)
        loss: Tensor = ((each - floor) * known).sum() / known.numel()
        return loss

    def _target(self, place: Tensor, cells: int) -> Tensor:
        """place (N, K) in pixels -> (N, K, cells), sums to 1."""
        centre = torch.arange(cells, device=place.device) + 0.5
        far = (centre - (place / self.stride).unsqueeze(-1)) / self.spread
        return (-far.square() / 2).softmax(-1)


def largest(targets: PoseTargets) -> tuple[Tensor, Tensor]:
    """xy (N, K, 2) and known (N, K) of the largest subject of each image that has known points."""
    sides = targets.boxes[..., 2:] - targets.boxes[..., :2]
    area = sides.prod(-1) * targets.known.any(-1)
    rows = torch.arange(len(area), device=area.device)
    best = area.argmax(1)
    return targets.xy[rows, best], targets.known[rows, best]
