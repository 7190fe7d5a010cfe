"""Boxes of objects as padded tensors, in the network's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.blocks.boxes import area
from manako.config import RunConfig
from manako.models import find_model
from manako.training.batch import ObjectTargets
from manako.training.hardware import choose_device
from manako.training.recipes import ADAMW
from manako.types import Dataset, Detections, Frame

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = True
LEAST_PART, LEAST_SIDE = 0.25, 2.0  # of a box, in the image, for it to be learnt


@dataclass(frozen=True, eq=False)
class DetectionTargets(ObjectTargets):
    """N images with up to M objects each, in any order.

    boxes: (N, M, 4) float32, left, top, right, bottom in network pixels. labels: (N, M) int64. valid: (N, M) bool,
    false where a row only fills up. ignore: (N, M) bool, regions that are neither object nor background.
    """

    boxes: Tensor
    labels: Tensor
    valid: Tensor
    ignore: Tensor

    def shift(self, right: float, down: float) -> DetectionTargets:
        """All boxes moved by so many pixels."""
        step = self.boxes.new_tensor([right, down, right, down])
        return DetectionTargets(self.boxes + step, self.labels, self.valid, self.ignore)

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> DetectionTargets:
        """A box becomes the upright hull of its turned corners, cut off at the image's border; one that keeps less
        than a quarter of its area, or less than two pixels, is no object any more."""
        left, top, right, bottom = self.boxes.unbind(-1)
        corners = torch.stack([left, top, right, top, left, bottom, right, bottom], -1).view(*left.shape, 4, 2)
        moved = torch.einsum("nij,nmcj->nmci", matrices[:, :, :2], corners) + matrices[:, None, None, :, 2]
        hull = torch.cat([moved.amin(2), moved.amax(2)], -1)
        height, width = size
        limit = hull.new_tensor([width, height, width, height])
        boxes = torch.minimum(hull.clamp_min(0), limit)
        sides = (boxes[..., 2:] - boxes[..., :2]).amin(-1)
        kept = (area(boxes) >= LEAST_PART * area(hull)) & (sides >= LEAST_SIDE)
        return DetectionTargets(boxes, self.labels, self.valid & kept, self.ignore)


def collate(
    truths: Sequence[Detections],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> DetectionTargets:
    """Pad the objects of each image to the largest number. Regions of crowds are ignored."""
    most = max((len(truth) for truth in truths), default=0)
    boxes = np.zeros((len(truths), most, 4), np.float32)
    labels = np.zeros((len(truths), most), np.int64)
    valid, ignore = (np.zeros((len(truths), most), np.bool_) for _ in range(2))
    for i, (truth, frame) in enumerate(zip(truths, frames, strict=True)):
        count = len(truth)
        scale, start = (frame.scale_x, frame.scale_y) * 2, (frame.left, frame.top) * 2
        boxes[i, :count] = truth.xyxy * np.array(scale, np.float32) + np.array(start, np.float32)
        labels[i, :count] = truth.class_id
        valid[i, :count] = True
        ignore[i, :count] = False if truth.crowd is None else truth.crowd
    return DetectionTargets(*(torch.from_numpy(value) for value in (boxes, labels, valid, ignore)))


def classes_of(targets: Sequence[object]) -> NDArray[np.int64] | None:
    """Images of objects have no single class."""
    return None


RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "lr": 4e-3,
    "frozen_stages": 1,
    "fixed_norms": False,  # the model itself fixes those of its pretrained encoder; the rest has none to keep
    "layer_decay": 0.8,
    "clip": 0.0,
    "batch": "8",
}
# Where the rate of `yolo` is too high. The losses of Faster R-CNN, two of proposals and two of what is judged, rose
# from 3.1 to 6.9 in half an epoch. SSD300 has no normalisation at all.
CAREFUL: Mapping[str, Mapping[str, Any]] = {
    "faster_rcnn": {"lr": 1e-3, "clip": 1.0},
    "ssd300_vgg16": {"lr": 5e-4, "clip": 1.0},
}
LONGEST = {"cpu": 416, "gpu": 640}  # pixels of the longer side
PUBLISHED = {"ssd300_vgg16": 320, "fasterrcnn_mobilenet_v3_large_320_fpn": 320}  # that of networks made for one size


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. On a CPU smaller images are worth more than their detail: the network sees more of them."""
    model = config.model or "yolo"
    longest = PUBLISHED.get(model, LONGEST["cpu" if choose_device(config.device) == "cpu" else "gpu"])
    return {
        **RECIPE,
        **CAREFUL.get(find_model(model, dataset.task).family, {}),
        **CAREFUL.get(model, {}),
        "model": model,
        "imgsz": min(longest, max(64, -(-facts.longer // 32) * 32)),
        "channels": 1 if facts.grey and config.weights == "none" else 3,
    }
