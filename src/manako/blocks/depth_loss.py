"""What estimated depth is punished for, in logarithms, so that errors are ratios whatever the distance."""

from __future__ import annotations

import torch
from torch import Tensor

SCALES = 4  # of the gradient's comparison: cells 1, 2, 4 and 8 apart
SHIFTED = 0.85  # how much of a common error of all pixels is forgiven


def log_errors(depth: Tensor, truth: Tensor, *, metric: bool) -> tuple[Tensor, Tensor]:
    """(N, h, w) each, truth NaN where unknown -> ln(depth / truth), 0 where unknown, and where it is known.

    Depth without a unit is compared after the median error of each image was taken off.
    """
    known = truth.isfinite() & (truth > 0)
    error = torch.where(known, depth.clamp_min(1e-6).log() - torch.where(known, truth, 1.0).log(), 0.0)
    if not metric:
        middle = torch.where(known, error.detach(), torch.nan).flatten(1).nanmedian(1).values.nan_to_num()
        error = torch.where(known, error - middle.view(-1, 1, 1), 0.0)
    return error, known


def absolute(error: Tensor, known: Tensor) -> Tensor:
    """(N,): the mean absolute error of each image's known pixels."""
    return error.abs().flatten(1).sum(1) / known.flatten(1).sum(1).clamp_min(1)


def scale_invariant(error: Tensor, known: Tensor) -> Tensor:
    """(N,): the root of mean(e^2) - 0.85 mean(e)^2 (Eigen et al. 2014; with the root, Lee et al. 2019)."""
    count = known.flatten(1).sum(1).clamp_min(1)
    mean, square = error.flatten(1).sum(1) / count, (error**2).flatten(1).sum(1) / count
    return (square - SHIFTED * mean**2).clamp_min(1e-8).sqrt()


def gradient(error: Tensor, known: Tensor) -> Tensor:
    """(N,): how much the error changes between neighbours, at four distances: edges in their place, planes plane
    (Ranftl et al. 2020, MiDaS)."""
    total = error.new_zeros(len(error))
    for scale in range(SCALES):
        step = 2**scale
        if min(error.shape[1:]) <= step:
            break
        across = (error[:, :, step:] - error[:, :, :-step]).abs() * (known[:, :, step:] & known[:, :, :-step])
        down = (error[:, step:] - error[:, :-step]).abs() * (known[:, step:] & known[:, :-step])
        total = total + across.flatten(1).sum(1) + down.flatten(1).sum(1)
    return total / (2 * SCALES * known.flatten(1).sum(1).clamp_min(1))


def mean_of_images(each: Tensor, known: Tensor) -> Tensor:
    """Over the images of which anything is known; 0, with a gradient, where there is none."""
    teaches = known.flatten(1).any(1)
    return (each * teaches).sum() / teaches.sum().clamp_min(1)
