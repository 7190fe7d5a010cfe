"""IDX, the file format of MNIST and its relatives: many small images, or their labels, in one file, often gzipped.

Layout: two zero bytes, a type byte (8 = uint8), the number of dimensions, each dimension as big-endian uint32, values.
Source: the description at the end of the MNIST page by LeCun, Cortes and Burges.
"""

from __future__ import annotations

import gzip
import re
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manako.errors import DataError, ImageError

IMAGES = re.compile(r"idx3[-.]ubyte(\.gz)?$", re.IGNORECASE)
LABELS = re.compile(r"idx1[-.]ubyte(\.gz)?$", re.IGNORECASE)
_UINT8 = 8
# Deflate can't shrink data by more than about 1,032 times: a header that promises more lies.
_DEFLATE_LIMIT = 1040
# A gzipped file is unpacked into memory; a plain one is mapped and has no such limit.
_UNPACKED_LIMIT = 2 * 1024**3


def is_idx_images(path: Path) -> bool:
    """Whether the name says that this is an IDX file of images (`*-idx3-ubyte`, `*-idx3-ubyte.gz`)."""
    return IMAGES.search(path.name) is not None


def read_images(path: Path) -> NDArray[np.uint8]:
    """All images of an IDX file, (N, H, W) uint8, read-only; the last few files stay in memory.

    Raises ImageError when the file is missing, cut off, or not of this kind.
    """
    try:
        status = path.stat()
        return _cached(path, status.st_mtime_ns, status.st_size, 3)
    except DataError as error:
        raise ImageError(error.code, **error.facts) from error
    except OSError as error:
        raise ImageError("image.unreadable", file=path, reason=error.strerror or error) from error


def read_labels(path: Path) -> NDArray[np.uint8]:
    """All labels of an IDX file, (N,) uint8. Raises DataError."""
    try:
        return _read(path, path.stat().st_size, 1)
    except OSError as error:
        raise DataError("image.unreadable", file=path, reason=error.strerror or error) from error


@lru_cache(maxsize=4)
def _cached(path: Path, _changed: int, size: int, dimensions: int) -> NDArray[np.uint8]:
    return _read(path, size, dimensions)


def _read(path: Path, size: int, dimensions: int) -> NDArray[np.uint8]:
    packed = path.suffix.lower() == ".gz"
    opener: Any = gzip.open if packed else open
    try:
        with opener(path, "rb") as file:
            shape = _shape(path, file.read(4 + 4 * dimensions), dimensions)
            count = int(np.prod(shape, dtype=object))
            if not packed:
                if size < 4 + 4 * dimensions + count:
                    raise DataError("idx.truncated", file=path, count=shape[0])
                if not count:  # an empty file can't be mapped
                    return np.zeros(shape, np.uint8)
                return np.memmap(path, np.uint8, "r", 4 + 4 * dimensions, shape)
            if count > min(size * _DEFLATE_LIMIT, _UNPACKED_LIMIT):
                raise DataError("idx.too_large", file=path, megabytes=count // 2**20)
            values = np.frombuffer(file.read(count), np.uint8)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError("image.damaged", file=path, reason=error) from error
    if len(values) < count:
        raise DataError("idx.truncated", file=path, count=shape[0])
    return values.reshape(shape)


def _shape(path: Path, header: bytes, dimensions: int) -> tuple[int, ...]:
    if len(header) < 4 + 4 * dimensions or header[:4] != bytes([0, 0, _UINT8, dimensions]):
        raise DataError("idx.not_idx", file=path, dimensions=dimensions)
    shape = tuple(int.from_bytes(header[i : i + 4], "big") for i in range(4, len(header), 4))
    if any(n == 0 for n in shape[1:]):
        raise DataError("idx.not_idx", file=path, dimensions=dimensions)
    return shape


def clear_cache() -> None:
    """Free the files kept in memory."""
    _cached.cache_clear()


__all__ = ["IMAGES", "LABELS", "clear_cache", "is_idx_images", "read_images", "read_labels"]
