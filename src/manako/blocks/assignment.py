"""Which cell of a detector's maps answers for which object.

Paper: Feng et al. 2021, "TOOD: Task-aligned One-stage Object Detection", arXiv 2108.07755.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from manako.blocks.boxes import inside, iou


@dataclass(frozen=True, eq=False)
class Assignment:
    """owner: (N, A) int64, the object of each cell, 0 where there is none. positive: (N, A) bool. quality: (N, A)
    float32, 0..1, the score that the owner's class should get. ignored: (N, A) bool, cells that count neither way."""

    owner: Tensor
    positive: Tensor
    quality: Tensor
    ignored: Tensor


@torch.no_grad()
def task_aligned(
    scores: Tensor,
    boxes: Tensor,
    points: Tensor,
    *,
    truth: Tensor,
    labels: Tensor,
    valid: Tensor,
    ignore: Tensor,
    top: int = 13,
    alpha: float = 1.0,
    beta: float = 6.0,
) -> Assignment:
    """Each object takes the `top` cells inside its box that classify and place it best: score^alpha * IoU^beta.

    scores: (N, A, K), 0..1. boxes: (N, A, 4), predicted. points: (A, 2), the cells' centres. truth: (N, M, 4) of
    `labels`, `valid`, `ignore` (N, M). A cell that two objects want goes to the one it overlaps most. The best cell of
    an object should score its IoU, the others less in the proportion of their alignment.
    """
    if not truth.shape[1]:
        none = torch.zeros(boxes.shape[:2], dtype=torch.bool, device=boxes.device)
        return Assignment(none.long(), none, none.float(), none)
    objects = valid & ~ignore
    within = inside(points, truth)
    allowed = within & objects[..., None]
    overlap = iou(truth[:, :, None], boxes[:, None]) * allowed
    index = labels[:, None].expand(-1, boxes.shape[1], -1)
    wanted = scores.gather(2, index).transpose(1, 2)
    alignment = wanted.pow(alpha) * overlap.pow(beta) * allowed
    chosen = _highest(alignment, allowed, top)
    owner = torch.where(chosen, overlap, -1.0).argmax(1)
    chosen &= torch.zeros_like(chosen).scatter_(1, owner[:, None], True)
    positive = chosen.any(1)
    alignment, overlap = alignment * chosen, overlap * chosen
    ratio = overlap.amax(2, keepdim=True) / alignment.amax(2, keepdim=True).clamp_min(torch.finfo(alignment.dtype).tiny)
    quality = (alignment * ratio).amax(1).clamp_max(1)
    ignored = (within & (valid & ignore)[..., None]).any(1) & ~positive
    return Assignment(owner * positive, positive, quality, ignored)


def _highest(alignment: Tensor, allowed: Tensor, top: int) -> Tensor:
    """(N, M, A) bool: the `top` allowed cells of each object; the first ones where several are alike."""
    ranked = torch.where(allowed, alignment, -1.0)
    index = ranked.topk(min(top, ranked.shape[2]), 2).indices
    return torch.zeros_like(allowed).scatter_(2, index, True) & allowed
