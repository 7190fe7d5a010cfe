"""The embedded digits, ready for the engine: values from 0 to 1, parted into training and held-out data.

Shapes: images (N, 1, 8, 8), or (N, 64) as rows; labels (N,) class ids from 0 to 9. Held out: every fifth datum of each
digit in a seeded order, so both parts have the same share of each digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manako.learn.layer import Array
from manako.samples.digits import load_digits

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Digits:
    """`held_out_indices`: which of the 1,797 they are."""

    images: Array
    labels: Indices
    held_out_images: Array
    held_out_labels: Indices
    held_out_indices: Indices

    def rows(self) -> tuple[Array, Array]:
        """Training and held-out images as rows (N, 64)."""
        return self.images.reshape(-1, 64), self.held_out_images.reshape(-1, 64)


def digits(*, seed: int = 0, dtype: npt.DTypeLike = np.float64) -> Digits:
    """1,433 digits to learn from and 364 to be judged by; no image is in both, but the 13 writers are."""
    images, labels = load_digits()
    x = (images[:, None] / 255).astype(dtype)
    shuffled = np.random.default_rng(seed).permutation(len(x))
    rank = np.empty(len(x), dtype=np.int64)  # the place of each datum among those of its digit
    for digit in range(10):
        own = shuffled[labels[shuffled] == digit]
        rank[own] = np.arange(len(own))
    held = rank % 5 == 0
    learned = shuffled[~held[shuffled]]
    apart = np.flatnonzero(held)
    return Digits(x[learned], labels[learned], x[apart], labels[apart], apart)
