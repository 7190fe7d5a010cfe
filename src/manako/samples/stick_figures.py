"""Generated scenes of stick figures with exact truth: crossing limbs, figures before figures, things in the way.

Left limbs are cold colours and right ones warm, as only that tells the sides of a flat figure apart.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

POINTS = (
    "head", "neck", "pelvis", "left_elbow", "left_hand", "right_elbow", "right_hand", "left_knee", "left_foot",
    "right_knee", "right_foot",
)  # fmt: skip
LIMBS = ((0, 1), (1, 2), (1, 3), (3, 4), (1, 5), (5, 6), (2, 7), (7, 8), (2, 9), (9, 10))
SIGMAS = (0.08,) * len(POINTS)
HEIGHT = 2.65  # of a figure that stands straight, in lengths of its trunk
_OVERSAMPLING = 3
_NOBODY = 0  # in the map of who is seen where
Colour = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class _Figure:
    xy: NDArray[np.float64]  # (K, 2), pixels of the image
    trunk: float  # pixels
    colours: tuple[Colour, ...]  # of each limb


def write_figures(
    folder: Path, *, seed: int, count: int, most: int = 1, size: tuple[int, int] = (160, 160), hidden: float = 0.3
) -> Path:
    """`count` PNG files of (height, width) `size` with 1 to `most` figures each, and COCO key points of them.

    hidden: part of the images with something that hides a part of the figures. The same arguments give the same files.
    """
    random = np.random.default_rng(seed)
    images, entries = folder / "images", []
    images.mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    listed = []
    for number in range(count):
        name = f"{number:05}.png"
        picture, subjects = _scene(random, most, size, hidden)
        picture.save(images / name)
        listed.append({"id": number + 1, "file_name": name, "height": size[0], "width": size[1]})
        entries += [{"image_id": number + 1, **subject} for subject in subjects]
    category = {"id": 1, "name": "figure", "keypoints": POINTS, "skeleton": [(a + 1, b + 1) for a, b in LIMBS]}
    content = {
        "images": listed,
        "annotations": [{"id": i, "category_id": 1, "iscrowd": 0, **entry} for i, entry in enumerate(entries, 1)],
        "categories": [category | {"sigmas": SIGMAS}],
    }
    (folder / "annotations" / "keypoints.json").write_text(json.dumps(content), "utf-8")
    return folder


def _scene(
    random: np.random.Generator, most: int, size: tuple[int, int], hidden: float
) -> tuple[Image.Image, list[dict[str, object]]]:
    """Figures from back to front; `who` holds which one (counted from 1) is seen at each pixel."""
    big = (size[1] * _OVERSAMPLING, size[0] * _OVERSAMPLING)
    picture, who = _ground(random, big), Image.new("L", big, _NOBODY)
    figures = [_figure(random, size) for _ in range(int(random.integers(1, most + 1)))]
    for number, figure in enumerate(figures, 1):
        _draw(ImageDraw.Draw(picture), figure, figure.colours)
        _draw(ImageDraw.Draw(who), figure, (number,) * len(LIMBS))
    if random.uniform() < hidden:
        box = _obstacle(random, size)
        ImageDraw.Draw(picture).rectangle(box, _colour(random, 40, 215))
        ImageDraw.Draw(who).rectangle(box, _NOBODY)
    small = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BOX), np.float32)
    noisy = np.clip(np.round(small + random.normal(0, 5, small.shape)), 0, 255).astype(np.uint8)
    seen = np.asarray(who)
    return Image.fromarray(noisy), [_entry(figure, seen == n, size) for n, figure in enumerate(figures, 1)]


def _ground(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """A grey that runs from one shade to another."""
    low, high = random.uniform(90, 200, 2)
    column = np.linspace(low, high, size[1]).round().astype(np.uint8)
    return Image.fromarray(np.repeat(column[:, None], size[0], 1)).convert("RGB")


def _figure(random: np.random.Generator, size: tuple[int, int]) -> _Figure:
    """Trunk upright but for a lean; arms and legs bend at random. Moved to lie inside the image as a whole."""
    trunk = min(size) * random.uniform(0.5, 0.85) / HEIGHT
    lean = random.normal(0, 0.2)
    up = np.array([math.sin(lean), -math.cos(lean)])
    pelvis = np.zeros(2)
    neck = pelvis + up
    xy = np.zeros((len(POINTS), 2))
    xy[:3] = neck + 0.45 * up, neck, pelvis
    for elbow, side in ((3, 1), (5, -1)):  # the figure looks at us: its left is on the right
        xy[elbow : elbow + 2] = _two(random, neck, lean, side * random.uniform(0.2, 2.4), side * 1.2, 0.55)
    for knee, side in ((7, 1), (9, -1)):
        xy[knee : knee + 2] = _two(random, pelvis, lean, side * random.uniform(-0.2, 0.7), side * 0.5, 0.6)
    xy *= trunk
    low, high = xy.min(0) - 0.35 * trunk, xy.max(0) + 0.35 * trunk
    room = np.array([size[1], size[0]]) - (high - low)
    xy += random.uniform(np.minimum(0, room), np.maximum(0, room)) - low
    middle, cold, warm = _colour(random, 20, 70), _cold(random), _warm(random)
    colours = [middle if b < 3 else cold if POINTS[b].startswith("left") else warm for _, b in LIMBS]
    return _Figure(xy, trunk, tuple(colours))


def _two(
    random: np.random.Generator, start: NDArray[np.float64], lean: float, angle: float, bend: float, length: float
) -> NDArray[np.float64]:
    """(2, 2): the ends of two parts from `start`; angles are from straight down, positive to the right."""
    first = angle + lean
    second = first + random.uniform(-0.2, 1.0) * bend
    one = start + length * np.array([math.sin(first), math.cos(first)])
    return np.stack([one, one + length * np.array([math.sin(second), math.cos(second)])])


def _colour(random: np.random.Generator, low: int, high: int) -> Colour:
    r, g, b = random.integers(low, high, 3).tolist()
    return r, g, b


def _cold(random: np.random.Generator) -> Colour:
    r, g, b = random.integers((0, 40, 170), (60, 130, 255)).tolist()
    return r, g, b


def _warm(random: np.random.Generator) -> Colour:
    r, g, b = random.integers((200, 60, 0), (255, 150, 50)).tolist()
    return r, g, b


def _draw(draw: ImageDraw.ImageDraw, figure: _Figure, colours: Sequence[Colour | int]) -> None:
    xy = figure.xy * _OVERSAMPLING
    thick = 0.16 * figure.trunk * _OVERSAMPLING
    for (a, b), colour in zip(LIMBS, colours, strict=True):
        draw.line((*xy[a], *xy[b]), colour, round(thick))
        for x, y in (xy[a], xy[b]):
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), colour)
    (x, y), radius = xy[0], 0.26 * figure.trunk * _OVERSAMPLING
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), colours[0])


def _obstacle(random: np.random.Generator, size: tuple[int, int]) -> tuple[float, float, float, float]:
    high, wide = random.uniform(0.15, 0.35, 2) * size
    left, top = random.uniform(0, size[1] - wide), random.uniform(0, size[0] - high)
    scale = _OVERSAMPLING
    return left * scale, top * scale, (left + wide) * scale, (top + high) * scale


def _entry(figure: _Figure, seen: NDArray[np.bool_], size: tuple[int, int]) -> dict[str, object]:
    """Key points as COCO writes them: 2 seen, 1 hidden, 0 outside the image."""
    flat: list[float] = []
    inside = []
    for x, y in figure.xy.tolist():
        within = 0 <= x < size[1] and 0 <= y < size[0]
        visible = within and seen[int(y * _OVERSAMPLING), int(x * _OVERSAMPLING)]
        flat += [round(x, 2), round(y, 2), 2 if visible else 1] if within else [0, 0, 0]
        inside.append(within)
    reach = 0.2 * figure.trunk
    low = np.clip(figure.xy.min(0) - reach, 0, [size[1], size[0]])
    high = np.clip(figure.xy.max(0) + reach, 0, [size[1], size[0]])
    wide, tall = (high - low).round(2).tolist()
    box = [*low.round(2).tolist(), wide, tall]
    return {"keypoints": flat, "num_keypoints": sum(inside), "bbox": box, "area": round(0.5 * wide * tall, 2)}
