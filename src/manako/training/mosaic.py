"""Four images as one picture: objects in other company, more of them, and none always in the middle.

Paper: Bochkovskiy et al. 2020, "YOLOv4", arXiv 2004.10934.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, Self, runtime_checkable

import torch

from manako.errors import ConfigError
from manako.training.augment import Augmentation
from manako.training.batch import Batch, Targets

LARGEST = 0.5  # part of the four images that one crop shows


@runtime_checkable
class Placed(Protocol):
    """Targets that can lie beside each other in one picture."""

    def shift(self, right: float, down: float) -> Self:
        """Moved by so many pixels."""
        ...

    def join(self, other: Self) -> Self:
        """The objects of both, image by image."""
        ...


def mosaic(batch: Batch) -> Batch:
    """images (N, C, H, W) -> (N, C, 2 H, 2 W): each with the next three of the batch, around it.

    To be cropped as `crops` says. Raises ConfigError for targets that aren't `Placed`.
    """
    height, width = batch.images.shape[-2:]
    orders = [torch.arange(len(batch), device=batch.images.device).roll(-step) for step in range(4)]
    rows = [torch.cat([batch.images[order] for order in orders[start : start + 2]], 3) for start in (0, 2)]
    targets = batch.targets
    for place in (1, 2, 3):
        targets = _beside(targets, batch.targets.take(orders[place]), width * (place % 2), height * (place // 2))
    return Batch(torch.cat(rows, 2), targets)


def _beside(targets: Targets, other: Targets, right: int, down: int) -> Targets:
    if not isinstance(targets, Placed) or not isinstance(other, Placed):
        raise ConfigError("training.mosaic")
    joined: Targets = targets.join(other.shift(right, down))
    return joined


def crops(how: Augmentation) -> Augmentation:
    """How the four images are cropped so that objects keep about their size."""
    return replace(how, area=how.area / 4, most=LARGEST)
