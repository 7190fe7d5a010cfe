"""Small pictures inside the page: thumbnails, saliency laid over them, figures for light and dark ground."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from manako.decode import open_image
from manako.figures import Figure
from manako.figures.colours import magnitude
from manako.types import Sample

DRAWN = 480  # pixels of the longer side of a picture with something drawn on it
SIDE = 320  # pixels of a thumbnail's longer side
_TINY = 96  # a smaller image is shown pixel by pixel
_COLUMN = 640  # pixels; a wider figure gets the page's whole width
_NARROW = 0.6  # a figure is shrunk to this part of its width on a small screen; then it scrolls


def thumbnail(sample: Sample, *, max_pixels: int) -> Image.Image:
    """The image, at most SIDE pixels a side."""
    image = open_image(sample.image, sample.frame, max_pixels=max_pixels, at_least=(SIDE, SIDE))
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image.convert("RGB")


def reduced(image: Image.Image) -> Image.Image:
    """A drawn picture, at most DRAWN pixels a side."""
    if max(image.size) <= DRAWN:
        return image
    image = image.copy()
    image.thumbnail((DRAWN, DRAWN), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return image


def overlay(image: Image.Image, found: NDArray[np.float32]) -> Image.Image:
    """`found` (height, width) 0..1 as colours over a grey version of the image, stronger where it is higher."""
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32) * 0.75
    share = 0.15 + 0.65 * found[..., None]
    mixed = grey * (1 - share) + magnitude(found).astype(np.float32) * share
    return Image.fromarray(mixed.round().astype(np.uint8))


def embedded(image: Image.Image, alt: str) -> dict[str, Any]:
    """An `img` of the template: the picture as a data URL."""
    tiny = max(image.size) < _TINY
    file = io.BytesIO()
    if tiny:
        image.save(file, "PNG")
    else:
        image.save(file, "JPEG", quality=82, optimize=True)
    kind = "png" if tiny else "jpeg"
    data = f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return {"data": data, "width": image.width, "height": image.height, "alt": alt, "tiny": tiny}


def embedded_file(path: Path, alt: str) -> dict[str, Any]:
    """An `img` of a file as it is (PNG or GIF, which may move)."""
    raw = path.read_bytes()
    with Image.open(io.BytesIO(raw)) as image:
        width, height, kind = image.width, image.height, str(image.format).lower()
    data = f"data:image/{kind};base64,{base64.b64encode(raw).decode('ascii')}"
    return {"data": data, "width": width, "height": height, "alt": alt, "tiny": False}


def figure_parts(figure: Figure) -> dict[str, Any]:
    """A figure for the template: its title as a heading, each panel by itself, so that panels wrap on a phone."""
    parts: list[dict[str, Any]] = []
    for panel in figure.panels:
        alone = replace(figure, panels=[panel], title="", note="", description=figure.spoken())
        light = alone.svg()
        width = float(_width(light))
        least = round(width * _NARROW)
        parts.append(
            {
                "light": Markup(light),
                "dark": Markup(alone.svg(dark=True)),
                "width": round(width),
                "least": least,
                "label": panel.title or figure.title,
            }
        )
    wide = sum(part["width"] for part in parts) > _COLUMN
    return {"title": figure.title, "note": figure.note, "parts": parts, "wide": wide}


def _width(svg: str) -> str:
    found = re.search(r'<svg [^>]*? width="([\d.]+)"', svg)
    assert found
    return found.group(1)
