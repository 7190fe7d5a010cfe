"""Geometry of boxes as tensors: (..., 4), left, top, right, bottom in pixels."""

from __future__ import annotations

import math

import torch
from torch import Tensor

SMALL = 1e-7


def area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...); a box that is turned inside out has none."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp_min(0).prod(-1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of pairs: any two shapes (..., 4) that broadcast -> (...), 0..1."""
    corner = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])
    shared = corner.clamp_min(0).prod(-1)
    return shared / (area(first) + area(second) - shared).clamp_min(SMALL)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU less what keeps two boxes apart: the distance of their centres, and how their shapes differ.

    Shapes as in `iou`; -2..1. Paper: Zheng et al. 2020, "Distance-IoU Loss", arXiv 1911.08287 (its CIoU).
    """
    overlap = iou(first, second)
    hull = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    apart = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2
    distance = apart.square().sum(-1) / hull.square().sum(-1).clamp_min(SMALL)
    shape = (4 / math.pi**2) * (_slant(first) - _slant(second)).square()
    with torch.no_grad():
        weight = shape / (1 - overlap + shape).clamp_min(SMALL)
    return overlap - distance - weight * shape


def _slant(boxes: Tensor) -> Tensor:
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp_min(SMALL).unbind(-1)
    return torch.atan2(width, height)


def inside(points: Tensor, boxes: Tensor) -> Tensor:
    """points (A, 2), boxes (..., M, 4) -> (..., M, A) bool: which points lie within which box."""
    after = points - boxes[..., None, :2]
    before = boxes[..., None, 2:] - points
    return torch.minimum(after, before).amin(-1) > 0
