"""Objects with their regions, in network pixels: the boxes of detection, and a map that says whose each pixel is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.regions import area_of, mask_of, rectangle
from manako.training.targets import detection
from manako.training.targets.detection import LEAST_PART, LEAST_SIDE, DetectionTargets
from manako.training.targets.segmentation import SegmentationTargets
from manako.types import IGNORE, Dataset, Detections, Frame, Outline

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = False  # a target is as large as an image
MOST = 255  # objects of one image that have a region


@dataclass(frozen=True, eq=False)
class InstanceTargets:
    """regions: for each pixel the row of `objects` that it belongs to, IGNORE where there is none."""

    moves: ClassVar[bool] = True
    objects: DetectionTargets
    regions: SegmentationTargets

    @property
    def mass(self) -> float:
        return self.objects.mass

    def __len__(self) -> int:
        return len(self.objects)

    def to(self, device: torch.device) -> InstanceTargets:
        return InstanceTargets(self.objects.to(device), self.regions.to(device))

    def take(self, index: Tensor) -> InstanceTargets:
        return InstanceTargets(self.objects.take(index), self.regions.take(index))

    def mix(self, order: Tensor, share: Tensor) -> InstanceTargets:
        """A pixel belongs to one object: those of the stronger image stay (share >= 1/2)."""
        return self

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> InstanceTargets:
        """The boxes become those of the regions as they are now. An object that keeps less than a quarter of its area,
        or less than two pixels of a side, is none any more."""
        regions = self.regions.warp(matrices, size)
        rows = self.objects.labels.shape[1]
        boxes, counts = tight_boxes(regions.class_id, rows)
        larger = matrices[:, :, :2].float().det().abs()[:, None]
        before = tight_boxes(self.regions.class_id, rows)[1] * larger
        sides = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
        kept = (counts >= LEAST_PART * before) & (sides >= LEAST_SIDE)
        return InstanceTargets(replace(self.objects, boxes=boxes, valid=self.objects.valid & kept), regions)

    def masks(self, image: int) -> Tensor:
        """(M, H, W) bool: the region of each object of one image."""
        rows = torch.arange(self.objects.labels.shape[1], device=self.regions.class_id.device)
        return self.regions.class_id[image] == rows[:, None, None]


def tight_boxes(regions: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """regions (N, H, W) uint8 -> the smallest boxes (N, rows, 4) around the pixels of each object, and how many these
    are, (N, rows)."""
    count, height, width = regions.shape
    owner = regions.flatten(1).long().clamp_max(rows)  # the last place takes what belongs to no object
    down = torch.arange(height, device=regions.device, dtype=torch.float32).repeat_interleave(width)
    across = torch.arange(width, device=regions.device, dtype=torch.float32).repeat(height)
    places = torch.stack([across, down])[None].expand(count, -1, -1)
    index = owner[:, None].expand(-1, 2, -1)
    empty = torch.zeros(count, 2, rows + 1, device=regions.device)
    low = empty.scatter_reduce(2, index, places, "amin", include_self=False)
    high = empty.scatter_reduce(2, index, places + 1, "amax", include_self=False)
    pixels = torch.zeros(count, rows + 1, device=regions.device).scatter_add(1, owner, torch.ones_like(owner).float())
    return torch.cat([low, high], 1)[..., :rows].transpose(1, 2).contiguous(), pixels[:, :rows]


def collate(
    truths: Sequence[Detections],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> InstanceTargets:
    """An object of which only the box is known has its box as region; those beyond MOST have none and are ignored."""
    objects = detection.collate(truths, frames, classes=classes, size=size)
    maps = [_painted(truth, frame, size) for truth, frame in zip(truths, frames, strict=True)]
    regions = SegmentationTargets(torch.from_numpy(np.stack(maps)))
    ignore = objects.ignore.clone()
    ignore[:, MOST:] = True
    counts = tight_boxes(regions.class_id, objects.labels.shape[1])[1]
    return InstanceTargets(replace(objects, ignore=ignore, valid=objects.valid & (counts > 0)), regions)


def _painted(truth: Detections, frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Large ones first, so that what lies on them shows."""
    found = np.full(size, IGNORE, np.uint8)
    known: Sequence[Outline | None] = truth.outlines or [None] * len(truth)
    outlines = [outline or rectangle(box) for outline, box in zip(known, truth.xyxy, strict=True)]
    crowd = np.zeros(len(truth), np.bool_) if truth.crowd is None else truth.crowd
    rows = [row for row in range(min(len(truth), MOST)) if not crowd[row]]
    for row in sorted(rows, key=lambda row: -area_of(outlines[row])):
        found[_placed(outlines[row], frame, size)] = row
    return found


def _placed(outline: Outline, frame: Frame, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) in network pixels."""
    if outline.runs is None:
        scale, start = np.array([frame.scale_x, frame.scale_y]), np.array([frame.left, frame.top])
        moved = tuple((polygon * scale + start).astype(np.float32) for polygon in outline.polygons)
        return mask_of(Outline(moved), *size)
    whole = mask_of(outline, frame.height, frame.width)
    down = np.floor((np.arange(size[0]) + 0.5 - frame.top) / frame.scale_y).astype(np.int64)
    across = np.floor((np.arange(size[1]) + 0.5 - frame.left) / frame.scale_x).astype(np.int64)
    inside = ((down >= 0) & (down < frame.height))[:, None] & ((across >= 0) & (across < frame.width))
    return np.asarray(whole[down.clip(0, frame.height - 1)[:, None], across.clip(0, frame.width - 1)] & inside)


def classes_of(targets: Sequence[object]) -> None:
    """Images of objects have no single class."""
    return


RECIPE: Mapping[str, Any] = {"lr": 5e-4, "clip": 1.0}


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting: those of detection, at a lower rate."""
    config = config.with_(model=config.model or "maskrcnn_lite0_fpn")
    return {**detection.recipe(config, facts, dataset), **RECIPE}
