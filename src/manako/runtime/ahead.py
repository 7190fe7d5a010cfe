"""Images opened ahead of the network by threads, in order and a few at a time, so that memory stays bounded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import ImageError, ManakoError
from manako.images import MAX_PIXELS, Preprocess
from manako.types import Frame, Sample


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a video. video: its path, or "camera:0". number: from 0. seconds: since the video's beginning.
    rate: pictures a second, as the video says."""

    video: str
    number: int
    seconds: float
    rate: float
    image: Image.Image


@dataclass(frozen=True)
class Unreadable:
    """What should have been a source and is none (a video without pictures), at its place among the others."""

    name: str
    error: ManakoError


Source = str | Path | bytes | Sample | Image.Image | Picture | Unreadable
"""What can be predicted: a file, its bytes, a sample of a data set, an upright image in memory, a video's picture."""
Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(frozen=True, eq=False)
class Opened:
    """One source with its pixels (H, W, C), or with the error that opening it raised."""

    source: Source
    pixels: NDArray[np.uint8] | None = None
    frame: Frame | None = None
    error: ManakoError | None = None


def open_ahead(
    sources: Iterable[Source],
    preprocess: Preprocess,
    *,
    ahead: int,
    workers: int | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Opened]:
    """Each source, opened, in order; at most `ahead` wait. A source that can't be opened carries its error."""
    return work_ahead(
        partial(_open, preprocess=preprocess, max_pixels=max_pixels), sources, ahead=ahead, workers=workers
    )


def work_ahead(
    work: Callable[[Item], Done], items: Iterable[Item], *, ahead: int, workers: int | None = None
) -> Iterator[Done]:
    """`work` done on each item by threads, in order; at most `ahead` wait. An error of `work` comes at its place."""
    waiting: deque[Future[Done]] = deque()
    rest = iter(items)
    pool = ThreadPoolExecutor(workers or min(8, cores()), thread_name_prefix="manako-open")
    try:
        waiting.extend(pool.submit(work, item) for item in islice(rest, max(ahead, 1)))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, item) for item in islice(rest, 1))
            yield done
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Lists of `size`, the last one shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def of_one_size(shapes: Sequence[tuple[int, ...] | None], most: int) -> list[list[int]]:
    """Places of equal shapes put together, in parts of at most `most`; None joins any part.

    Where all are equal these are just batches. An image's part never changes its pixels: what is predicted for it does
    not depend on what stands beside it.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for place, shape in enumerate(shapes):
        groups.setdefault(shape or next((s for s in shapes if s), ()), []).append(place)
    return [places[i : i + most] for _, places in sorted(groups.items()) for i in range(0, len(places), most)]


def _open(source: Source, preprocess: Preprocess, max_pixels: int) -> Opened:
    try:
        if isinstance(source, Unreadable):
            return Opened(source, error=source.error)
        if isinstance(source, (Image.Image, Picture)):
            image = source.image if isinstance(source, Picture) else source
            image = image if image.mode in ("L", "RGB") else image.convert("RGB")
            return Opened(source, *preprocess.apply(image))
        if isinstance(source, Sample):
            return Opened(source, *preprocess.open(source.image, source.frame, max_pixels))
        return Opened(source, *preprocess.open(source, 0, max_pixels))
    except ManakoError as error:
        return Opened(source, error=error)
    except MemoryError:
        return Opened(source, error=ImageError("predict.memory", file=name_of(source)))


def name_of(source: Source) -> str:
    """What a person calls the source: its path, a sample's id, or a sign for what is only in memory."""
    if isinstance(source, Sample):
        return source.id
    if isinstance(source, Picture):
        return f"{source.video}#{source.number}"
    if isinstance(source, Unreadable):
        return source.name
    if isinstance(source, (str, Path)):
        return os.fsencode(source).decode("utf-8", "backslashreplace")  # a name need not be text
    return "<bytes>" if isinstance(source, bytes) else "<image>"
