"""Losses of a detector that predicts the four sides of a box as distributions over distances.

Paper: Li et al. 2020, "Generalized Focal Loss", arXiv 2006.04388.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def expected_distance(logits: Tensor) -> Tensor:
    """(..., B) -> (...): the mean of the distribution over the distances 0..B - 1."""
    steps = torch.arange(logits.shape[-1], device=logits.device, dtype=logits.dtype)
    return logits.softmax(-1) @ steps


def distribution_focal_loss(logits: Tensor, distance: Tensor) -> Tensor:
    """logits (..., B), distance (...) in 0..B - 1 -> (...): cross-entropy against the two nearest whole distances, in
    the proportion of their nearness."""
    last = logits.shape[-1] - 1
    distance = distance.clamp(0, last - 1e-3)
    below = distance.long()
    share = distance - below
    logs = logits.log_softmax(-1)
    near = logs.gather(-1, below[..., None]).squeeze(-1)
    far = logs.gather(-1, (below + 1)[..., None]).squeeze(-1)
    return -((1 - share) * near + share * far)


def quality_loss(logits: Tensor, quality: Tensor, gamma: float = 0.0) -> Tensor:
    """Binary cross-entropy (...) of scores against the qualities 0..1 that they should have.

    gamma > 0 gives less weight where the score is right already (|quality - score|^gamma, quality focal loss).
    """
    loss = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return loss * (quality - logits.sigmoid()).abs().pow(gamma) if gamma else loss
