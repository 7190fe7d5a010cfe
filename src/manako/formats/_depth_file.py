"""One depth map on disk: 16-bit PNG or TIFF, float TIFF, NPY, or OpenEXR.

A stored number is a hole (no reading) where it is 0 or less, not finite, the largest of 16 bits, or as far as only
renderers put what is not there.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import LabelError
from manako.formats._exr import exr_size, read_exr
from manako.images import MAX_PIXELS
from manako.types import Depth

DEPTH_SUFFIXES = (".npy", ".tiff", ".tif", ".png", ".exr")  # the more exact before the less, where there are several
Unit = Literal["m", "relative"]
_NO_READING = 65535
_NOTHING = 1e9  # Blender writes 1e10 where there is nothing
_INTEGERS = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True, eq=False)
class DepthFile:
    """Truth that is read when it is needed. scale: stored numbers in a metre. mask: an NPY file, 0 where the depth is
    not to be trusted."""

    path: Path
    scale: float
    unit: Unit = "m"
    mask: Path | None = None

    def load(self) -> Depth:
        """Raises LabelError where the file can't be read or holds no depth."""
        stored = read_stored(self.path)
        if self.mask is not None:
            trusted = read_stored(self.mask)
            if trusted.shape != stored.shape:
                raise LabelError("depth.mask_size", file=self.mask, found=trusted.shape, wanted=stored.shape)
            stored = np.where(trusted > 0, stored, 0)
        known = np.isfinite(stored) & (stored > 0) & (stored < _NOTHING)
        if np.issubdtype(stored.dtype, np.integer):
            known &= stored != _NO_READING
        metres = stored.astype(np.float32) / np.float32(self.scale)
        return Depth(np.where(known, metres, np.float32(np.nan)), self.unit)

    def relabel(self, ids: NDArray[np.int64]) -> DepthFile:
        return self


def stored_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone. Raises LabelError."""
    if path.suffix.lower() == ".npy":
        height, width = _open_npy(path).shape
        return height, width
    if path.suffix.lower() == ".exr":
        return exr_size(path)
    with _open_picture(path) as image:
        return image.height, image.width


def read_stored(path: Path) -> NDArray[Any]:
    """The numbers of the file as they are, (H, W). Raises LabelError."""
    if path.suffix.lower() == ".npy":
        return np.array(_open_npy(path))
    if path.suffix.lower() == ".exr":
        height, width = exr_size(path)
        _check_pixels(path, width, height)
        return read_exr(path)
    with _open_picture(path) as image:
        _check_pixels(path, image.width, image.height)
        try:
            return np.asarray(image).astype(np.int32 if image.mode in _INTEGERS else np.float32)
        except Exception as error:  # Pillow raises almost anything for a damaged file
            raise LabelError("depth.unreadable", file=path, reason=_text(error)) from None


def _check_pixels(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise LabelError("depth.unreadable", file=path, reason=f"{width} x {height}")


def _open_picture(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path, formats=("PNG", "TIFF"))
    except Exception as error:
        raise LabelError("depth.unreadable", file=path, reason=_text(error)) from None
    if image.mode not in (*_INTEGERS, "F"):
        image.close()
        raise LabelError("depth.not_numbers", file=path, mode=image.mode)
    return image


def _open_npy(path: Path) -> NDArray[Any]:
    try:
        stored = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:
        raise LabelError("depth.unreadable", file=path, reason=_text(error)) from None
    if not isinstance(stored, np.ndarray):
        raise LabelError("depth.unreadable", file=path, reason=type(stored).__name__)
    flat = stored.reshape(_plane(stored.shape))
    if flat.ndim != 2 or flat.dtype.kind not in "fiub" or not 0 < flat.size <= MAX_PIXELS:
        raise LabelError("depth.npy_shape", file=path, found=f"{stored.dtype} {stored.shape}")
    return cast("NDArray[Any]", flat)


def _plane(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(H, W, 1) and (1, H, W) are (H, W)."""
    if len(shape) == 3 and 1 in (shape[0], shape[2]):
        return shape[:2] if shape[2] == 1 else shape[1:]
    return shape


def _text(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
