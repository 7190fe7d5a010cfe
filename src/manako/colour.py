"""Whatever a file holds (ink, palettes, 16 bits, floats, transparency) as 8-bit colour or grey."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PpmImagePlugin import PpmImageFile

_SIXTEEN_TO_EIGHT = np.round(np.arange(65536) / 257).astype(np.uint8)


def eight_bit_colour(raw: ImageFile) -> Image.Image:
    """A decoded file in any of Pillow's modes as "RGB", or "L" when it is grey."""
    if raw.mode == "CMYK" and isinstance(raw, JpegImageFile) and "adobe" not in raw.info:
        # Adobe's CMYK JPEGs are stored inverted and Pillow takes all for Adobe's; without the marker they aren't.
        return ImageChops.invert(raw).convert("RGB")
    if raw.mode[0] in "IF":
        return Image.fromarray(_eight_bit(np.asarray(raw), isinstance(raw, PpmImageFile)))
    if raw.has_transparency_data:
        return _over_white(raw)
    if raw.mode in ("L", "RGB"):
        return raw.copy()
    return raw.convert("L" if raw.mode == "1" else "RGB")


def _over_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("L", "LA", "La", "1")
    image = image.convert("LA" if grey else "RGBA")
    alpha = image.getchannel("A")
    colour = image.convert("L" if grey else "RGB")
    if alpha.getextrema() == (255, 255):
        return colour
    white = Image.new(colour.mode, colour.size, "white")
    white.paste(colour, mask=alpha)
    return white


def _eight_bit(values: NDArray[np.generic], sixteen: bool) -> NDArray[np.uint8]:
    """Deeper grey to 8 bits. 16 bits keep their full range, so that images of one set stay comparable.

    Files of 32-bit integers and floats don't say their range: 0..1, 0..255 and 0..65535 are recognised, anything
    else is stretched between its smallest and largest value; NaN is black.
    """
    if values.dtype.itemsize == 2:
        return _SIXTEEN_TO_EIGHT[values.astype(np.uint16)]
    numbers = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    top = 65535.0 if sixteen else next((limit for limit in (1.0, 255.0, 65535.0) if high <= limit), high)
    if values.dtype.kind == "i" and not sixteen and high <= 255:
        top = 255.0
    if low < 0 or high > 65535:
        numbers, top = numbers - low, max(high - low, 1e-12)
    return np.round(numbers * (255 / top)).clip(0, 255).astype(np.uint8)
