"""The points of the subjects of each image, in network pixels. And the recipe to learn them by.

`docs/results.md` says what each choice was measured to bring.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from manako.config import RunConfig
from manako.models import find_model
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, Poses, Skeleton

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

FINE_TUNE: Mapping[str, Any] = {
    **ADAMW,
    "lr": 2e-3,
    "augment": "medium",
}
TRANSFORMER: Mapping[str, Any] = {"lr": 2e-4, "layer_decay": 0.85}
COMPACT = True  # a target is a few numbers a point
LARGEST = 384  # pixels of the longer side
SEVERAL = 0.1  # part of the images with more than one subject from which on a model for several is taken


@dataclass(frozen=True, eq=False)
class PoseTargets:
    """xy: (N, S, K, 2) float32, network pixels. known: (N, S, K) bool, labelled and inside the image. boxes: (N, S, 4).

    subjects: (N, S) bool, which of the S places hold one; a subject without known points is a region to leave out.
    size: (height, width) of the images. swap: (K,) int64, the place of each point in a mirror image.
    """

    moves: ClassVar[bool] = True
    xy: Tensor
    known: Tensor
    boxes: Tensor
    subjects: Tensor
    swap: Tensor
    size: tuple[int, int]

    @property
    def mass(self) -> float:
        return float(len(self))

    def __len__(self) -> int:
        return len(self.xy)

    def to(self, device: torch.device) -> PoseTargets:
        moved = {n: getattr(self, n).to(device, non_blocking=True) for n in ("xy", "known", "boxes", "subjects")}
        return replace(self, **moved, swap=self.swap.to(device, non_blocking=True))

    def take(self, index: Tensor) -> PoseTargets:
        return replace(
            self,
            xy=self.xy[index],
            known=self.known[index],
            boxes=self.boxes[index],
            subjects=self.subjects[index],
        )

    def mix(self, order: Tensor, share: Tensor) -> PoseTargets:
        """A point can't lie half in two places: the target of the stronger image stays (share >= 1/2)."""
        return self

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> PoseTargets:
        """Points of pairs change places where an image was mirrored; points that left the image are not known."""
        xy = _mapped(self.xy.flatten(1, 2), matrices).view_as(self.xy)
        corners = self.boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(*self.boxes.shape[:2], 4, 2)
        corners = _mapped(corners.flatten(1, 2), matrices).view_as(corners)
        boxes = torch.cat([corners.amin(2), corners.amax(2)], -1)
        limits = torch.tensor([size[1], size[0]] * 2, device=boxes.device)
        mirrored = (torch.linalg.det(matrices[:, :, :2]) < 0).view(-1, 1, 1)
        xy = torch.where(mirrored.unsqueeze(-1), xy[:, :, self.swap], xy)
        known = torch.where(mirrored, self.known[:, :, self.swap], self.known)
        known = known & (xy >= 0).all(-1) & (xy < limits[:2]).all(-1)
        return replace(self, xy=xy, known=known, boxes=boxes.clamp_min(0).minimum(limits), size=size)


def _mapped(points: Tensor, matrices: Tensor) -> Tensor:
    """points (N, M, 2) through matrices (N, 2, 3)."""
    return points @ matrices[:, :, :2].mT + matrices[:, None, :, 2]


def collate(
    truths: Sequence[Poses],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
    skeleton: Skeleton | None = None,
) -> PoseTargets:
    """classes: number of points of a subject. skeleton: its flip pairs say what changes places in mirror images."""
    most = max([1, *(len(truth) for truth in truths)])
    xy = np.zeros((len(truths), most, classes, 2), np.float32)
    known = np.zeros((len(truths), most, classes), np.bool_)
    boxes = np.zeros((len(truths), most, 4), np.float32)
    subjects = np.zeros((len(truths), most), np.bool_)
    for row, (truth, frame) in enumerate(zip(truths, frames, strict=True)):
        count = len(truth)
        scale, shift = np.array([frame.scale_x, frame.scale_y]), np.array([frame.left, frame.top])
        placed = truth.xy * scale + shift
        inside = (placed >= 0).all(-1) & (placed < [size[1], size[0]]).all(-1)  # False for NaN
        known[row, :count] = inside & (truth.score > 0)
        xy[row, :count] = np.nan_to_num(placed)
        boxes[row, :count] = (truth.xyxy.reshape(count, 2, 2) * scale + shift).reshape(count, 4)
        subjects[row, :count] = True
    return PoseTargets(
        xy=torch.from_numpy(xy),
        known=torch.from_numpy(known),
        boxes=torch.from_numpy(boxes),
        subjects=torch.from_numpy(subjects),
        swap=_swap(classes, skeleton),
        size=size,
    )


def _swap(classes: int, skeleton: Skeleton | None) -> Tensor:
    places = list(range(classes))
    for one, other in skeleton.flips if skeleton else ():
        places[one], places[other] = other, one
    return torch.tensor(places, dtype=torch.int64)


def classes_of(targets: Sequence[object]) -> None:
    """Images have no single class."""
    return


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. Images with several subjects need a model that tells them apart."""
    poses = [sample.target for sample in dataset.samples if isinstance(sample.target, Poses)]
    several = sum(int((pose.score > 0).any(1).sum() > 1) for pose in poses) > SEVERAL * len(poses)
    model = config.model or ("openpose" if several else "heatmap_pose")
    return {
        **FINE_TUNE,
        **(TRANSFORMER if find_model(model, "pose").family == "vitpose" else {}),
        "model": model,
        "imgsz": max(64, min(LARGEST, facts.longer // 32 * 32)),
        "channels": 3,
        "why": "plan.pose",
    }
