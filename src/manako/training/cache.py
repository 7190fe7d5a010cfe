"""Images of a split, decoded once, so that training isn't bound by JPEG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako import idx
from manako.console import bar
from manako.errors import DataError, ImageError
from manako.images import MAX_PIXELS, Preprocess, widened
from manako.training.cache_files import CacheFile, Outcome, cache_folder, purge
from manako.types import Frame, Problem, Sample

IN_MEMORY = 64 * 2**20  # bytes; a smaller split is decoded again each time rather than kept on disk
CHUNK = 16  # images that a worker decodes before it reports
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageCache:
    """The readable images of one split.

    images: (R, H, W, C) uint8, in memory or mapped from disk. rows: (N,) which of them can be used. samples, frames:
    N, of those. problems: why the others can't be. widths: (N,) of lines, their own; the rest of the row is filled.
    """

    images: Pixels
    rows: NDArray[np.int64]
    samples: tuple[Sample, ...]
    frames: tuple[Frame, ...]
    problems: tuple[Problem, ...] = ()
    widths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.int64] | slice) -> Tensor:
        """(M, C, H, W) uint8 in channels-last memory, a fresh copy of the images at `index` (M,); of lines no wider
        than the widest of them."""
        images = self.images if self.widths is None else self.images[:, :, : int(self.widths[index].max())]
        return torch.from_numpy(images[self.rows[index]]).permute(0, 3, 1, 2)


def cache_images(
    samples: Sequence[Sample],
    *,
    preprocess: Preprocess,
    max_pixels: int = MAX_PIXELS,
    workers: int | None = None,
    folder: Path | None = None,
) -> ImageCache:
    """Decode `samples` behind a progress bar, or find them decoded by an earlier run.

    An image that can't be read is left out and named in `problems`. folder: where decoded images are kept (default:
    `cache_folder()`). Raises DataError if there is no image, or none can be read, StorageError if the disk is full.
    """
    if not samples:
        raise DataError("cache.none")
    shape = (len(samples), preprocess.height, preprocess.width, preprocess.channels)
    if prod(shape) <= IN_MEMORY:
        images: Pixels = np.empty(shape, np.uint8)
        return _usable(images, samples, _decode(images, samples, preprocess, max_pixels, workers))
    folder = folder or cache_folder()
    file = CacheFile.of(folder, samples, shape=shape, facts=f"{preprocess.as_json()} {max_pixels}")
    found = file.find()
    if found is not None:
        return _usable(found[0], samples, found[1])
    images = file.reserve()
    try:
        outcomes = _decode(images, samples, preprocess, max_pixels, workers)
        file.commit(images, outcomes)
    except BaseException:
        file.discard()
        raise
    purge(folder, keep=file.path)
    return _usable(images, samples, outcomes)


def _decode(
    images: Pixels,
    samples: Sequence[Sample],
    preprocess: Preprocess,
    max_pixels: int,
    workers: int | None,
) -> list[Outcome]:
    """Fill `images`. Threads suffice: decoding and resizing release the interpreter's lock."""
    if _copied(images, samples):
        return [Frame(images.shape[1], images.shape[2])] * len(samples)

    def one(i: int) -> Outcome:
        try:
            pixels, frame = preprocess.open(samples[i].image, samples[i].frame, max_pixels)
            images[i] = widened(pixels, images.shape[2])
        except ImageError as error:
            images[i] = 0
            return Problem(error.code, error.facts, "error", (samples[i].id,))
        return frame

    def some(start: int) -> list[Outcome]:
        return [one(i) for i in range(start, min(start + CHUNK, len(samples)))]

    outcomes: list[Outcome] = []
    pool = ThreadPoolExecutor(workers or min(16, os.cpu_count() or 1))
    try:
        with bar("cache.bar", total=len(samples)) as progress:
            for part in pool.map(some, range(0, len(samples), CHUNK)):
                outcomes += part
                progress.step(len(part))
    finally:
        pool.shutdown(cancel_futures=True)
    return outcomes


def _copied(images: Pixels, samples: Sequence[Sample]) -> bool:
    """Take grey images of one IDX file that need no resizing as they are: the same pixels, a hundred times faster."""
    path = samples[0].image
    if not idx.is_idx_images(path) or any(sample.image != path for sample in samples):
        return False
    try:
        found = idx.read_images(path)
    except ImageError:
        return False  # told image by image
    if (*found.shape[1:], 1) != images.shape[1:] or max(sample.frame for sample in samples) >= len(found):
        return False
    images[..., 0] = found[[sample.frame for sample in samples]]
    return True


def own_widths(cache: ImageCache, preprocess: Preprocess) -> ImageCache:
    """Of lines, with the width that each has by itself."""
    if preprocess.fit != "line":
        return cache
    return replace(cache, widths=np.array([preprocess.width_of(f.height, f.width) for f in cache.frames], np.int64))


def _usable(images: Pixels, samples: Sequence[Sample], outcomes: Sequence[Outcome]) -> ImageCache:
    rows = np.array([i for i, outcome in enumerate(outcomes) if isinstance(outcome, Frame)], np.int64)
    problems = tuple(outcome for outcome in outcomes if isinstance(outcome, Problem))
    if not len(rows):
        raise DataError("cache.nothing", count=len(samples), first=problems[0].samples[0] if problems else "-")
    frames = tuple(outcome for outcome in outcomes if isinstance(outcome, Frame))
    return ImageCache(images, rows, tuple(samples[i] for i in rows), frames, problems)
