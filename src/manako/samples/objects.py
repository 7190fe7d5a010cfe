"""Generated images with several objects each, whose boxes and outlines are exact."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.samples.scenes import SHAPES, corners

WIDTH, HEIGHT = 128, 96
MOST = 4  # objects in an image
_OVERSAMPLING = 4
_TRIES = 50

Polygon = NDArray[np.float64]  # (K, 2), x before y, pixels
Rgb = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Scene:
    """shapes: which of SHAPES each object is."""

    image: Image.Image
    shapes: list[int]
    outlines: list[Polygon]


def write_objects(folder: Path, *, seed: int, count: int) -> Path:
    """`count` PNG files (128 x 96, colour) in `images/`, one to four shapes each, and `annotations.json` as COCO has
    it: boxes, outlines, areas. The same seed and count give the same files."""
    random = np.random.default_rng(seed)
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        scene = make_scene(random, first=number % len(SHAPES))
        name = f"{number:05}.png"
        scene.image.save(folder / "images" / name)
        images.append({"id": number + 1, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for shape, outline in zip(scene.shapes, scene.outlines, strict=True):
            annotations.append(_annotation(len(annotations) + 1, number + 1, shape, outline))
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(SHAPES)]
    record = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(record), "utf-8")
    return folder


def make_scene(random: np.random.Generator, *, first: int) -> Scene:
    """first: which of SHAPES the image holds at least. The others, places, sizes, turns and colours are random."""
    kinds = [first, *random.integers(0, len(SHAPES), random.integers(0, MOST)).tolist()]
    places: list[tuple[float, float, float]] = []
    for _ in kinds:
        place = _free_place(random, places)
        if place:
            places.append(place)
    shapes = kinds[: len(places)]
    outlines = [
        np.array(corners(SHAPES[kind], *place, random.uniform(0, 2 * math.pi)))
        for kind, place in zip(shapes, places, strict=True)
    ]
    return Scene(_paint(outlines, random), shapes, outlines)


def _free_place(
    random: np.random.Generator, taken: list[tuple[float, float, float]]
) -> tuple[float, float, float] | None:
    """x, y and radius of an object that touches no other one."""
    for _ in range(_TRIES):
        radius = random.uniform(12, 22)
        x, y = random.uniform(radius, WIDTH - radius), random.uniform(radius, HEIGHT - radius)
        if all(math.hypot(x - a, y - b) > radius + r + 1 for a, b, r in taken):
            return x, y, radius
    return None


def _paint(outlines: list[Polygon], random: np.random.Generator) -> Image.Image:
    ground = _colour(random)
    image = Image.new("RGB", (WIDTH * _OVERSAMPLING, HEIGHT * _OVERSAMPLING), ground)
    draw = ImageDraw.Draw(image)
    for outline in outlines:
        # Pillow's whole numbers are the centres of pixels.
        points = (outline * _OVERSAMPLING - 0.5).reshape(-1).tolist()
        draw.polygon(points, _other_colour(random, ground))
    small = np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BOX), np.float32)
    noisy = small + random.normal(0, 6, small.shape)
    return Image.fromarray(np.clip(np.round(noisy), 0, 255).astype(np.uint8))


def _colour(random: np.random.Generator) -> Rgb:
    red, green, blue = random.integers(0, 256, 3).tolist()
    return red, green, blue


def _other_colour(random: np.random.Generator, ground: Rgb) -> Rgb:
    """One that can be seen on `ground`."""
    while True:
        ink = _colour(random)
        if sum(abs(a - b) for a, b in zip(ink, ground, strict=True)) > 200:
            return ink


def _annotation(number: int, image: int, shape: int, outline: Polygon) -> dict[str, object]:
    low, high = outline.min(0), outline.max(0)
    x, y = outline.T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    return {
        "id": number,
        "image_id": image,
        "category_id": shape + 1,
        "bbox": [round(v, 3) for v in (*low.tolist(), *(high - low).tolist())],
        "segmentation": [[round(v, 3) for v in outline.reshape(-1).tolist()]],
        "area": round(float(area), 3),
        "iscrowd": 0,
    }
