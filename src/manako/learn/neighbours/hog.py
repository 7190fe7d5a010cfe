"""What a picture looks like as numbers: grey pixels, or histograms of oriented gradients (HOG).

    gradient   gx = I(x + 1) - I(x - 1), gy = I(y + 1) - I(y - 1); strength sqrt(gx^2 + gy^2), direction 0..180 degrees
    cell       8 x 8 pixels: 9 directions, each pixel's strength shared between the two nearest
    block      2 x 2 cells, overlapping: v / sqrt(|v|^2 + e^2), cut at 0.2, normalised again

Edges and their directions, little of light and colour. Shapes: images (N, S, S) from 0 to 1, S a multiple of 8; HOG
(N, (S/8 - 1)^2 36). Source: N. Dalal, B. Triggs, "Histograms of oriented gradients for human detection", 2005.
"""

from __future__ import annotations

import numpy as np

from manako.learn.layer import Array

CELL, DIRECTIONS, CUT, SMALL = 8, 9, 0.2, 1e-3


def pixels(images: Array) -> Array:
    """(N, S, S) -> (N, S S)."""
    return images.reshape(len(images), -1)


def hog(images: Array) -> Array:
    cells = cell_histograms(images)
    blocks = np.concatenate([cells[:, :-1, :-1], cells[:, :-1, 1:], cells[:, 1:, :-1], cells[:, 1:, 1:]], -1)
    blocks = np.minimum(_normal(blocks), CUT)
    return _normal(blocks).reshape(len(images), -1)


def _normal(blocks: Array) -> Array:
    size: Array = np.sqrt((blocks**2).sum(-1, keepdims=True) + SMALL**2)
    return blocks / size


def cell_histograms(images: Array) -> Array:
    """(N, S, S) -> (N, S / 8, S / 8, 9)."""
    count, height, width = images.shape
    across, down = np.zeros(images.shape), np.zeros(images.shape)
    across[:, :, 1:-1] = images[:, :, 2:] - images[:, :, :-2]
    down[:, 1:-1] = images[:, 2:] - images[:, :-2]
    strength = np.hypot(across, down)
    # In units of directions; the centre of direction d stands at d + 1/2.
    place = np.mod(np.arctan2(down, across) / np.pi, 1.0) * DIRECTIONS - 0.5
    lower = np.floor(place)
    share = place - lower
    cells = np.zeros((count, height // CELL, width // CELL, DIRECTIONS))
    for direction in range(DIRECTIONS):
        part = strength * (
            (lower % DIRECTIONS == direction) * (1 - share) + ((lower + 1) % DIRECTIONS == direction) * share
        )
        cells[..., direction] = part.reshape(count, height // CELL, CELL, width // CELL, CELL).sum((2, 4))
    return cells
