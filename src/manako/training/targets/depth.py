"""Depth maps at half the network's size, NaN where nothing is known. And the recipe to learn them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.models import find_model
from manako.training.recipes import ADAMW
from manako.types import Dataset, Depth, Frame

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = False  # read again for each batch: maps of a whole split are as large as its images
STRIDE = 2  # of the network's pixels, a cell of the map
RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "warmup": 0.15,
    "fixed_norms": True,
    "layer_decay": 0.9,
    "batch": "8",
}
TRANSFORMER = {"lr": 1e-4, "layer_decay": 0.85, "fixed_norms": False}
LONGER_SIDE = 320  # pixels: depth is smooth, and half of this is what a Kinect resolves


@dataclass(frozen=True, eq=False)
class DepthTargets:
    """depth: (N, h, w) float32, NaN where unknown; a cell spans STRIDE pixels. metric: whether it has a unit.

    size: (height, width) of the network's images.
    """

    moves: ClassVar[bool] = True
    depth: Tensor
    size: tuple[int, int]
    metric: bool = True

    @property
    def mass(self) -> float:
        """Images that teach anything."""
        return float(self.depth.isfinite().flatten(1).any(1).sum())

    def __len__(self) -> int:
        return len(self.depth)

    def to(self, device: torch.device) -> DepthTargets:
        return replace(self, depth=self.depth.to(device, non_blocking=True))

    def take(self, index: Tensor) -> DepthTargets:
        return replace(self, depth=self.depth[index])

    def mix(self, order: Tensor, share: Tensor) -> DepthTargets:
        """Of two scenes in one image, the one that can be seen better."""
        own = (share >= 0.5).view(-1, 1, 1)
        return replace(self, depth=torch.where(own, self.depth, self.depth[order]))

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> DepthTargets:
        """Each new cell takes the depth of the old cell under its centre: means over an edge would be depths that are
        not there. What looks k times larger is k times nearer to the same camera (Eigen et al. 2014)."""
        height, width = size[0] // STRIDE, size[1] // STRIDE
        device = self.depth.device
        rows, columns = (STRIDE * (torch.arange(n, device=device) + 0.5) for n in (height, width))
        centres = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).view(-1, 2)
        back = torch.linalg.inv(matrices[:, :, :2].float())
        old = torch.einsum("nij,nkj->nki", back, centres[None] - matrices[:, None, :, 2])
        cells = (old / STRIDE).floor().long()
        limit = torch.tensor([self.depth.shape[2], self.depth.shape[1]], device=device)
        inside = ((cells >= 0) & (cells < limit)).all(-1)
        place = cells.clamp_min(0).minimum(limit - 1)
        found = self.depth.flatten(1).gather(1, place[..., 1] * limit[0] + place[..., 0])
        found = found.masked_fill(~inside, torch.nan).view(-1, height, width)
        plain = (size[0] * size[1] / (self.size[0] * self.size[1])) ** 0.5  # a change of resolution isn't nearer
        zoom = torch.linalg.det(matrices[:, :, :2].float()).abs().sqrt() / plain
        return replace(self, depth=found / zoom.view(-1, 1, 1), size=size)


def collate(
    truths: Sequence[Depth],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> DepthTargets:
    maps = [_cells(truth, frame, size) for truth, frame in zip(truths, frames, strict=True)]
    return DepthTargets(torch.from_numpy(np.stack(maps)), size, all(truth.unit == "m" for truth in truths))


def _cells(truth: Depth, frame: Frame, size: tuple[int, int]) -> NDArray[np.float32]:
    """The depth under each cell's centre, NaN beside the image."""
    height, width = truth.depth.shape
    rows = (STRIDE * (np.arange(size[0] // STRIDE) + 0.5) - frame.top) / frame.scale_y * height / frame.height
    columns = (STRIDE * (np.arange(size[1] // STRIDE) + 0.5) - frame.left) / frame.scale_x * width / frame.width
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    down = np.clip(rows.astype(np.int64), 0, height - 1)
    across = np.clip(columns.astype(np.int64), 0, width - 1)
    depth = truth.depth[down[:, None], across]
    known = inside & np.isfinite(depth) & (depth > 0)
    return np.where(known, depth, np.float32(np.nan)).astype(np.float32)


def classes_of(targets: Sequence[object]) -> NDArray[np.int64] | None:
    """Depth has no classes."""
    return None


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting, from the size and the number of the images."""
    model = config.model or "depth_net"
    transformer = find_model(model, "depth").family in ("depth_anything", "dpt")
    return {
        **RECIPE,
        **(TRANSFORMER if transformer else {}),
        "model": model,
        "imgsz": max(64, min(LONGER_SIDE, facts.longer // 32 * 32)),
        "channels": 3,
    }
