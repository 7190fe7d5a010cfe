"""YOLO: finds all objects in one pass; every cell of three maps says what lies there and how far its sides are.

Paper: Redmon et al. 2016, "You Only Look Once", arXiv 1506.02640; here without anchors as in Ge et al. 2021, "YOLOX",
arXiv 2107.08430, with sides as distributions (arXiv 2006.04388) and cells assigned as in arXiv 2108.07755.
Licence: own code, Apache-2.0; the packaged weights of its encoder are Apache-2.0.
Expected: no published figure for this composition; `docs/results.md` holds what was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from manako.blocks.assignment import task_aligned
from manako.blocks.box_loss import distribution_focal_loss, expected_distance, quality_loss
from manako.blocks.boxes import complete_iou
from manako.blocks.candidates import best, pick
from manako.blocks.csp import ConvNorm, CspEncoder
from manako.blocks.encoder import Encoder
from manako.blocks.folding import fix_norms
from manako.blocks.layers import check_imgsz, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.blocks.pyramid import PathAggregation

if TYPE_CHECKING:
    from manako.training.targets.detection import DetectionTargets

TASKS = ("detection",)
# width: channels of the neck and the head. depth: bottlenecks of each stage of the neck, and of a network from nothing.
VARIANTS = {
    "yolo": {"network": "tf_efficientnet_lite0", "width": 64, "depth": 1},
    "yolo_nano": {"network": "csp16", "width": 64, "depth": 1},
    "yolo_small": {"network": "csp32", "width": 128, "depth": 1},
    "yolo_medium": {"network": "csp48", "width": 192, "depth": 2},
}
STRIDES = (8, 16, 32)
BINS = 16  # a side lies up to 15 cells away
CANDIDATES = 1000
NEAR = 3.0  # cells in which the first distributions of a side fall to 1/e
RARE = 0.01  # what every class scores before anything is learned
BOX, DISTANCE = 2.5, 0.5  # weights of the losses beside that of the classes


class Head(nn.Module):
    """One map (N, width, H, W) -> what each cell says: classes (N, H * W, K), distances (N, H * W, 4 * BINS)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.class_tower = nn.Sequential(ConvNorm(width, width, 3), ConvNorm(width, width, 3))
        self.box_tower = nn.Sequential(ConvNorm(width, width, 3), ConvNorm(width, width, 3))
        self.classes = nn.Conv2d(width, classes, 1)
        self.distances = nn.Conv2d(width, 4 * BINS, 1)
        nn.init.normal_(self.classes.weight, std=0.01)
        nn.init.constant_(self.classes.bias, -math.log((1 - RARE) / RARE))  # type: ignore[arg-type]
        # At first boxes are about five cells wide, as objects are that a map suits, not fifteen: small objects
        # overlap them enough to be learnt from the first step.
        with torch.no_grad():
            self.distances.bias.copy_(torch.arange(BINS).repeat(4) / -NEAR)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        classes, distances = self.classes(self.class_tower(x)), self.distances(self.box_tower(x))
        return classes.flatten(2).transpose(1, 2), distances.flatten(2).transpose(1, 2)


