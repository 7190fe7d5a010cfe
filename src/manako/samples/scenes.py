"""Generated images whose truth is exact, for tests and for trying things out without data."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square", "triangle")
_SIDE = 48
_OVERSAMPLING = 4  # drawn larger and reduced: Pillow draws without antialiasing


def write_shapes(folder: Path, seed: int, count: int) -> Path:
    """`count` PNG files (48 x 48, colour), spread evenly over a sub-folder for each of four shapes.

    Colour, place, size, turn and background are drawn at random and say nothing about the class. The same seed and
    count give the same files.
    """
    random = np.random.default_rng(seed)
    for number in range(count):
        shape = SHAPES[number % len(SHAPES)]
        path = folder / shape / f"{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _scene(shape, random).save(path)
    return folder


def _scene(shape: str, random: np.random.Generator) -> Image.Image:
    side = _SIDE * _OVERSAMPLING
    ground, ink = _two_colours(random)
    image = Image.new("RGB", (side, side), ground)
    radius = side * random.uniform(0.2, 0.32)
    centre = random.uniform(radius, side - radius, 2)
    _draw(ImageDraw.Draw(image), shape, centre, radius, random.uniform(0, 2 * math.pi), ink)
    small = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)
    noisy = small + random.normal(0, 6, small.shape)
    return Image.fromarray(np.clip(np.round(noisy), 0, 255).astype(np.uint8))


def _two_colours(random: np.random.Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Two colours far enough apart that the shape can be seen."""
    while True:
        first, second = random.integers(0, 256, (2, 3)).tolist()
        if sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 200:
            return tuple(first), tuple(second)


def _draw(
    draw: ImageDraw.ImageDraw,
    shape: str,
    centre: np.ndarray[tuple[int], np.dtype[np.float64]],
    radius: float,
    turn: float,
    ink: tuple[int, int, int],
) -> None:
    x, y = centre.tolist()
    if shape == "circle":
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
    else:
        draw.polygon(corners(shape, x, y, radius, turn), ink)


def corners(shape: str, x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    """The corners of one of SHAPES around (x, y), within `radius`; a circle has 64 of them."""
    if shape == "cross":
        arm, inner = math.atan2(1, 3), radius * math.sqrt(2) / math.sqrt(10)
        angles = [quarter * math.pi / 2 + side for quarter in range(4) for side in (-arm, arm, math.pi / 4)]
        radii = [radius, radius, inner] * 4
    else:
        sides = {"square": 4, "triangle": 3, "circle": 64}[shape]
        angles, radii = [2 * math.pi * k / sides for k in range(sides)], [radius] * sides
    return [(x + r * math.cos(a + turn), y + r * math.sin(a + turn)) for a, r in zip(angles, radii, strict=True)]
