"""What networks of depth over transformers share: depth from what they give, and the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.depth_loss import absolute, gradient, log_errors, mean_of_images, scale_invariant
from manako.blocks.model import Model

if TYPE_CHECKING:
    from manako.training.targets.depth import DepthTargets

_NEAREST, _FARTHEST = 1e-3, 1e3
_QUICK = 100.0  # scale and shift of a whole data set are found so many times faster than other weights move


class PublishedDepth(Model):
    """network: transformers' own, which gives metres, or inverse depth up to scale and shift (`learn_inverse`): these
    two are learnt with the rest."""

    network: Any
    inverse: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter("inverse", None)

    def learn_inverse(self, scale: float, shift: float) -> None:
        """Natural logarithms to begin with."""
        self.inverse = nn.Parameter(torch.tensor([scale, shift]) / _QUICK)

    def line(self) -> Tensor:
        """(2,): scale and shift of inverse depth."""
        assert self.inverse is not None
        return (_QUICK * self.inverse).exp()

    def depth_of(self, found: Tensor, size: tuple[int, int]) -> dict[str, Tensor]:
        """found: (N, h, w). size: of the images, twice that of the depth given."""
        found = found.float()
        if self.inverse is not None:
            scale, shift = self.line().unbind()
            found = 1 / (scale * found + shift)
        half = functional.interpolate(found[:, None], (size[0] // 2, size[1] // 2), mode="bilinear")[:, 0]
        return {"depth": half.clamp(_NEAREST, _FARTHEST)}

    def loss(self, outputs: dict[str, Tensor], targets: DepthTargets) -> Tensor:  # type: ignore[override]
        error, known = log_errors(outputs["depth"], targets.depth, metric=targets.metric)
        each = scale_invariant(error, known) + absolute(error, known) + gradient(error, known)
        return mean_of_images(each, known)

    def own(self) -> list[nn.Parameter]:
        """What the published network lacks."""
        return [] if self.inverse is None else [self.inverse]
