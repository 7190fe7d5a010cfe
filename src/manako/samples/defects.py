"""Generated surfaces, some with a defect whose every pixel is known, laid out as MVTec AD lays out its own.

The defects can also be put on a person's own normal images (`add_defect`): a way to compare settings without a
single labelled defect.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.float64]
Mask = NDArray[np.bool_]
_SIDE = 64
_OVERSAMPLING = 4  # regions are drawn larger and reduced: Pillow draws without antialiasing


def write_defects(folder: Path, seed: int, count: int) -> Path:
    """`count` images (64 x 64, colour) in train/good, test/good and test/<defect>, with masks in ground_truth.

    Half of them are normal and for training, a quarter normal and for the test. The same seed and count give the same
    files.
    """
    random = np.random.default_rng(seed)
    kinds = tuple(DEFECTS)
    for number in range(count):
        texture = _brushed(random)
        part = ("train/good", "test/good", "train/good", "defect")[number % 4]
        if part == "defect":
            kind = kinds[number // 4 % len(kinds)]
            texture, mask = add_defect(texture, kind, random)
            part = f"test/{kind}"
            _save(folder / "ground_truth" / kind / f"{number:05}_mask.png", mask.astype(np.uint8) * 255)
        _save(folder / part / f"{number:05}.png", np.clip(np.round(texture), 0, 255).astype(np.uint8))
    return folder


def add_defect(image: Pixels, kind: str, random: np.random.Generator, *, strength: float = 1.0) -> tuple[Pixels, Mask]:
    """A copy of `image` (H, W, C), 0..255, with one defect of `kind` (a key of DEFECTS), and its pixels (H, W).

    strength: 0..1; faint defects are hard to find.
    """
    height, width = image.shape[:2]
    while True:
        share = DEFECTS[kind](height, width, random)
        if (share > 0.5).sum() >= 4:
            break
    spread = max(float(image.std()), 8.0)
    if kind == "patch":
        shift = [int(random.integers(size // 4, max(size // 4 + 1, 3 * size // 4))) for size in (height, width)]
        other = np.roll(image, shift, (0, 1)) + random.choice([-1.0, 1.0]) * spread * random.uniform(0.8, 1.6)
    else:
        other = np.broadcast_to(image.mean() - spread * random.uniform(2.0, 4.0), image.shape)
    if kind == "stain":
        other = (image + other) / 2
    return image + strength * share[..., None] * (np.clip(other, 0, 255) - image), share > 0.5


def _spot(height: int, width: int, random: np.random.Generator) -> Pixels:
    """A small hole: an ellipse of 2 to 6 % of the image's side."""
    side = min(height, width)
    across, down = side * random.uniform(0.02, 0.06, 2) + 1
    x, y = random.uniform(0.08, 0.92, 2) * (width, height)

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.ellipse([scale * v for v in (x - across, y - down, x + across, y + down)], 255)

    return _drawn(height, width, draw)


def _crack(height: int, width: int, random: np.random.Generator) -> Pixels:
    """A thin line that turns a little at each step."""
    side = min(height, width)
    steps, heading = int(random.integers(6, 12)), random.uniform(0, 2 * np.pi)
    points = [random.uniform(0.15, 0.85, 2) * (width, height)]
    for _ in range(steps):
        heading += random.normal(0, 0.5)
        points.append(points[-1] + side * 0.035 * np.array([np.cos(heading), np.sin(heading)]))
    thick = max(1.3, side * random.uniform(0.006, 0.015))

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.line([tuple(scale * p) for p in points], 255, round(thick * scale), "curve")

    return _drawn(height, width, draw)


def _chip(height: int, width: int, random: np.random.Generator) -> Pixels:
    """A piece broken off at an edge."""
    size = min(height, width) * random.uniform(0.06, 0.16)
    along = random.uniform(0.1, 0.9)
    x, y = [(along * width, 0), (along * width, height), (0, along * height), (width, along * height)][
        random.integers(4)
    ]
    angles = np.sort(random.uniform(0, 2 * np.pi, 9))
    radii = size * random.uniform(0.5, 1.1, 9)

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        corners = [(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(angles, radii, strict=True)]
        pen.polygon([(scale * a, scale * b) for a, b in corners], 255)

    return _drawn(height, width, draw)


def _stain(height: int, width: int, random: np.random.Generator) -> Pixels:
    """A large soft blot."""
    side = min(height, width)
    across, down = side * random.uniform(0.08, 0.2, 2)
    x, y = random.uniform(0.2, 0.8, 2) * (width, height)

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.ellipse([scale * v for v in (x - across, y - down, x + across, y + down)], 255)

    return _drawn(height, width, draw, blur=side * 0.02)


def _patch(height: int, width: int, random: np.random.Generator) -> Pixels:
    """A rectangle, for a piece of the surface from elsewhere."""
    down, across = np.array([height, width]) * random.uniform(0.15, 0.4, 2)
    top, left = random.uniform(0, height - down), random.uniform(0, width - across)

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.rectangle([scale * v for v in (left, top, left + across, top + down)], 255)

    return _drawn(height, width, draw)


DEFECTS: dict[str, Callable[[int, int, np.random.Generator], Pixels]] = {
    "crack": _crack,
    "spot": _spot,
    "stain": _stain,
    "chip": _chip,
    "patch": _patch,
}


def _drawn(height: int, width: int, draw: Callable[[ImageDraw.ImageDraw, int], None], *, blur: float = 0.0) -> Pixels:
    """(H, W), 0..1: how much of each pixel the shape covers."""
    canvas = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
    draw(ImageDraw.Draw(canvas), _OVERSAMPLING)
    small = canvas.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small.filter(ImageFilter.GaussianBlur(blur)) if blur else small, np.float64) / 255


def _brushed(random: np.random.Generator) -> Pixels:
    """A metal surface: streaks from top to bottom, uneven light, a little noise."""
    streaks = random.normal(0, 1, (1, _SIDE)) + random.normal(0, 0.35, (_SIDE, _SIDE))
    y, x = np.mgrid[0 : 1 : _SIDE * 1j, 0 : 1 : _SIDE * 1j]
    light = 18 * np.cos(2 * (x - random.uniform(0, 1)) + (y - random.uniform(0, 1)))
    grey = 128 + 9 * streaks + light
    tint = np.array([1.0, 0.99, 0.96])
    surface: Pixels = grey[..., None] * tint + random.normal(0, 2, (_SIDE, _SIDE, 3))
    return surface


def _save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
