"""How made images are shown: one with its class below, or many on a contact sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures.words import shorten
from manako.fonts import draw_text
from manako.types import Generated, Prediction

SMALLEST = 96  # pixels; smaller images are enlarged by whole factors
_GROUND, _TEXT = (20, 23, 28), (255, 255, 255)
_GAP = 2


def picture(made: Generated) -> Image.Image:
    image = made.image
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def captioned(made: Generated, name: str, width: int) -> Image.Image:
    """At least `width` pixels wide."""
    image = _enlarged(picture(made).convert("RGB"), max(width, SMALLEST))
    size = max(12.0, image.width / 16)
    result = Image.new("RGB", (image.width, image.height + round(size * 1.8)), _GROUND)
    result.paste(image)
    pen, base = ImageDraw.Draw(result), image.height + size * 1.25
    draw_text(pen, size / 2, base, shorten(name, size, image.width - size), size=size, fill=_TEXT)
    return result


def contact_sheet(made: Sequence[Generated]) -> Image.Image:
    """All of them in rows, in order; small ones enlarged."""
    columns = math.ceil(math.sqrt(len(made)))
    images = [_enlarged(picture(one).convert("RGB"), 64) for one in made]
    width, height = images[0].size
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + _GAP) + _GAP), _GROUND)
    for place, image in enumerate(images):
        row, column = divmod(place, columns)
        sheet.paste(image, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet


def side_by_side(made: Generated, real: Prediction | None) -> NDArray[np.uint8]:
    """(H, 2 W, 3): the made image, and the real one at its size."""
    assert isinstance(real, Generated)
    left = picture(made).convert("RGB")
    right = picture(real).convert("RGB").resize(left.size, Image.Resampling.BICUBIC, reducing_gap=3.0)
    return np.concatenate([np.asarray(left), np.asarray(right)], 1)


def _enlarged(image: Image.Image, width: int) -> Image.Image:
    factor = -(-width // image.width)
    if factor <= 1:
        return image
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
