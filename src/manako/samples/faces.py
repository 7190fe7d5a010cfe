"""Drawn faces with exact truth: 68 points each (the iBUG convention), heads that turn and nod, eyes that blink.

They stand in for a person's own face data where points of eyes and heads are learned or shown.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Array = NDArray[np.float64]
Colour = tuple[int, int, int]
Span = tuple[float, float]
OPEN, CLOSED = 0.34, 0.06  # height of an eye over its width
LID = 0.08  # seconds in which a lid goes up or down
NAMES = (
    *(f"jaw_{i}" for i in range(1, 18)),
    *(f"right_brow_{i}" for i in range(1, 6)),
    *(f"left_brow_{i}" for i in range(1, 6)),
    *(f"nose_bridge_{i}" for i in range(1, 4)), "nose_tip",
    *(f"nostril_{i}" for i in range(1, 6)),
    *(f"right_eye_{i}" for i in range(1, 7)),
    *(f"left_eye_{i}" for i in range(1, 7)),
    "mouth_right", *(f"upper_lip_{i}" for i in range(1, 6)), "mouth_left", *(f"lower_lip_{i}" for i in range(1, 6)),
    *(f"inner_lip_{i}" for i in range(1, 9)),
)  # fmt: skip
# Which points change places in a mirror image, counted from 0.
FLIPS = (
    *((i, 16 - i) for i in range(8)), *((17 + i, 26 - i) for i in range(5)), (31, 35), (32, 34),
    (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
    (48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67),
)  # fmt: skip
_RINGS = ((36, 42), (42, 48), (48, 60), (60, 68))  # points that go round: eyes, lips
_LINES = ((0, 17), (17, 22), (22, 27), (27, 31), (31, 36))
LIMBS = tuple((i, i + 1) for first, end in (*_LINES, *_RINGS) for i in range(first, end - 1))
LIMBS += tuple((end - 1, first) for first, end in _RINGS)
SIGMA = 0.02
_OVERSAMPLING = 3
_FACE = 190.0  # millimetres that a picture's shorter side shows at most


@dataclass(frozen=True, eq=False)
class Look:
    """How one person's pictures look. scale: pixels a millimetre."""

    skin: Colour
    hair: Colour
    iris: Colour
    ground: Colour
    scale: float


@dataclass(frozen=True)
class Pose:
    """Degrees as in `runtime.face`; the nose's place in pixels; how far the eyes are open, as their aspect ratio."""

    yaw: float
    pitch: float
    roll: float
    x: float
    y: float
    eyes: float


def write_faces(folder: Path, *, seed: int, count: int, size: tuple[int, int] = (128, 128)) -> Path:
    """`count` PNG files of (height, width) `size`, one face each, and COCO key points of them. A third has its eyes
    closed or nearly so. The same arguments give the same files."""
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "annotations").mkdir(exist_ok=True)
    images, entries = [], []
    for number in range(count):
        name = f"{number:05}.png"
        picture, xy = draw_face(random, new_look(random, size), _any_pose(random, size), size)
        picture.save(folder / "images" / name)
        images.append({"id": number + 1, "file_name": name, "height": size[0], "width": size[1]})
        low, high = xy.min(0), xy.max(0)
        flat = [value for x, y in xy.round(2).tolist() for value in (x, y, 2)]
        box = [*low.round(2).tolist(), *(high - low).round(2).tolist()]
        about = {"id": number + 1, "image_id": number + 1, "category_id": 1, "iscrowd": 0}
        area = round(float((high - low).prod()), 2)
        entries.append(about | {"keypoints": flat, "num_keypoints": len(NAMES), "bbox": box, "area": area})
    pairs = {name: [[a + 1, b + 1] for a, b in some] for name, some in (("skeleton", LIMBS), ("flips", FLIPS))}
    category = {"id": 1, "name": "face", "keypoints": NAMES, "sigmas": [SIGMA] * len(NAMES), **pairs}
    content = {"images": images, "annotations": entries, "categories": [category]}
    (folder / "annotations" / "keypoints.json").write_text(json.dumps(content), "utf-8")
    return folder


