"""How pixels of the network, of a window and of the original image map to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """How the network's pixels map back to the original image's.

    x_original = (x_network - left) / scale_x, likewise y. height, width: the original image's size in pixels.
    """

    height: int
    width: int
    scale_x: float = 1.0
    scale_y: float = 1.0
    left: float = 0.0
    top: float = 0.0

    def restore(self, xy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points (..., 2) from network pixels to original pixels, clipped to the image."""
        points = (xy - np.array([self.left, self.top])) / np.array([self.scale_x, self.scale_y])
        inside: NDArray[np.float32] = np.clip(points, 0, [self.width, self.height]).astype(np.float32)
        return inside


@dataclass(frozen=True)
class Window:
    """A part of a large image that the network sees by itself. Whole pixels; right and bottom are not included."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left
