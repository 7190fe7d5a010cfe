"""Objects drawn on an image: a box in the colour of the class, the name and the score beside it, the region tinted.

Colour is never the only sign: each box has its name, and a thin line of the other brightness around it, so that it
shows on any ground.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures.colours import LIGHT, Rgb, class_style, readable_on
from manako.figures.words import shorten
from manako.fonts import draw_text, text_width
from manako.regions import mask_of
from manako.types import Detections, Outline

SMALLEST = 384  # pixels of the longer side; a smaller image is enlarged, so that names can be read
_TINT = 0.35
_LONGEST = 14  # of a name, in heights of the letters

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Pen:
    """width of the lines and size of the letters, in pixels."""

    width: int
    size: float

    @classmethod
    def of(cls, image: Image.Image) -> _Pen:
        side = (image.width * image.height) ** 0.5
        return cls(max(3, round(side / 260)), min(max(12.0, side / 42), 48.0))


def draw_objects(
    image: Image.Image, found: Detections, classes: Sequence[str], *, truth: Detections | None = None
) -> Image.Image:
    """A copy of `image` (RGB), at least SMALLEST pixels long, with all objects of `found`; those of `truth` as thin
    dashed boxes without names."""
    factor = max(1, -(-SMALLEST // max(image.size)))
    picture = image.convert("RGB")
    if found.outlines is not None:
        picture = _tinted(picture, found.outlines, found.class_id)
    if factor > 1:
        picture = picture.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    elif picture is image:
        picture = image.copy()
    draw, pen = ImageDraw.Draw(picture), _Pen.of(picture)
    boxes = [_whole(box, factor, picture) for box in found.xyxy.tolist()]
    for box in [] if truth is None else (truth.xyxy * factor).tolist():
        _dashed(draw, box, pen)
    order = np.argsort(found.score, kind="stable").tolist()  # the surest on top
    for i in order:
        _frame(draw, boxes[i], class_colour(int(found.class_id[i])), pen.width)
    taken: list[Box] = []
    for i in reversed(order):
        text = _text(classes[int(found.class_id[i])], float(found.score[i]), _track(found, i), pen.size)
        _name(draw, boxes[i], text, class_colour(int(found.class_id[i])), pen, picture, taken)
    return picture


def class_colour(class_id: int) -> Rgb:
    return LIGHT(class_style(class_id)[0])


def _track(found: Detections, index: int) -> int | None:
    return None if found.track is None else int(found.track[index])


def _text(name: str, score: float, track: int | None, size: float) -> str:
    short = shorten(name, size, _LONGEST * size)
    number = "" if track is None else f"#{track} "
    return f"{number}{short}" if score == 1.0 else f"{number}{short} {100 * score:.0f}"


def _whole(box: Sequence[float], factor: int, picture: Image.Image) -> Box:
    left, top, right, bottom = (round(side * factor) for side in box)
    right, bottom = min(right, picture.width - 1), min(bottom, picture.height - 1)
    return min(max(left, 0), right), min(max(top, 0), bottom), right, bottom


def _frame(draw: ImageDraw.ImageDraw, box: Box, colour: Rgb, width: int) -> None:
    left, top, right, bottom = box
    draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=readable_on(colour))
    if right - left > 2 * width + 2 and bottom - top > 2 * width + 2:
        draw.rectangle((left + width, top + width, right - width, bottom - width), outline=readable_on(colour))
    draw.rectangle(box, outline=colour, width=width)


def _dashed(draw: ImageDraw.ImageDraw, box: Sequence[float], pen: _Pen) -> None:
    left, top, right, bottom = box
    step = 4.0 * pen.width
    for start, end in (((left, top), (right, top)), ((right, top), (right, bottom))):
        for shift in ((0.0, 0.0), (0.0, bottom - top) if start[1] == end[1] else (left - right, 0.0)):
            a, b = np.array(start) + shift, np.array(end) + shift
            length = float(np.linalg.norm(b - a))
            for i, at in enumerate(np.arange(0, length, step)):
                ends = [a + (b - a) * min(part, length) / length for part in (at, at + step)]
                colour = (255, 255, 255) if i % 2 else (0, 0, 0)
                draw.line([tuple(point.tolist()) for point in ends], fill=colour, width=pen.width)


def _name(
    draw: ImageDraw.ImageDraw,
    box: Box,
    text: str,
    colour: Rgb,
    pen: _Pen,
    picture: Image.Image,
    taken: list[Box],
) -> None:
    """Where it hides no other name; left out where it would at each place, or where it is far larger than its box."""
    wide, high = text_width(text, pen.size) + 0.6 * pen.size, 1.3 * pen.size
    left, top, right, bottom = box
    if wide > 6 * max(right - left, bottom - top):
        return
    places = [(left, top - high), (left, top), (left, bottom), (right - wide, top - high), (right - wide, bottom)]
    for x, y in places:
        x = min(max(x, 0.0), max(picture.width - wide, 0.0))
        plate = (x, y, x + wide, y + high)
        inside = y >= 0 and y + high <= picture.height
        if inside and not any(_touch(plate, other) for other in taken):
            taken.append(plate)
            draw.rectangle(plate, fill=colour)
            ink = readable_on(colour)
            draw_text(draw, x + 0.3 * pen.size, y + pen.size, text, size=pen.size, fill=ink, bold=True)
            return


def _touch(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _tinted(picture: Image.Image, outlines: Sequence[Outline | None], class_id: NDArray[np.int64]) -> Image.Image:
    """The regions in their classes' colours, mixed with the image."""
    pixels = np.asarray(picture).astype(np.float32)
    for outline, kind in zip(outlines, class_id.tolist(), strict=True):
        if outline is not None:
            mask = mask_of(outline, picture.height, picture.width)
            pixels[mask] = (1 - _TINT) * pixels[mask] + _TINT * np.array(class_colour(kind), np.float32)
    return Image.fromarray(pixels.round().astype(np.uint8))
