"""Ink on paper, as cameras and scanners see it: from where ink lies to the pixels of an image."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

Random = np.random.Generator
Shares = NDArray[np.float32]  # (H, W), 0 no ink .. 1 all ink
Corners = NDArray[np.float64]  # (4, 2) x, y: left top, right top, right bottom, left bottom

LEAST_CONTRAST = 80.0  # grey levels between ink and ground
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def put_on_paper(ink: Shares, random: Random, *, rough: float = 1.0) -> Image.Image:
    """An RGB image of the ink on some ground. rough: how much is added that makes it hard to read, 0 to 1."""
    height, width = ink.shape
    ground_colour, ink_colour = colours(random)
    ink = ink ** np.float32(np.exp(random.uniform(-0.6, 0.3)))  # heavier or lighter strokes
    if random.random() < 0.25 * rough:
        ink = ink * _clouds(height, width, random, low=random.uniform(0.3, 0.8), high=1.0)
    if random.random() < 0.04 * rough:
        ink = ink * _dots(height, width, random)
    pixels = _ground(height, width, ground_colour, random)
    pixels += ink[:, :, None] * (ink_colour - pixels)
    if random.random() < 0.5 * rough:
        pixels += random.standard_normal((height, width, 1), np.float32) * np.float32(random.uniform(1, 12))
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if random.random() < 0.5 * rough:
        image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 0.035 * min(height, 40))))
    return image


def colours(random: Random) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ground and ink, (3,) each: mostly dark on light, sometimes the other way round, always to be told apart."""
    while True:
        paper, dark = random.random(2) < (0.75, 0.75)
        ground = random.uniform(205, 255) + random.uniform(-12, 6, 3) if paper else _muted(random)
        ink = random.uniform(0, 100) + random.uniform(-15, 15, 3) if dark else _muted(random)
        two = np.clip(np.stack([ground, ink]), 0, 255).astype(np.float32)
        if abs(float((two[0] - two[1]) @ LUMA)) >= LEAST_CONTRAST:
            return two[0], two[1]


def _muted(random: Random) -> NDArray[np.float64]:
    colour = random.uniform(0, 255, 3)
    muted: NDArray[np.float64] = colour + random.uniform(0, 0.8) * (colour.mean() - colour)
    return muted


def _ground(height: int, width: int, colour: NDArray[np.float32], random: Random) -> Shares:
    """(H, W, 3): one colour, a gradient, stained, or grained."""
    pixels = np.empty((height, width, 3), np.float32)
    pixels[:] = colour
    kind = random.random()
    if kind < 0.25:
        across = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(random.uniform(-25, 25))
        down = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(random.uniform(-25, 25))
        pixels += (down[:, None] + across)[:, :, None]
    elif kind < 0.55:
        reach = random.uniform(4, 30)
        pixels += _clouds(height, width, random, low=-reach, high=reach)[:, :, None]
    elif kind < 0.65:
        grain = random.standard_normal((height // 2 + 1, width // 2 + 1), np.float32)
        pixels += np.kron(grain, np.ones((2, 2), np.float32))[:height, :width, None] * np.float32(random.uniform(1, 9))
    return pixels


def _clouds(height: int, width: int, random: Random, *, low: float, high: float) -> Shares:
    """(H, W): random numbers that change slowly."""
    rows, columns = 2 + height // 40, 2 + width // int(random.integers(20, 100))
    few = Image.fromarray(random.uniform(low, high, (rows, columns)).astype(np.float32))
    return np.asarray(few.resize((width, height), Image.Resampling.BILINEAR))


def _dots(height: int, width: int, random: Random) -> Shares:
    """(H, W): as needles print."""
    step = random.uniform(2.0, 3.5)
    rows, columns = (0.5 + 0.5 * np.cos(np.arange(size) * (2 * np.pi / step)) for size in (height, width))
    seen: Shares = 0.35 + 0.65 * np.maximum(rows[:, None], 0.3) * np.maximum(columns, 0.3) ** 0.5
    return seen.astype(np.float32)


def as_jpeg(image: Image.Image, random: Random, *, low: int = 35, high: int = 96) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(random.integers(low, high)))
    return buffer.getvalue()


def seen_from_aside(random: Random, width: int, height: int, *, reach: float) -> Corners:
    """Where the corners of a flat sheet of that size come to lie: turned, sheared, each a little off. reach: of the
    height, how far."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    middle = corners.mean(0)
    turn = np.deg2rad(random.normal(0, 1.0) * min(1.0, 6 * height / width))
    cos, sin, slant = np.cos(turn), np.sin(turn), random.normal(0, 0.08)
    turned = (corners - middle) @ np.array([[cos, sin], [-sin, cos]]) @ np.array([[1, 0], [slant, 1]])
    moved_corners = turned + middle + random.uniform(-reach, reach, (4, 2)) * height
    placed: Corners = moved_corners - moved_corners.min(0)
    return placed


def perspective(source: Corners, target: Corners) -> NDArray[np.float64]:
    """(8,) coefficients that take a point of `target` to `source`, as Pillow's `transform` wants them."""
    rows, values = [], []
    for (x, y), (u, v) in zip(target.tolist(), source.tolist(), strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.linalg.solve(np.array(rows), np.array(values))


def warp(sheet: Image.Image, target: Corners) -> Image.Image:
    """`sheet` with its corners at `target`, on a canvas that holds them all."""
    width, height = sheet.size
    across, down = np.ceil(target.max(0)).astype(int).tolist()
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    coefficients: list[float] = perspective(source, target).tolist()
    return sheet.transform((across, down), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)


def moved(points: NDArray[np.float64], size: tuple[int, int], target: Corners) -> NDArray[np.float64]:
    """(N, 2) points of a sheet of `size` (width, height) to where `warp` brings them."""
    width, height = size
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    a, b, c, d, e, f, g, h = perspective(target, source)
    x, y = points[:, 0], points[:, 1]
    below = g * x + h * y + 1
    return np.stack([(a * x + b * y + c) / below, (d * x + e * y + f) / below], 1)
