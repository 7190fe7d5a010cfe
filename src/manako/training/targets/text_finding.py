"""Polygons of lines of text as padded tensors, in the network's pixels, and the recipe to learn them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.training.batch import ObjectTargets
from manako.training.recipes import ADAMW
from manako.types import Dataset, Frame, TextRegions

if TYPE_CHECKING:
    from manako.training.plan import DataFacts

COMPACT = True
CORNERS = 16  # of one polygon; a finer one is thinned out


@dataclass(frozen=True, eq=False)
class TextTargets(ObjectTargets):
    """N images with up to M regions each.

    points: (N, M, K, 2) float32, polygons filled up by their last point. valid: (N, M) bool, false where a row only
    fills up. ignore: (N, M) bool, text that can't be read.
    """

    points: Tensor
    valid: Tensor
    ignore: Tensor

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> TextTargets:
        moved = torch.einsum("nij,nmkj->nmki", matrices[:, :, :2], self.points) + matrices[:, None, None, :, 2]
        return replace(self, points=moved)


def collate(
    truths: Sequence[TextRegions],
    frames: Sequence[Frame],
    *,
    classes: int,
    size: tuple[int, int],
    label_smoothing: float = 0.0,
    class_weights: Tensor | None = None,
) -> TextTargets:
    """Pad the regions of each image to the largest number, and polygons to that of corners."""
    outlines = [[_thinned(polygon) for polygon in truth.polygons] for truth in truths]
    most = max((len(each) for each in outlines), default=0)
    corners = max((len(polygon) for each in outlines for polygon in each), default=4)
    points = np.zeros((len(truths), most, corners, 2), np.float32)
    valid, ignore = (np.zeros((len(truths), most), np.bool_) for _ in range(2))
    for i, (truth, frame) in enumerate(zip(truths, frames, strict=True)):
        scale, start = np.array([frame.scale_x, frame.scale_y]), np.array([frame.left, frame.top])
        for j, polygon in enumerate(outlines[i]):
            points[i, j, : len(polygon)] = polygon * scale + start
            points[i, j, len(polygon) :] = points[i, j, len(polygon) - 1]
        valid[i, : len(truth)] = True
        ignore[i, : len(truth)] = False if truth.ignored is None else truth.ignored
    return TextTargets(*(torch.from_numpy(value) for value in (points, valid, ignore)))


def _thinned(polygon: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(polygon) <= CORNERS:
        return polygon
    kept: NDArray[np.float32] = polygon[np.linspace(0, len(polygon) - 1, CORNERS).round().astype(int)]
    return kept


def classes_of(targets: Sequence[object]) -> NDArray[np.int64] | None:
    """Images of text have no single class."""
    return None


RECIPE: Mapping[str, Any] = {
    **ADAMW,
    "lr": 2e-3,
    "augment": "light",
    "flip": "off",
    "clip": 5.0,
    "batch": "8",
}
FINE_TUNING = 3e-4  # of the published finder, which has no normalisation to keep it steady
LONGEST = 960  # pixels of the longer side
WINDOW = 512  # pixels a side of what one step sees of an image


def recipe(config: RunConfig, facts: DataFacts, dataset: Dataset) -> dict[str, Any]:
    """Every open setting. Without weights there is nothing to start from but a network of one's own."""
    model = config.model or ("dbnet" if config.weights == "none" else "ppocr_finder")
    longer = -(-facts.longer // 32) * 32
    return {
        **RECIPE,
        "model": model,
        "lr": FINE_TUNING if model == "ppocr_finder" else RECIPE["lr"],
        "crop": WINDOW if min(longer, LONGEST) > 1.25 * WINDOW else 0,
        "imgsz": min(LONGEST, max(64, longer)),
        "channels": 1 if facts.grey and config.weights == "none" else 3,
    }