class Yolo(Model):
    """network: a name of timm, or "csp" and the width of a network that starts from nothing.

    Outputs beside the task's: `classes` (N, A, K) and `distances` (N, A, 4 * BINS) logits of the A cells, and `cells`
    (A, 3): x, y of their centres and their size in pixels.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        width: int = 64,
        depth: int = 1,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="yolo")
        self.encoder: Encoder | CspEncoder
        if network.removeprefix("csp").isdecimal():
            self.encoder = CspEncoder(channels=channels, width=int(network.removeprefix("csp")), depth=depth)
            self.mean, self.std = (0.5,) * channels, (0.25,) * channels
        else:
            self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights)
            self.mean, self.std, self.pretrained = self.encoder.mean, self.encoder.std, self.encoder.pretrained
            self.notice, self.notes = self.encoder.notice, self.encoder.notes
        sizes = dict(zip(self.encoder.strides, self.encoder.channels, strict=True))
        self.neck = PathAggregation([sizes[stride] for stride in STRIDES], width=width, depth=depth)
        self.heads = nn.ModuleList(Head(width, classes) for _ in STRIDES)
        start(self, weights)
        if self.pretrained and weights == "auto":
            fix_norms(self.encoder)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.neck(self.encoder(images)[-len(STRIDES) :])
        found = [head(x) for head, x in zip(self.heads, maps, strict=True)]
        raw = {
            "classes": torch.cat([classes for classes, _ in found], 1),
            "distances": torch.cat([distances for _, distances in found], 1),
            "cells": torch.cat([_cells(x, stride) for x, stride in zip(maps, STRIDES, strict=True)]),
        }
        return raw if self.training else raw | best_candidates(**raw)

    def loss(self, outputs: dict[str, Tensor], targets: DetectionTargets) -> Tensor:  # type: ignore[override]
        """Classes by quality, boxes by CIoU and by the distribution of each side; a mean over objects and images."""
        classes, distances = outputs["classes"].float(), outputs["distances"].float()
        points, sizes = outputs["cells"][:, :2], outputs["cells"][:, 2]
        boxes = sides_to_boxes(distances, outputs["cells"])
        found = task_aligned(
            classes.detach().sigmoid(),
            boxes.detach(),
            points,
            truth=targets.boxes,
            labels=targets.labels,
            valid=targets.valid,
            ignore=targets.ignore,
        )
        image, cell = found.positive.nonzero(as_tuple=True)
        owner, weight = found.owner[image, cell], found.quality[image, cell]
        wanted = torch.zeros_like(classes)
        wanted[image, cell, targets.labels[image, owner]] = weight
        total = (quality_loss(classes, wanted) * ~found.ignored[..., None]).sum()
        truth = targets.boxes[image, owner]
        total = total + BOX * (weight * (1 - complete_iou(boxes[image, cell], truth))).sum()
        sides = torch.cat([points[cell] - truth[:, :2], truth[:, 2:] - points[cell]], 1) / sizes[cell, None]
        each = distribution_focal_loss(torch.unflatten(distances[image, cell], 1, (4, BINS)), sides).mean(1)
        return (total + DISTANCE * (weight * each).sum()) / max(targets.mass, 1.0)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from self.encoder.stages()
        yield from parameter_stages(self.neck, self.heads)


def _cells(x: Tensor, stride: int) -> Tensor:
    """(H * W, 3): x, y of each cell's centre and its size, in the image's pixels."""
    height, width = x.shape[-2:]
    down = (torch.arange(height, device=x.device, dtype=torch.float32) + 0.5) * stride
    across = (torch.arange(width, device=x.device, dtype=torch.float32) + 0.5) * stride
    grid = torch.stack([across.repeat(height), down.repeat_interleave(width)], 1)
    return torch.cat([grid, torch.full_like(grid[:, :1], stride)], 1)


def sides_to_boxes(distances: Tensor, cells: Tensor) -> Tensor:
    """distances (N, A, 4 * BINS) of `cells` (A, 3) or (N, A, 3) -> boxes (N, A, 4) in pixels."""
    sides = expected_distance(torch.unflatten(distances.float(), -1, (4, BINS))) * cells[..., 2:]
    return torch.cat([cells[..., :2] - sides[..., :2], cells[..., :2] + sides[..., 2:]], -1)


def best_candidates(classes: Tensor, distances: Tensor, cells: Tensor) -> dict[str, Tensor]:
    """The task's outputs: the best pairs of a cell and a class, best first."""
    kinds = classes.shape[2]
    score, place = best(classes.float().flatten(1), CANDIDATES)
    cell = place // kinds
    boxes = sides_to_boxes(pick(distances, cell), cells[cell])  # of these alone: most cells are not asked
    return {"boxes": boxes, "scores": score.sigmoid(), "labels": place % kinds}
