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

    Boxes lie within an image of `size` (height, width). Groups are moved down to places of their own. So are images,
    to the side, while a graph is exported, which must not depend on their number; else one by one is quicker.
    """
    if scores.is_meta:  # shapes without numbers: nothing can be said of what is left
        return scores
    count = scores.shape[1]
    down = groups[..., None] * boxes.new_tensor([0.0, size[0] + 1.0]).repeat(2)
    moved, marks = boxes + down, torch.zeros_like(scores)
    if torch.compiler.is_exporting():
        image = torch.arange(scores.shape[0], device=scores.device).repeat_interleave(count)
        side = image[:, None] * boxes.new_tensor([size[1] + 1.0, 0.0]).repeat(2)
        kept = torchvision.ops.nms(moved.flatten(0, 1) + side, scores.flatten(), iou)
        marks = marks.flatten().index_fill(0, kept, 1.0).view_as(scores)
    else:
        for mark, one, score in zip(marks, moved, scores, strict=True):
            mark[torchvision.ops.nms(one, score, iou)] = 1.0
    return torch.where(marks > 0, scores, -1.0)


def pool_regions(maps: list[Tensor], regions: Tensor, *, side: int, size: tuple[int, int]) -> Tensor:
    """What lies in each of `regions` (M, 5), number of the image and box: (M, C, side, side), from the map whose cells
    fit the box's size.

    maps: (N, C, H, W), each half as fine as the one before; size: (height, width) of the image. Equal to torchvision's
    `MultiScaleRoIAlign`, but keeps no state, and its graph can be exported.
    """
    scales = [2.0 ** round(math.log2(x.shape[-2] / size[0])) for x in maps]
    low, high = -math.log2(scales[0]), -math.log2(scales[-1])
    area = (regions[:, 3:] - regions[:, 1:3]).prod(-1)
    level = torch.floor(4 + torch.log2(area.sqrt() / 224) + 1e-6).clamp(low, high) - low
    pooled = maps[0].new_zeros((regions.shape[0], maps[0].shape[1], side, side))
    for number, (x, scale) in enumerate(zip(maps, scales, strict=True)):
        rows = rows_where(level == number)
        part = torchvision.ops.roi_align(x, regions[rows], side, spatial_scale=scale, sampling_ratio=2)
        pooled = pooled.index_copy(0, rows, part.to(pooled.dtype))
    return pooled


def numbered(boxes: Tensor) -> Tensor:
    """(N, R, 4) -> (N * R, 5): each box after the number of its image."""
    image = torch.arange(boxes.shape[0], device=boxes.device).repeat_interleave(boxes.shape[1])
    return torch.cat([image[:, None].to(boxes.dtype), boxes.flatten(0, 1)], 1)


def rows_where(flags: Tensor) -> Tensor:
    """Places (M,) of what is true in `flags` (A,); all places of shapes without numbers."""
    return torch.arange(len(flags), device=flags.device) if flags.is_meta else torch.where(flags)[0]
