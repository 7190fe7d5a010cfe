"""Generated rooms with exact depth: boxes on a tiled floor, cast ray by ray, shaded by a lamp."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

WIDTH, HEIGHT = 96, 72
FOCAL = 84.0  # pixels: about 60 degrees across
TILE = 0.5  # metres, of floor and walls: what tells a near small thing from a far large one
MILLIMETRE = 1000


@dataclass(frozen=True, eq=False)
class Box:
    """low, high: opposite corners in metres, in the box's own axes. turn: radians about the vertical, through
    `centre`. dark: gives no reading, as black things give none to a depth camera."""

    low: Array
    high: Array
    centre: Array
    turn: float
    colour: Array
    dark: bool = False


def write_rooms(folder: Path, seed: int, count: int) -> Path:
    """`count` images (96 x 72, colour) in `image/` with their depth in millimetres (16 bits, 0: no reading) in
    `depth/`, and `depth.json`. x is to the right, y down, z ahead; depth is z. The same seed and count give the same
    files."""
    random = np.random.default_rng(seed)
    for name in ("image", "depth"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, depth = room(random)
        Image.fromarray(image).save(folder / "image" / f"{number:05}.png")
        stored = np.nan_to_num(np.round(depth * MILLIMETRE), nan=0).astype(np.uint16)
        Image.fromarray(stored).save(folder / "depth" / f"{number:05}.png")
    (folder / "depth.json").write_text(json.dumps({"unit": "m", "scale": MILLIMETRE}) + "\n", "utf-8")
    return folder


def room(random: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One room drawn at random: the image (72, 96, 3) and its depth (72, 96) in metres, NaN where it gives none."""
    rays = _rays(pitch=random.uniform(0.05, 0.35), yaw=random.uniform(-0.3, 0.3))
    wide, deep = random.uniform(1.5, 3.0), random.uniform(2.5, 6.0)
    shell = Box(
        np.array([-wide, -1.2, -1.0]), np.array([wide, 1.4, deep]), np.zeros(3), 0.0, random.uniform(90, 220, 3)
    )
    depth, normal, place = _inside(rays, shell)
    tiles = np.floor(place / TILE + 1e-6).sum(axis=-1) % 2
    colour = shell.colour * (0.8 + 0.2 * tiles[..., None]) * np.where(np.abs(normal[..., 1:2]) > 0, 0.75, 1.0)
    dark = np.zeros(depth.shape, np.bool_)
    for _ in range(random.integers(2, 6)):
        box = _furniture(random, wide, deep)
        entered, facing = _outside(rays, box)
        nearer = entered < depth
        depth = np.where(nearer, entered, depth)
        normal = np.where(nearer[..., None], facing, normal)
        colour = np.where(nearer[..., None], box.colour, colour)
        dark = np.where(nearer, box.dark, dark)
    image = _shade(colour, normal, rays * depth[..., None], random)
    return image, np.where(dark, np.nan, depth).astype(np.float32)


def _rays(*, pitch: float, yaw: float) -> Array:
    """(H, W, 3): where each pixel looks, of length 1 along the camera's axis, so that distance along it is depth."""
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL
    y = (np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL
    across, down = np.meshgrid(x, y)
    down, ahead = down * math.cos(pitch) + math.sin(pitch), math.cos(pitch) - down * math.sin(pitch)
    across, ahead = across * math.cos(yaw) + ahead * math.sin(yaw), ahead * math.cos(yaw) - across * math.sin(yaw)
    return np.stack([across, down, ahead], axis=-1)


def _furniture(random: np.random.Generator, wide: float, deep: float) -> Box:
    half = random.uniform(0.15, 0.5, 3)
    centre = np.array([random.uniform(-0.8, 0.8) * wide, 1.4 - half[1], random.uniform(1.2, deep - 0.3)])
    colour = random.uniform(30, 240, 3)
    dark = bool(random.random() < 0.12)
    return Box(-half, half, centre, random.uniform(0, math.pi / 2), np.full(3, 12.0) if dark else colour, dark)


def _slabs(rays: Array, start: Array, box: Box) -> tuple[Array, Array]:
    """(H, W, 3) each: the distances at which a ray enters and leaves the three pairs of planes."""
    with np.errstate(divide="ignore"):
        first, second = (box.low - start) / rays, (box.high - start) / rays
    return np.minimum(first, second), np.maximum(first, second)


def _inside(rays: Array, shell: Box) -> tuple[Array, Array, Array]:
    """Depth, normal and place of the wall that each ray meets from within."""
    leaves = _slabs(rays, np.zeros(3), shell)[1]
    depth = leaves.min(axis=-1)
    normal = np.eye(3)[leaves.argmin(axis=-1)] * -np.sign(rays)
    return depth, normal, rays * depth[..., None]


def _outside(rays: Array, box: Box) -> tuple[Array, Array]:
    """Depth (infinite where the ray misses) and normal of a box seen from outside."""
    cos, sin = math.cos(box.turn), math.sin(box.turn)
    own = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])  # room -> box
    enters, leaves = _slabs(rays @ own.T, own @ -box.centre, box)
    depth = enters.max(axis=-1)
    hit = (depth < leaves.min(axis=-1)) & (depth > 0)
    normal = np.eye(3)[enters.argmax(axis=-1)] * -np.sign(rays @ own.T)
    return np.where(hit, depth, np.inf), normal @ own


def _shade(colour: Array, normal: Array, place: Array, random: np.random.Generator) -> NDArray[np.uint8]:
    """Light from a lamp below the ceiling that falls off with distance, and a camera's noise."""
    lamp = np.array([random.uniform(-1, 1), -1.0, random.uniform(0.5, 2.0)])
    towards = lamp - place
    distance = np.linalg.norm(towards, axis=-1, keepdims=True)
    facing = np.clip((normal * towards).sum(axis=-1, keepdims=True) / np.maximum(distance, 1e-6), 0, 1)
    light = 0.35 + 0.9 * facing / (1 + 0.15 * distance**2)
    noise = random.normal(0, 3, colour.shape)
    return np.asarray(np.clip(np.round(colour * light + noise), 0, 255), np.uint8)
