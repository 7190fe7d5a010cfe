"""A transformer's learned table of positions, brought to the size of an image by two products of matrices.

An exported resize of tables in this layout is refused by ONNX Runtime, or runs slowly; matrices are plain numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def resized(table: Tensor, old: tuple[int, int], new: tuple[int, int], *, cubic: bool) -> Tensor:
    """table: (1, h * w, C) of the grid `old` (h, w) -> (1, h' * w', C) of `new`; cubic convolution, else bilinear."""
    if old == new:
        return table
    down, across = (_weights(a, b, cubic).to(table) for a, b in zip(old, new, strict=True))
    grid = torch.einsum("yr,xc,rcd->yxd", down, across, table[0].view(*old, -1))
    return grid.flatten(0, 1)[None]


def _weights(old: int, new: int, cubic: bool) -> Tensor:
    """(new, old), the border repeated. Cubic: Keys 1981, a = -0.75."""
    place = (np.arange(new) + 0.5) * old / new - 0.5
    if not cubic:
        place = np.maximum(place, 0)
    first = np.floor(place).astype(np.int64)
    matrix = np.zeros((new, old))
    for tap in range(-1, 3) if cubic else range(2):
        x = np.abs(place - (first + tap))
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        values = np.where(x <= 1, near, far) if cubic else 1 - x
        np.add.at(matrix, (np.arange(new), np.clip(first + tap, 0, old - 1)), values)
    return torch.from_numpy(matrix)
