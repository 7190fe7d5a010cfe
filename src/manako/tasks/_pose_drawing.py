"""Subjects drawn as skeletons: the side tells the colour, the score how solid a point or limb is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from manako.types import Poses

Rgb = tuple[int, int, int]
# Told apart by every kind of colour vision (Okabe and Ito): blue, orange, white for what lies in the middle.
_SIDES: dict[str, Rgb] = {"left": (86, 180, 233), "right": (240, 128, 60), "": (255, 255, 255)}
_EDGE = (20, 23, 28)
_TRUTH = (240, 228, 66)
SMALLEST = 0.25  # part of a picture's side that is enlarged at most
_FAINTEST = 0.3  # opacity of a point with score 0
_SMOOTH = 2  # drawn larger and reduced: Pillow draws without antialiasing


def draw_poses(
    image: Image.Image,
    poses: Poses,
    limbs: Sequence[tuple[int, int]],
    sides: Sequence[str],
    *,
    truth: Poses | None = None,
) -> Image.Image:
    """A copy with the subjects, and the true points as yellow crosses. sides: "left", "right" or "" of each point."""
    picture = image.convert("RGB")
    size = max(1.0, min(picture.size) / 240) * _SMOOTH
    layer = Image.new("RGBA", (picture.width * _SMOOTH, picture.height * _SMOOTH), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for xy, score in zip(poses.xy * _SMOOTH, poses.score, strict=True):
        _draw_limbs(draw, xy, score, limbs, sides, size)
        _draw_points(draw, xy, score, sides, size)
    if truth is not None:
        _draw_crosses(draw, truth, size)
    layer = layer.resize(picture.size, Image.Resampling.BOX)
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def _draw_limbs(
    draw: ImageDraw.ImageDraw,
    xy: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    score: np.ndarray[tuple[int], np.dtype[np.float32]],
    limbs: Sequence[tuple[int, int]],
    sides: Sequence[str],
    size: float,
) -> None:
    for start, end in limbs:
        if not np.isnan(xy[[start, end]]).any():
            line = (*xy[start].tolist(), *xy[end].tolist())
            opacity = _opacity(float(min(score[start], score[end])))
            draw.line(line, (*_EDGE, opacity), round(3.4 * size))
            draw.line(line, (*_SIDES[_side(sides[start], sides[end])], opacity), round(1.8 * size))


def _side(one: str, other: str) -> str:
    """A limb between the sides belongs to neither; one from the middle to a side belongs to that side."""
    return one or other if one == other or not (one and other) else ""


def _draw_points(
    draw: ImageDraw.ImageDraw,
    xy: np.ndarray[tuple[int, int], np.dtype[np.float32]],
    score: np.ndarray[tuple[int], np.dtype[np.float32]],
    sides: Sequence[str],
    size: float,
) -> None:
    radius = 2.6 * size
    for (x, y), value, side in zip(xy.tolist(), score.tolist(), sides, strict=True):
        if x == x:  # not NaN
            opacity = _opacity(value)
            box = (x - radius, y - radius, x + radius, y + radius)
            draw.ellipse(box, (*_SIDES[side], opacity), (*_EDGE, opacity), max(1, round(0.9 * size)))


def _draw_crosses(draw: ImageDraw.ImageDraw, truth: Poses, size: float) -> None:
    reach = 2.8 * size
    for x, y in (truth.xy * _SMOOTH)[truth.score > 0].tolist():
        for colour, thick in ((_EDGE, 2.4), (_TRUTH, 1.2)):
            for slope in (-1, 1):
                line = (x - reach, y - slope * reach, x + reach, y + slope * reach)
                draw.line(line, (*colour, 255), round(thick * size))


def around_subjects(picture: Image.Image, boxes: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Image.Image:
    """The part that holds all `boxes` (N, 4), in the picture's shape, enlarged to its size."""
    if not len(boxes):
        return picture
    size = np.array(picture.size, np.float64)
    low, high = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    share = min(1.0, max(SMALLEST, float(((high - low) / size).max())))
    start = np.clip((low + high) / 2 - share * size / 2, 0, (1 - share) * size)
    part = (*start.tolist(), *(start + share * size).tolist())
    return picture.resize(picture.size, Image.Resampling.BICUBIC, part)


def _opacity(score: float) -> int:
    return round(255 * (_FAINTEST + (1 - _FAINTEST) * min(max(score, 0.0), 1.0)))
