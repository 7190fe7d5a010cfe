"""Depth in space: points in metres for other programs (PLY), and what stands before the background.

The camera is a pinhole, x to the right, y down, z ahead. Where its focal length is not known, a field of view of 60
degrees across the longer side is assumed, as ordinary cameras have; shapes are then right up to a stretch along z.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import ConfigError
from manako.paths import atomic_write
from manako.types import Depth

ASSUMED_VIEW = 60.0  # degrees
EDGE = 0.05  # of the depth: neighbours that differ by more are two things, and what lies between is on neither
_BINS = 256


@dataclass(frozen=True)
class Intrinsics:
    """Of a pinhole camera, in pixels of the image: focal lengths and the point that the axis meets.

    The centre of the image's first pixel is at (0.5, 0.5).
    """

    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or min(self.fx, self.fy) <= 0:
            raise ConfigError("depth.intrinsics", value=f"{self.fx}, {self.fy}, {self.cx}, {self.cy}")

    @classmethod
    def assumed(cls, width: int, height: int, *, view: float = ASSUMED_VIEW) -> Intrinsics:
        """view: degrees across the longer side."""
        if not 1 <= view <= 170:
            raise ConfigError("depth.view", value=view)
        focal = max(width, height) / 2 / math.tan(math.radians(view) / 2)
        return cls(focal, focal, width / 2, height / 2)

    @classmethod
    def parse(cls, text: str) -> Intrinsics:
        """From "fx,fy,cx,cy". Raises ConfigError."""
        try:
            fx, fy, cx, cy = (float(part) for part in text.split(","))
        except ValueError:
            raise ConfigError("depth.intrinsics", value=text[:80]) from None
        return cls(fx, fy, cx, cy)


def points_of(depth: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
    """(H, W) -> (H, W, 3): x, y, z of each pixel, NaN where depth is unknown."""
    height, width = depth.shape
    x = (np.arange(width) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(height) + 0.5 - camera.cy) / camera.fy
    points: NDArray[np.float32] = np.stack([x * depth, y[:, None] * depth, depth], axis=-1).astype(np.float32)
    return points


def on_edge(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(H, W): pixels whose depth jumps to a neighbour. Estimated depth is smooth there, and clouds would show veils."""
    edge = np.zeros(depth.shape, np.bool_)
    across = np.abs(np.diff(depth, axis=1)) > EDGE * np.minimum(depth[:, 1:], depth[:, :-1])
    down = np.abs(np.diff(depth, axis=0)) > EDGE * np.minimum(depth[1:], depth[:-1])
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    return edge


def write_point_cloud(
    path: str | Path, prediction: Depth, image: Image.Image, camera: Intrinsics | None = None, *, edges: bool = False
) -> int:
    """Binary PLY: x, y, z (float) and red, green, blue of every pixel whose depth is known. Returns how many.

    camera: None assumes one. edges: keep pixels between two things. Raises StorageError.
    """
    depth = prediction.depth
    height, width = depth.shape
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    points = points_of(depth, camera or Intrinsics.assumed(width, height))
    kept = np.isfinite(depth) & (depth > 0)
    if not edges:
        kept &= ~on_edge(depth)
    row = [("xyz", "<f4", 3), ("rgb", "u1", 3)]
    rows = np.empty(int(kept.sum()), np.dtype(row))
    rows["xyz"], rows["rgb"] = points[kept], np.asarray(image.convert("RGB"))[kept]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment unit {prediction.unit}, camera x right, y down, z ahead",
        f"element vertex {len(rows)}",
        *(f"property float {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        "end_header\n",
    ]
    atomic_write(Path(path), "\n".join(header).encode("ascii") + rows.tobytes())
    return len(rows)


def foreground(prediction: Depth, nearer_than: float | None = None) -> NDArray[np.bool_]:
    """(H, W): what is nearer than a distance; None finds the one that parts near from far best (Otsu 1979, on the
    logarithm of depth). Unknown pixels are background."""
    depth = prediction.depth
    known = np.isfinite(depth) & (depth > 0)
    if nearer_than is None:
        nearer_than = parting_distance(depth[known]) if known.any() else 0.0
    return known & (np.where(known, depth, np.inf) < nearer_than)


def parting_distance(depth: NDArray[np.float32]) -> float:
    """depth: (K,), above 0. The distance with the largest variance between what is nearer and what is farther."""
    values = np.log(depth.astype(np.float64))
    counts, edges = np.histogram(values, _BINS)
    middle = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1]
    above = len(values) - below
    sums = np.cumsum(counts * middle)
    means = sums[:-1] / np.maximum(below, 1), (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    return float(np.exp(edges[1 + int(np.argmax(below * above * (means[0] - means[1]) ** 2))]))


def cut_out(image: Image.Image, prediction: Depth, nearer_than: float | None = None) -> Image.Image:
    """The image with its background transparent ("RGBA"), in the image's size."""
    mask = Image.fromarray(foreground(prediction, nearer_than).astype(np.uint8) * 255)
    if mask.size != image.size:
        mask = mask.resize(image.size, Image.Resampling.NEAREST)
    result = image.convert("RGBA")
    result.putalpha(mask)
    return result
