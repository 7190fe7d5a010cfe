"""The embedded handwritten digits as a folder of PNG files, as a person would have them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from manako.samples.digits import load_digits
from manako.splits import FRACTIONS
from manako.types import SPLITS

_SEED = 20


def write_digits(folder: Path, count_per_class: int | None = None, size: int = 32) -> Path:
    """Write train/, val/ and test/ with one sub-folder a digit: dark ink on white, `size` x `size` pixels, grey.

    count_per_class: at most so many images of each digit over all three parts; all 1,797 images if None. The choice
    is always the same.
    """
    images, labels = load_digits()
    order = np.random.default_rng(_SEED).permutation(len(labels))
    totals = {digit: min(n, count_per_class or n) for digit, n in Counter(labels.tolist()).items()}
    written: Counter[int] = Counter()
    for index in order.tolist():
        digit = int(labels[index])
        if written[digit] < totals[digit]:
            place = folder / _part(written[digit] / totals[digit]) / str(digit)
            written[digit] += 1
            place.mkdir(parents=True, exist_ok=True)
            paper = Image.fromarray(255 - images[index])
            paper.resize((size, size), Image.Resampling.BICUBIC).save(place / f"{index:04}.png")
    return folder


def _part(position: float) -> str:
    """The part of an image that stands at `position` (0 to 1) among those of its class."""
    train, val, _ = FRACTIONS
    return SPLITS[(position >= train) + (position >= train + val)]
