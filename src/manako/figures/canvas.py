"""What both canvases, SVG and Pillow, can do. Units are CSS pixels, y grows downward, colours are (r, g, b), 0..255."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from manako.figures.colours import Dash, Rgb

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]


class Canvas(Protocol):
    def line(self, points: Sequence[Point], colour: Rgb, width: float, dash: Dash = ()) -> None: ...

    def polygon(
        self,
        points: Sequence[Point],
        fill: Rgb | None,
        *,
        stroke: Rgb | None = None,
        width: float = 1,
        opacity: float = 1,
    ) -> None: ...

    def circle(
        self, centre: Point, radius: float, fill: Rgb | None, *, stroke: Rgb | None = None, width: float = 1
    ) -> None: ...

    def image(self, pixels: NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
        """Draw `pixels` (H, W, 3), each a sharp rectangle."""

    def text(
        self,
        at: Point,
        text: str,
        *,
        size: float,
        colour: Rgb,
        anchor: Anchor = "start",
        angle: float = 0,
        bold: bool = False,
    ) -> None:
        """One line whose baseline starts (or is centred, or ends) at `at`, turned by `angle` degrees, clockwise."""
