"""Depth maps between the network's pixels and the image's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.types import Depth, Frame

Map = NDArray[np.float32]


def restore_depth(depth: Map, frame: Frame) -> Map:
    """(h, w) at a fraction of the network's size -> (height, width) of the original, bilinear, without letterbox."""
    rows, columns = depth.shape
    wide, high = frame.scale_x * frame.width, frame.scale_y * frame.height
    across = _cell(wide + 2 * frame.left, columns)
    down = _cell(high + 2 * frame.top, rows)
    box = (
        max(0.0, frame.left / across),
        max(0.0, frame.top / down),
        min(float(columns), (frame.left + wide) / across),
        min(float(rows), (frame.top + high) / down),
    )
    return _resized(depth, (frame.height, frame.width), box)


def _cell(pixels: float, cells: int) -> float:
    """How many of the network's pixels a cell of the map spans. The letterbox's two sides may differ by a pixel, so
    `pixels` is known to within one; a whole number is meant where one is near."""
    whole = max(1, round(pixels / cells))
    return float(whole) if abs(whole * cells - pixels) <= 1.5 else pixels / cells


def resize_depth(depth: Map, size: tuple[int, ...]) -> Map:
    """To (height, width), bilinear; as it is where it has that size."""
    return depth if depth.shape == size else _resized(depth, (size[0], size[1]), None)


def _resized(depth: Map, size: tuple[int, int], box: tuple[float, float, float, float] | None) -> Map:
    picture = Image.fromarray(np.ascontiguousarray(depth, np.float32))
    resized = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
    return np.asarray(resized, np.float32)


def known_range(depth: Depth) -> tuple[float, float]:
    """(low, high) of what is known, without the outermost hundredths; high is above low."""
    known = depth.depth[np.isfinite(depth.depth)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.quantile(known, [0.01, 0.99]).tolist()
    return low, max(high, low + max(1e-3, 0.01 * abs(low)))