def face_video(
    *, seed: int, seconds: float, blinks: Sequence[Span], rate: float = 20.0, size: tuple[int, int] = (128, 128)
) -> Iterator[tuple[Image.Image, Array]]:
    """The pictures of one person who moves a little and has closed eyes in the spans `blinks` (seconds), with their
    points (68, 2)."""
    random = np.random.default_rng(seed)
    look = new_look(random, size)
    phase = random.uniform(0, 2 * math.pi, 4)
    for number in range(round(seconds * rate)):
        time = number / rate
        sway = np.sin(phase + 2 * math.pi * time * np.array([0.11, 0.17, 0.07, 0.13]))
        x, y = size[1] / 2 + 0.04 * size[1] * sway[3], size[0] * (0.5 + 0.03 * sway[0])
        pose = Pose(18 * sway[0], 8 * sway[1], 6 * sway[2], x, y, openness(time, blinks))
        yield draw_face(random, look, pose, size)


def openness(time: float, blinks: Sequence[Span]) -> float:
    """The aspect ratio of the eyes: lids begin to fall before a span and have risen after it."""
    away = min((max(start - time, time - end, 0.0) for start, end in blinks), default=math.inf)
    return CLOSED + (OPEN - CLOSED) * min(1.0, away / LID)


def new_look(random: np.random.Generator, size: tuple[int, int]) -> Look:
    skin = np.array([224, 172, 140]) * random.uniform(0.55, 1.08)
    hair, ground = random.integers(10, 90, 3), random.integers(40, 210, 3)
    iris = np.array([(70, 110, 160), (90, 60, 35), (80, 120, 80)][int(random.integers(3))])
    scale = min(size) / _FACE * random.uniform(0.85, 1.05)
    skin = np.minimum(skin, 250)
    return Look(skin=_rgb(skin), hair=_rgb(hair), iris=_rgb(iris), ground=_rgb(ground), scale=scale)


def points(pose: Pose, scale: float) -> Array:
    """(68, 2): where the points are seen from afar."""
    return _seen(_points(pose.eyes), pose, scale)


def draw_face(random: np.random.Generator, look: Look, pose: Pose, size: tuple[int, int]) -> tuple[Image.Image, Array]:
    """A picture and the 68 points in it."""
    xy = points(pose, look.scale)
    canvas = Image.new("RGB", (size[1] * _OVERSAMPLING, size[0] * _OVERSAMPLING), look.ground)
    draw = ImageDraw.Draw(canvas)
    angle = np.linspace(0, math.pi, 17)
    skull = np.stack([66 * np.cos(angle), -30 - 62 * np.sin(angle), np.full(17, 60.0)], 1)
    dark = _shade(look.skin, 0.72)
    _fill(draw, _seen(skull * [1.08, 1.12, 1] + [0, 14, 0], pose, look.scale), look.hair)
    _fill(draw, np.concatenate([xy[:17], _brow_line(pose, look.scale)]), look.skin)
    for first, end in ((17, 22), (22, 27)):
        _line(draw, xy[first:end], look.hair, 4.5 * look.scale)
    _line(draw, xy[27:31], dark, 2.5 * look.scale)
    _line(draw, xy[31:36], dark, 2.5 * look.scale)
    for first in (36, 42):
        _eye(canvas, xy[first : first + 6], look, dark)
    _fill(draw, xy[48:60], _shade((190, 80, 80), sum(look.skin) / 540))
    _line(draw, xy[[60, 61, 62, 63, 64]], _shade(look.skin, 0.4), 1.5 * look.scale)
    small = np.asarray(canvas.resize((size[1], size[0]), Image.Resampling.BOX), np.float32)
    light = random.uniform(0.85, 1.1) + np.linspace(-0.08, 0.08, size[1])[None, :, None]
    noisy = np.clip(np.round(small * light + random.normal(0, 4, small.shape)), 0, 255).astype(np.uint8)
    return Image.fromarray(noisy), xy


def _any_pose(random: np.random.Generator, size: tuple[int, int]) -> Pose:
    yaw, pitch, roll = random.normal(0, (16, 8, 7))
    x, y = size[1] * random.uniform(0.43, 0.57), size[0] * random.uniform(0.44, 0.56)
    eyes = random.uniform(CLOSED, 0.16) if random.uniform() < 1 / 3 else random.uniform(0.24, 0.4)
    return Pose(float(np.clip(yaw, -35, 35)), float(np.clip(pitch, -18, 18)), float(roll), x, y, eyes)


