"""From the dense answers of a detector to a fixed number of candidates, within a graph that can be exported."""

from __future__ import annotations

import math

import torch
import torchvision
from torch import Tensor

LARGEST = math.log(1000 / 16)  # of a change of size, so that no box overflows


def move_boxes(deltas: Tensor, boxes: Tensor, weights: tuple[float, float, float, float]) -> Tensor:
    """(..., 4) changes of centre and of the logarithm of the size, of `boxes` (..., 4) -> boxes (..., 4)."""
    sides = boxes[..., 2:] - boxes[..., :2]
    centre = boxes[..., :2] + 0.5 * sides
    scaled = deltas / deltas.new_tensor(weights)
    middle = scaled[..., :2] * sides + centre
    half = 0.5 * (scaled[..., 2:].clamp(max=LARGEST).exp() * sides)
    return torch.cat([middle - half, middle + half], -1)


def within(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """`boxes` (..., 4) cut off at the border of an image of (height, width)."""
    limit = boxes.new_tensor([size[1], size[0], size[1], size[0]])
    return torch.minimum(boxes.clamp_min(0), limit)


def best(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(N, A) -> the `count` highest of each row and their places, or all where there are fewer."""
    found: tuple[Tensor, Tensor] = scores.topk(min(count, scores.shape[1]), dim=1)
    return found


def pick(values: Tensor, places: Tensor) -> Tensor:
    """values (N, A) or (N, A, D), places (N, M) -> (N, M) or (N, M, D)."""
    if values.ndim == 2:
        return values.gather(1, places)
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))


def class_candidates(boxes: Tensor, scores: Tensor, count: int) -> dict[str, Tensor]:
    """The best pairs of a box and a class. boxes: (N, A, 4), or (N, A, K, 4) where each class has its own. scores:
    (N, A, K)."""
    classes = scores.shape[2]
    score, place = best(scores.flatten(1), count)
    chosen = pick(boxes, place // classes) if boxes.ndim == 3 else pick(boxes.flatten(1, 2), place)
    return {"boxes": chosen, "scores": score, "labels": place % classes}


def survivors(boxes: Tensor, scores: Tensor, groups: Tensor, *, iou: float, size: tuple[int, int]) -> Tensor:
    """(N, M): `scores`, but -1 where a better box (N, M, 4) of the same group (N, M) overlaps by more than `iou`.

    Boxes lie within an image of `size` (height, width). Each image and each group is moved to a place of its own, so
    that one suppression does for all: to the side for images, down for groups, which keeps coordinates small.
    """
    count = scores.shape[1]
    image = torch.arange(scores.shape[0], device=scores.device).repeat_interleave(count)
    shift = torch.stack([image * (size[1] + 1.0), groups.flatten() * (size[0] + 1.0)], 1)
    kept = torchvision.ops.nms(boxes.flatten(0, 1) + shift.repeat(1, 2), scores.flatten(), iou)
    alive = torch.zeros_like(scores.flatten()).index_fill(0, kept, 1.0).view_as(scores)
    return torch.where(alive > 0, scores, -1.0)
