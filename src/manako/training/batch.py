"""What one training step sees: images and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

import torch
from torch import Tensor


class Targets(Protocol):
    """The truth of N images. Every task has its own; the loop and the augmentation need only this."""

    moves: ClassVar[bool]
    """Whether the targets lie in the image, so that `warp` must follow it."""

    @property
    def mass(self) -> float:
        """What the model's loss divides by: shards of a batch are weighed by it, so that their mean is the batch's."""
        ...

    def __len__(self) -> int: ...

    def to(self, device: torch.device) -> Self: ...

    def take(self, index: Tensor) -> Self:
        """The targets at `index` (M,) int64."""
        ...

    def mix(self, order: Tensor, share: Tensor) -> Self:
        """Mixup (Zhang et al. 2018): `share` (N,) of each own target and the rest of that at `order` (N,)."""
        ...

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> Self:
        """Follow the images through an affine change. matrices (N, 2, 3): x, y in old pixels -> new pixels; size:
        the new (height, width)."""
        ...


@dataclass(frozen=True, eq=False)
class Batch:
    """images: (N, C, H, W), uint8 or float 0..255."""

    images: Tensor
    targets: Targets

    def __len__(self) -> int:
        return len(self.images)
