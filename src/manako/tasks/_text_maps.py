"""From a map of probabilities to quadrilaterals, as differentiable binarisation does it (Liao et al. 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from manako.polygons import Points, sides_of, smallest_rectangle, unclipped

MOST = 2000  # regions of one image
THINNEST = 2.0  # pixels of the network's map; a thinner core is a speck
LEAST = 4.0  # pixels across a region


def regions_of(
    probability: NDArray[np.float32], *, binary: float, confidence: float, unclip: float
) -> tuple[list[Points], NDArray[np.float32]]:
    """(H, W) -> rectangles (4, 2) in pixels of the map and their scores, from top to bottom.

    Pixels of at least `binary` that touch, at a corner or a side, are the core of one region; its score is their mean,
    which has to reach `confidence`. The smallest rectangle around the core is grown by unclip * area / perimeter.
    """
    from scipy.ndimage import find_objects, label

    names, count = label(probability >= binary, np.ones((3, 3), np.int8))
    flat = names.ravel()
    pixels = np.bincount(flat, minlength=count + 1)
    mean = np.bincount(flat, probability.ravel(), minlength=count + 1) / np.maximum(pixels, 1)
    found, scores = [], []
    for index, place in enumerate(find_objects(names), 1):
        if mean[index] < confidence or pixels[index] < THINNEST**2:
            continue
        core = smallest_rectangle(_corners(names[place] == index) + np.array([place[1].start, place[0].start]))
        if min(sides_of(core)) < THINNEST:
            continue
        grown = unclipped(core, unclip)
        if min(sides_of(grown)) >= LEAST:
            found.append(grown)
            scores.append(min(float(mean[index]), 1.0))
    if len(found) > MOST:
        kept = np.sort(np.argsort(-np.array(scores), kind="stable")[:MOST]).tolist()
        found, scores = [found[i] for i in kept], [scores[i] for i in kept]
    return found, np.array(scores, np.float32)


def _corners(mask: NDArray[np.bool_]) -> Points:
    """Corners of the first and the last pixel of each row: nothing else can lie on the hull. Pixel i is i to i + 1."""
    rows = np.flatnonzero(mask.any(1))
    left = mask[rows].argmax(1)
    right = mask.shape[1] - mask[rows, ::-1].argmax(1)
    ends = [np.stack([x, y], 1) for x in (left, right) for y in (rows, rows + 1)]
    return np.concatenate(ends).astype(np.float64)
