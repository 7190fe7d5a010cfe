"""Which images of a data set are the same picture: byte for byte, or saved again, resized, made brighter, trimmed.

Two pictures are near-duplicates when their 16 x 16 grey thumbnails, less what all images of the data set have in
common, correlate at 0.97 or more. Measured on photographs of fruit: JPEG quality 40, half the size, noise and changed
brightness keep 0.997, trimming 2.5 % off the width 0.98; the most alike of different pictures have 0.96. Taking the
common part away is what makes this right for a fixed camera, where every picture resembles every other: on 116 frames
of a mouse in a box, 706 pairs became 30, on 40 retinas 323 became none. Images of at most 64 pixels have too little
detail for it (two shirts of Fashion-MNIST are as alike as two copies), so they are compared exactly.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako import idx
from manako.decode import MAX_PIXELS, decode, image_facts
from manako.errors import ImageError
from manako.types import Sample

Progress = Callable[[int, int], None]

NEAR = 0.97
_SIDE = 16
_TINY = 64
_LEAST_FOR_MEAN = 16
_FLAT = 2.0  # grey levels: below, a thumbnail shows nothing that could be compared
_KEPT = 48
_ROWS, _COLUMNS = 512, 8192


@dataclass(frozen=True, eq=False)
class Look:
    """What one reading of an image tells. error: why it can't be read; then the rest is empty.

    digest: equal for equal files (for tiny images: equal pixels). thumbnail: (256,) uint8, None for tiny images.
    """

    digest: bytes = b""
    thumbnail: NDArray[np.uint8] | None = None
    height: int = 0
    width: int = 0
    kind: str = ""
    blank: bool = False
    error: ImageError | None = None


def look_at(samples: Sequence[Sample], progress: Progress | None = None, *, max_pixels: int = MAX_PIXELS) -> list[Look]:
    """Read every image once, scaled down where the format can; several at a time. progress(done, total)."""
    looks: list[Look] = []
    look = partial(_look, max_pixels=max_pixels)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(samples), 1024):
            part = samples[start : start + 1024]
            if all(idx.is_idx_images(sample.image) for sample in part):
                looks += map(look, part)  # nothing to decode: threads would only get in each other's way
            else:
                looks += pool.map(look, part)
            if progress is not None:
                progress(len(looks), len(samples))
    return looks


def _look(sample: Sample, max_pixels: int) -> Look:
    try:
        if idx.is_idx_images(sample.image):
            return _look_at_idx(sample)
        try:
            content = sample.image.read_bytes()
        except OSError as error:
            raise ImageError("image.unreadable", file=sample.image, reason=error.strerror) from error
        image, (height, width) = decode(content, sample.frame, max_pixels, (_TINY, _TINY))
    except ImageError as error:
        facts = {**error.facts, "file": str(sample.image)}
        return Look(error=ImageError(error.code, **facts))
    kind = image_facts(content).kind
    blank = _blank(image)
    if max(height, width) <= _TINY:
        return Look(_digest(image.tobytes(), image.mode, image.size), None, height, width, kind, blank)
    return Look(_digest(content, sample.frame), _thumbnail(image), height, width, kind, blank)


def _look_at_idx(sample: Sample) -> Look:
    images = idx.read_images(sample.image)
    if sample.frame >= len(images):
        raise ImageError("image.no_frame", file=sample.image, frame=sample.frame)
    pixels = np.asarray(images[sample.frame])
    height, width = pixels.shape
    thumbnail = None if max(height, width) <= _TINY else _thumbnail(Image.fromarray(pixels))
    blank = bool(pixels.min() == pixels.max())
    return Look(_digest(pixels.tobytes(), "L", (width, height)), thumbnail, height, width, "IDX L", blank)


def _digest(content: bytes, *more: object) -> bytes:
    return blake2b(content, digest_size=16, person=repr(more).encode()[:16]).digest()


def _thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small).reshape(-1)


def _blank(image: Image.Image) -> bool:
    extrema = image.getextrema()
    pairs = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(pair[0] == pair[1] for pair in pairs if isinstance(pair, tuple))


def same(looks: Sequence[Look]) -> list[list[int]]:
    """Groups (indices, two or more) of exactly equal images."""
    groups: dict[bytes, list[int]] = {}
    for index, look in enumerate(looks):
        if look.error is None:
            groups.setdefault(look.digest, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def alike(looks: Sequence[Look]) -> list[list[int]]:
    """Groups of near-duplicates, exact ones included; a chain of resembling images is one group."""
    chains = Chains(len(looks))
    for group in same(looks):
        chains.link((group[0], other) for other in group[1:])
    firsts: dict[bytes, int] = {}
    for index, look in enumerate(looks):
        if look.thumbnail is not None:
            firsts.setdefault(look.digest, index)
    indices = np.array(list(firsts.values()), np.int64)
    if len(indices) > 1:
        thumbnails = np.stack([t for i in indices if (t := looks[i].thumbnail) is not None])
        chains_of_firsts = near_groups(thumbnails)
        for members in chains_of_firsts:
            chains.link((int(indices[members[0]]), int(indices[other])) for other in members[1:])
    return chains.groups()


def near_groups(thumbnails: NDArray[np.uint8]) -> list[list[int]]:
    """Groups of near-duplicates among thumbnails (N, 256). 50,000 take some seconds.

    All pairs are compared, in tiles: the first 48 principal components plus one number that bounds the rest select
    candidates without missing one, and full vectors decide.
    """
    vectors, textured = _unit_vectors(thumbnails)
    vectors = vectors[textured]
    names = np.flatnonzero(textured)
    chains = Chains(len(vectors))
    short = _shortened(vectors)
    for top in range(0, len(vectors), _ROWS):
        for left in range(top, len(vectors), _COLUMNS):
            down, across = slice(top, top + _ROWS), slice(left, left + _COLUMNS)
            candidates = short[down] @ short[across].T >= NEAR
            if np.count_nonzero(candidates) > _COLUMNS:  # most are linked already where many are alike
                candidates &= chains.root[down, None] != chains.root[None, across]
            rows, columns = np.nonzero(candidates)
            rows, columns = rows + top, columns + left
            rows, columns = rows[columns > rows], columns[columns > rows]
            for start in range(0, len(rows), 65536):
                first, second = rows[start : start + 65536], columns[start : start + 65536]
                new = chains.root[first] != chains.root[second]
                first, second = first[new], second[new]
                near = np.einsum("pd,pd->p", vectors[first], vectors[second]) >= NEAR
                chains.link(zip(first[near].tolist(), second[near].tolist(), strict=True))
    return [[int(names[member]) for member in group] for group in chains.groups()]


def _unit_vectors(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    vectors = thumbnails.astype(np.float32)
    vectors -= vectors.mean(1, keepdims=True)
    if len(vectors) >= _LEAST_FOR_MEAN:  # in a handful, the mean is mostly the images themselves
        vectors -= vectors.mean(0)
    norms = np.linalg.norm(vectors, axis=1)
    textured = norms > _FLAT * np.sqrt(vectors.shape[1])
    vectors /= np.maximum(norms, 1e-6)[:, None]
    return vectors, textured


def _shortened(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 49): products of these are upper bounds of the products of `vectors`."""
    if not len(vectors):
        return vectors
    _, basis = np.linalg.eigh(vectors.T @ vectors)
    low = vectors @ basis[:, -_KEPT:].astype(np.float32)
    rest = np.sqrt(np.maximum(0, 1 - np.einsum("nd,nd->n", low, low))) + np.float32(1e-3)
    return np.concatenate([low, rest[:, None]], axis=1)


class Chains:
    """Disjoint sets of the numbers below `count`. root: (count,) int64, the least member of each one's set."""

    def __init__(self, count: int) -> None:
        self.root = np.arange(count, dtype=np.int64)

    def link(self, pairs: Iterable[tuple[int, int]]) -> None:
        root = self.root
        for first, second in pairs:
            a, b = self._find(first), self._find(second)
            root[max(a, b)] = min(a, b)
        while (root[root] != root).any():
            self.root = root = root[root]

    def _find(self, member: int) -> int:
        while self.root[member] != member:
            member = int(self.root[member])
        return member

    def groups(self) -> list[list[int]]:
        """Sets of two and more, each sorted."""
        order = np.argsort(self.root, kind="stable")
        return [g.tolist() for g in _runs(self.root[order], order) if len(g) > 1]


def _runs(keys: NDArray[np.int64], values: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    if len(keys):
        yield from np.split(values, np.flatnonzero(np.diff(keys)) + 1)
