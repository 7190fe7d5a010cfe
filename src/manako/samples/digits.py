"""1,797 real handwritten digits, 8 x 8 pixels: small enough to ship, real enough to learn from.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Its test set, by 13
writers, as in scikit-learn's `load_digits`. Changed: stored as bytes and stretched from 0..16 to 0..255.
"""

from __future__ import annotations

import io
from importlib import resources

import numpy as np
import numpy.typing as npt

LEVELS = 16  # ink per pixel: how many of 4 x 4 scanned points were dark


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images (1797, 8, 8) from 0 (paper) to 255 (ink), and the digit of each (1797,)."""
    stored = resources.files(__package__).joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(stored), allow_pickle=False) as file:
        ink, labels = file["images"], file["labels"]
    images = np.rint(ink * (255 / LEVELS)).astype(np.uint8)
    return images, labels.astype(np.int64)
