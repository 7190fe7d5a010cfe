"""How far estimated depth is from the truth, after one of three alignments, which is always part of a figure's name.

none: as it is. median: the estimate times median(truth) / median(estimate). least_squares: the scale and shift that
bring the estimate nearest to the truth. Only the first says anything about metres. Errors are averaged over the known
pixels of each image, then over images (Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a
Multi-Scale Deep Network"; the median alignment is Zhou et al. 2017's).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Alignment = Literal["none", "median", "least_squares"]
ALIGNMENTS: tuple[Alignment, ...] = ("none", "median", "least_squares")
ERRORS = ("abs_rel", "rmse", "log10", "delta1", "delta2", "delta3")
DELTA = 1.25
SMALLEST = 1e-3  # an estimate is at least this; least squares may give less than nothing

# Distances by which errors are counted apart: eight steps an octave, from 1/16 to 256.
EDGES = 2.0 ** np.linspace(-4, 8, 97)

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class DepthErrors:
    """One image. errors: (3, 6) by ALIGNMENTS and ERRORS, NaN where nothing is known. known: the share of pixels whose
    depth is known. distance: (3, 96) by EDGES: pixels, sum of |error| / truth, sum of ln(estimate / truth)."""

    errors: NDArray[np.float64]
    known: float
    distance: NDArray[np.float64]


def align(estimate: Array, truth: Array, how: Alignment) -> Array:
    """Flat arrays of known pixels -> the aligned estimate, never below a millimetre."""
    if how == "median":
        middle = np.median(estimate)
        estimate = estimate * (np.median(truth) / middle) if middle > 0 else estimate
    elif how == "least_squares":
        centred = estimate - estimate.mean()
        spread = float(centred @ centred)
        slope = float(centred @ (truth - truth.mean())) / spread if spread > 0 else 0.0
        estimate = slope * centred + truth.mean()
    return np.maximum(estimate, SMALLEST)


def depth_errors(estimate: Array, truth: Array) -> dict[str, float]:
    """Flat arrays, all known, all above 0 -> the value of each of ERRORS."""
    difference = estimate - truth
    ratio = np.maximum(estimate / truth, truth / estimate)
    return {
        "abs_rel": float((np.abs(difference) / truth).mean()),
        "rmse": float(np.sqrt((difference**2).mean())),
        "log10": float(np.abs(np.log10(estimate / truth)).mean()),
        **{f"delta{k}": float((ratio < DELTA**k).mean()) for k in (1, 2, 3)},
    }


def measure_depth(estimate: Array, truth: Array, *, metric: bool = True) -> DepthErrors:
    """Two maps (H, W) of one size; pixels where either is not finite or the truth is not above 0 don't count.

    metric: whether depth has a unit; if not, errors by distance are those after the median's alignment.
    """
    known = np.isfinite(truth) & (truth > 0) & np.isfinite(estimate)
    pair = estimate[known].astype(np.float64), truth[known].astype(np.float64)
    if not known.any():
        return DepthErrors(np.full((len(ALIGNMENTS), len(ERRORS)), np.nan), 0.0, np.zeros((3, len(EDGES) - 1)))
    errors = [list(depth_errors(align(*pair, how), pair[1]).values()) for how in ALIGNMENTS]
    aligned = align(*pair, "none" if metric else "median")
    return DepthErrors(np.array(errors), float(known.mean()), _by_distance(aligned, pair[1]))


def _by_distance(estimate: Array, truth: Array) -> NDArray[np.float64]:
    place = np.clip(np.searchsorted(EDGES, truth, side="right") - 1, 0, len(EDGES) - 2)
    relative, ratio = np.abs(estimate - truth) / truth, np.log(estimate / truth)
    weights = (None, relative, ratio)
    return np.stack([np.bincount(place, weight, minlength=len(EDGES) - 1) for weight in weights]).astype(np.float64)
