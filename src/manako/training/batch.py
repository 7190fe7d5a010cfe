"""What one training step sees: images and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
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
class TensorTargets:
    """The base of targets whose every field is a tensor with a row an image, and of which each image counts as one."""

    moves: ClassVar[bool] = False

    @property
    def mass(self) -> float:
        return float(len(self))

    def __len__(self) -> int:
        return len(self._all[0])

    def to(self, device: torch.device) -> Self:
        return type(self)(*(value.to(device, non_blocking=True) for value in self._all))

    def take(self, index: Tensor) -> Self:
        return type(self)(*(value[index] for value in self._all))

    def warp(self, matrices: Tensor, size: tuple[int, int]) -> Self:
        """What doesn't lie in the image stays."""
        return self

    @property
    def _all(self) -> tuple[Tensor, ...]:
        return tuple(getattr(self, field.name) for field in fields(self))


class ObjectTargets(TensorTargets):
    """The base of targets of N images with up to M objects each, in any order; every tensor begins (N, M). Not a data
    class itself, so that its subclasses say where the two stand among their fields.

    valid: (N, M) bool, false where a row only fills up. ignore: (N, M) bool, what is neither object nor background.
    """

    moves: ClassVar[bool] = True
    valid: Tensor
    ignore: Tensor

    @property
    def mass(self) -> float:
        """Objects and images: an image without objects teaches, too."""
        return float((self.valid & ~self.ignore).sum()) + len(self)

    def mix(self, order: Tensor, share: Tensor) -> Self:
        """The objects of both images: what shines through is there."""
        return self.join(self.take(order))

    def join(self, other: Self) -> Self:
        """The objects of both, image by image."""
        return type(self)(*(torch.cat(pair, 1) for pair in zip(self._all, other._all, strict=True)))


@dataclass(frozen=True, eq=False)
class Batch:
    """images: (N, C, H, W), uint8 or float 0..255."""

    images: Tensor
    targets: Targets

    def __len__(self) -> int:
        return len(self.images)