def _points(eyes: float) -> Array:
    """(68, 3) in millimetres from the tip of the nose: x to the person's left, y down, z away from the camera. The six
    points that tell the head's turn are those of `runtime.face.HEAD`."""
    angle = math.pi * np.arange(17) / 16
    jaw = np.stack([-62 * np.cos(angle), -30 + 96 * np.sin(angle), 70 - 55 * np.sin(angle)], 1)
    brow = np.array([(-54, -52, 26), (-46, -58, 21), (-36, -60, 19), (-26, -58, 18), (-16, -54, 17)])
    bridge = np.array([(0, -36, 14), (0, -24, 9), (0, -12, 4), (0, 0, 0)])
    nostrils = np.array([(-14, 9, 14), (-7, 11, 11), (0, 13, 9), (7, 11, 11), (14, 9, 14)])
    half = eyes * 26 / 2
    right = np.array([
        (-44, -36, 28), (-35.5, -36 - half, 26), (-26.5, -36 - half, 25),
        (-18, -36, 26), (-26.5, -36 + half, 25), (-35.5, -36 + half, 26),
    ])  # fmt: skip
    upper = np.array([(-27, 30, 22), (-17, 26, 17), (-6, 24, 14), (0, 25, 13), (6, 24, 14), (17, 26, 17), (27, 30, 22)])
    lower = np.array([(17, 37, 17), (6, 40, 14), (0, 41, 13), (-6, 40, 14), (-17, 37, 17)])
    inner = np.array([(-22, 30, 20), (-7, 30, 15), (0, 31, 14), (7, 30, 15), (22, 30, 20), (7, 33, 15), (0, 34, 14),
                      (-7, 33, 15)])  # fmt: skip
    flip = np.array([-1, 1, 1])
    left = right[[3, 2, 1, 0, 5, 4]] * flip
    return np.concatenate([jaw, brow, brow[::-1] * flip, bridge, nostrils, right, left, upper, lower, inner])


def _seen(places: Array, pose: Pose, scale: float) -> Array:
    """(N, 3) -> (N, 2) pixels: the head nods, then turns, then tilts."""
    yaw, pitch, roll = (math.radians(v) for v in (-pose.yaw, -pose.pitch, pose.roll))
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(v), math.sin(v)) for v in (pitch, yaw, roll))
    nod = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    tilt = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    seen: Array = scale * (places @ (tilt @ turn @ nod).T)[:, :2] + [pose.x, pose.y]
    return seen


def _brow_line(pose: Pose, scale: float) -> Array:
    """The forehead, from the person's left to their right."""
    angle = np.linspace(0, math.pi, 9)
    arc = np.stack([62 * np.cos(angle), -30 - 46 * np.sin(angle), 70 - 50 * np.sin(angle)], 1)
    return _seen(arc, pose, scale)


def _eye(canvas: Image.Image, xy: Array, look: Look, dark: Colour) -> None:
    """White, the iris where the lids leave it free, lids."""
    big = xy * _OVERSAMPLING
    left, top = np.floor(big.min(0)).astype(int) - 1
    wide, tall = np.ceil(big.max(0)).astype(int) + 2 - (left, top)
    ball = Image.new("RGB", (int(wide), int(tall)), (245, 245, 245))
    mask = Image.new("L", ball.size, 0)
    inside = big - (left, top)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in inside.tolist()], 255)
    (x, y), radius = inside[[1, 2, 4, 5]].mean(0), 5.5 * look.scale * _OVERSAMPLING
    pen = ImageDraw.Draw(ball)
    for colour, reach in ((look.iris, radius), ((15, 15, 15), radius * 0.45)):
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), colour)
    canvas.paste(ball, (int(left), int(top)), mask)
    draw = ImageDraw.Draw(canvas)
    _line(draw, xy[[0, 1, 2, 3]], _shade(dark, 0.45), 2.2 * look.scale)
    _line(draw, xy[[3, 4, 5, 0]], dark, 1.2 * look.scale)


def _fill(draw: ImageDraw.ImageDraw, xy: Array, colour: Colour) -> None:
    draw.polygon([tuple(p) for p in (xy * _OVERSAMPLING).tolist()], colour)


def _line(draw: ImageDraw.ImageDraw, xy: Array, colour: Colour, width: float) -> None:
    draw.line([tuple(p) for p in (xy * _OVERSAMPLING).tolist()], colour, max(1, round(width * _OVERSAMPLING)), "curve")


def _shade(colour: Sequence[float], factor: float) -> Colour:
    return _rgb(np.array(colour) * factor)


def _rgb(values: NDArray[np.generic]) -> Colour:
    r, g, b = np.clip(np.asarray(values, np.float64), 0, 255).astype(int).tolist()
    return r, g, b
