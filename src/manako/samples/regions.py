"""Generated scenes with an exact class for every pixel."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.formats.masks import Writer
from manako.paths import atomic_write
from manako.types import Segmentation

CLASSES = ("background", "disc", "bar", "ring")
HEIGHT, WIDTH = 80, 96
_FINE = 4  # drawn larger and reduced, so that borders are soft as in a photograph
_MOST = 3  # objects in an image
_INK = np.array([(60, 64, 72), (206, 92, 60), (66, 140, 202), (222, 190, 70)], np.float64)


def write_regions(folder: Path, *, seed: int, count: int) -> Path:
    """`count` colour PNG files (96 x 80) with 1 to 3 discs, bars and rings in `images/`, indexed masks in `masks/`.

    A pixel belongs to what covers most of it. The same seed and count give the same files.
    """
    random = np.random.default_rng(seed)
    writer = Writer(folder, CLASSES)
    for number in range(count):
        image, truth = _scene(random)
        file = BytesIO()
        Image.fromarray(image).save(file, "PNG")
        atomic_write(folder / "images" / f"{number:05}.png", file.getvalue())
        writer.add(f"{number:05}.png", WIDTH, HEIGHT, Segmentation(truth))
    writer.finish()
    return folder


def write_binary(folder: Path, *, seed: int, count: int) -> Path:
    """The same scenes with discs, bars and rings as one class: masks of 0 and 255, as tools for labelling save them."""
    random = np.random.default_rng(seed)
    for number in range(count):
        image, truth = _scene(random)
        for name, pixels in (("images", image), ("masks", np.where(truth > 0, 255, 0).astype(np.uint8))):
            file = BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            atomic_write(folder / name / f"{number:05}.png", file.getvalue())
    return folder


def _scene(random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(H, W, 3) and (H, W). Every class but the background is as likely; later objects hide earlier ones."""
    fine = Image.new("L", (WIDTH * _FINE, HEIGHT * _FINE))
    draw = ImageDraw.Draw(fine)
    for _ in range(int(random.integers(1, _MOST + 1))):
        _draw(draw, int(random.integers(1, len(CLASSES))), random)
    cells = np.asarray(fine).reshape(HEIGHT, _FINE, WIDTH, _FINE)
    share = np.stack([(cells == index).mean((1, 3)) for index in range(len(CLASSES))], 2)
    ink = _INK + random.normal(0, 12, _INK.shape)
    light = 1 + 0.25 * np.linspace(-1, 1, WIDTH)[None, :, None] * random.uniform(-1, 1)
    pixels = (share @ ink) * light + random.normal(0, 7, (HEIGHT, WIDTH, 3))
    return np.clip(np.round(pixels), 0, 255).astype(np.uint8), share.argmax(2).astype(np.uint8)


def _draw(draw: ImageDraw.ImageDraw, index: int, random: np.random.Generator) -> None:
    x, y = random.uniform(0.1, 0.9, 2) * (WIDTH * _FINE, HEIGHT * _FINE)
    radius = random.uniform(14, 24) * _FINE
    box = (x - radius, y - radius, x + radius, y + radius)
    if CLASSES[index] == "bar":
        angle, half = random.uniform(0, math.pi), radius * 0.3
        along = np.array([math.cos(angle), math.sin(angle)]) * radius * 1.3
        across = np.array([-math.sin(angle), math.cos(angle)]) * half
        corners = [along + across, along - across, -along - across, -along + across]
        draw.polygon([(x + dx, y + dy) for dx, dy in corners], index)
    else:
        draw.ellipse(box, index)
        if CLASSES[index] == "ring":
            inner = radius * 0.5
            draw.ellipse((x - inner, y - inner, x + inner, y + inner), 0)
