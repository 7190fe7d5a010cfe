"""Maps of classes in network pixels, and the recipe to learn them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from manako.config import RunConfig
from manako.training.recipes import ADAMW
from manako.types import IGNORE, Dataset, Deferred, Frame, Segmentation

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = False  # a target is as large as an image
COUNTED = 200  # masks that are read for the weights of classes


@dataclass(frozen=True, eq=False)
class SegmentationTargets:
    """class_id: (N, H, W) uint8, IGNORE where unknown. weights: (K,) float32 of the classes, None: all alike."""

    moves: ClassVar[bool] = True
    class_id: Tensor
    weights: Tensor | None = None

    @property
    def mass(self) -> float:
        return float((self.class_id != IGNORE).sum())

    def __len__(self) -> int:
        return len(self.class_id)

    def to(self, device: torch.device) -> SegmentationTargets:
        weights = None if self.weights is None else self.weights.to(device, non_blocking=True)
        return SegmentationTargets(self.class_id.to(device, non_blocking=True), weights)

    def take(self, index: Tensor) -> SegmentationTargets:
        return replace(self, class_id=self.class_id[index])

    def mix(self, order: Tensor, share: Tensor) -> SegmentationTargets:
        """A pixel has one class: that of the stronger image stays (share >= 1/2)."""
        return self

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> SegmentationTargets:
        """The nearest old pixel of each new one; IGNORE where the new one lies outside the old image."""
        height, width = self.class_id.shape[1:]
        back = torch.linalg.inv(matrices[:, :, :2].float())
        shift = -(back @ matrices[:, :, 2:].float())
        new = torch.tensor([size[1] / 2, size[0] / 2], device=back.device)
        old = torch.tensor([2 / width, 2 / height], device=back.device)[None, :, None]
        # From -1..1 of the new image over its pixels and the old one's to -1..1 of the old one.
        theta = torch.cat([back * new * old, (back @ new[:, None] + shift) * old - 1], 2)
        grid = functional.affine_grid(theta, [len(self), 1, *size], align_corners=False)
        # What lies outside is 0 for the sampler, so known pixels are made to differ from it.
        marked = (IGNORE - self.class_id).float()[:, None]
        found = functional.grid_sample(marked, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        return replace(self, class_id=(IGNORE - found[:, 0]).to(torch.uint8))


def collate(
    truths: Sequence[Segmentation],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> SegmentationTargets:
    """The class of the original pixel that lies under the middle of each network pixel; IGNORE beside the image."""
    maps = [_placed(truth.class_id, frame, size, classes) for truth, frame in zip(truths, frames, strict=True)]
    return SegmentationTargets(torch.from_numpy(np.stack(maps)), class_weights)


def _placed(ids: NDArray[np.uint8], frame: Frame, size: tuple[int, int], classes: int) -> NDArray[np.uint8]:
    rows = np.floor((np.arange(size[0]) + 0.5 - frame.top) / frame.scale_y).astype(np.int64)
    columns = np.floor((np.arange(size[1]) + 0.5 - frame.left) / frame.scale_x).astype(np.int64)
    inside = ((rows >= 0) & (rows < ids.shape[0]))[:, None] & ((columns >= 0) & (columns < ids.shape[1]))
    picked = ids[rows.clip(0, ids.shape[0] - 1)[:, None], columns.clip(0, ids.shape[1] - 1)]
    return np.where(inside & (picked < classes), picked, np.uint8(IGNORE))


def classes_of(targets: Sequence[object]) -> None:
    """Images have no single class."""
    return


def class_counts(targets: Sequence[Segmentation | Deferred], *, classes: int) -> NDArray[np.int64]:
    """(K,) known pixels of each class, of up to COUNTED images spread over the data."""
    picked = np.unique(np.linspace(0, len(targets) - 1, COUNTED).astype(int))
    truths = (targets[i] if isinstance(targets[i], Segmentation) else targets[i].load() for i in picked)
    return sum(
        (np.bincount(truth.class_id.ravel(), minlength=256)[:classes] for truth in truths), np.zeros(classes, np.int64)
    )


RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "lr": 2e-3,
    "augment": "medium",
    "batch": "8",
}
UNNORMALISED = ("unet_published",)  # no batch normalisation: a lower rate, to be safe
LONGEST = 640  # pixels of the longer side
WINDOW = 256  # pixels a side of what one step sees of an image


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. Images are kept at their own size where that is possible: thin things are lost otherwise."""
    return {
        **RECIPE,
        "model": config.model or "unet",
        "lr": 1e-3 if config.model in UNNORMALISED else RECIPE["lr"],
        "crop": WINDOW if facts.longer > 1.25 * WINDOW else 0,
        "imgsz": min(LONGEST, max(32, facts.longer)),
        "channels": 1 if facts.grey and config.weights == "none" else 3,
    }
