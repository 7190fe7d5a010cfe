"""1,797 real handwritten digits, 8 x 8 pixels: small enough to ship, real enough to learn from.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository,
https://doi.org/10.24432/C50P49, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). Its test set, by 13
writers, as in scikit-learn's `load_digits`. Changed: stored as bytes and stretched from 0..16 to 0..255.
"""

from __future__ import annotations

import io
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from manako.types import SPLITS

_ORDER_SEED = 20
LEVELS = 16  # ink per pixel: how many of 4 x 4 scanned points were dark


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Images (1797, 8, 8) from 0 (paper) to 255 (ink), and the digit of each (1797,)."""
    stored = resources.files(__package__).joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(stored), allow_pickle=False) as file:
        ink, labels = file["images"], file["labels"]
    images = np.rint(ink * (255 / LEVELS)).astype(np.uint8)
    return images, labels.astype(np.int64)


def write_digits(folder: Path, count_per_class: int | None = None, size: int = 32) -> Path:
    """Write train/, val/ and test/ with one sub-folder a digit: dark ink on white, `size` x `size` pixels, grey.

    count_per_class: at most so many images of each digit over all three parts; all 1,797 images if None. The choice
    is always the same.
    """
    from PIL import Image

    images, labels = load_digits()
    order = np.random.default_rng(_ORDER_SEED).permutation(len(labels))
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


def write_some_digits(folder: Path, *, seed: int, count: int, size: int = 28) -> Path:
    """Write `count` different digits drawn by `seed`, as many of each as can be, into a sub-folder a digit: white ink
    on black, `size` x `size` pixels, grey."""
    from PIL import Image

    images, labels = load_digits()
    order = np.random.default_rng(seed).permutation(len(labels))
    of_digit = [order[labels[order] == digit].tolist() for digit in range(10)]
    turns = [of_digit[number % 10][number // 10] for number in range(count)]
    for number, index in enumerate(turns):
        path = folder / str(labels[index]) / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index]).resize((size, size), Image.Resampling.BICUBIC).save(path)
    return folder


def write_number(random: np.random.Generator, split: str, *, longest: int = 8) -> tuple[npt.NDArray[np.float32], str]:
    """Ink (H, W), 0..1, of 1 to `longest` digits side by side as someone might write them, and the number. Every split
    has its own 15 to 70 % of the digits."""
    from PIL import Image

    images, labels, pools = _pools()
    size = int(random.integers(20, 41))
    picked = [
        random.choice(pools[split, digit]) for digit in random.integers(0, 10, int(random.integers(1, longest + 1)))
    ]
    gap, slant = random.uniform(-0.12, 0.2), random.uniform(-0.25, 0.25)
    step = max(1, round(size * (0.8 + gap)))
    sheet = Image.new("L", (step * (len(picked) - 1) + 2 * size, 2 * size))
    for place, index in enumerate(picked):
        side = max(8, round(size * random.uniform(0.85, 1.15)))
        digit = Image.fromarray(images[index]).resize((side, side), Image.Resampling.BICUBIC)
        lean = (1, slant, -slant * side / 2, 0, 1, 0)
        digit = digit.transform((side, side), Image.Transform.AFFINE, lean, Image.Resampling.BILINEAR)
        top = size // 2 + int(random.integers(-size // 12, size // 12 + 1))
        sheet.paste(255, (place * step + size // 4, top), digit)
    left, up, right, down = sheet.getbbox() or (0, 0, 1, 1)
    edges = random.integers(1, size // 3, 4).tolist()
    cut = sheet.crop((left - edges[0], up - edges[1], right + edges[2], down + edges[3]))
    return np.asarray(cut, np.float32) / np.float32(255), "".join(str(labels[index]) for index in picked)


@cache
def _pools() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], dict[tuple[str, int], npt.NDArray[np.int64]]]:
    """Images, labels, and which of them each split has of each digit."""
    images, labels = load_digits()
    order = np.random.default_rng(_ORDER_SEED).permutation(len(labels))
    pools: dict[tuple[str, int], npt.NDArray[np.int64]] = {}
    for digit in range(10):
        own = order[labels[order] == digit]
        parts = np.array([_part(position / len(own)) for position in range(len(own))])
        pools |= {(split, digit): own[parts == split] for split in SPLITS}
    return images, labels, pools


def _part(position: float) -> str:
    """The part of an image that stands at `position` (0 to 1) among those of its class."""
    train, val = 0.7, 0.15
    return SPLITS[(position >= train) + (position >= train + val)]
