"""How an anomaly is shown: the heat map over the image, on one scale for all images, and outlines of what is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from manako.figures.colours import magnitude
from manako.tasks._regions import regions_above

_BOX, _TRUTH = (213, 94, 0), (86, 180, 233)


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """`values` (H, W) at `size` (width, height)."""
    if values.shape == size[::-1]:
        return values
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR))


def with_heat(image: Image.Image, heatmap: NDArray[np.float32], threshold: float = 0.5) -> Image.Image:
    """The heat map, 0..1, over a grey version of the image; regions over the threshold in boxes.

    Unremarkable places stay grey: the colours begin at 0.25, half the threshold that was measured.
    """
    heat = resized(heatmap, image.size)[..., None]
    grey = np.asarray(image.convert("L").convert("RGB"), np.float32)
    share = 0.75 * np.clip((heat - 0.25) / 0.25, 0, 1)
    mixed = grey * (1 - share) + magnitude(heat[..., 0]).astype(np.float32) * share
    result = Image.fromarray(mixed.round().astype(np.uint8))
    pen, thick = ImageDraw.Draw(result), _thickness(image)
    for region in regions_above(heat[..., 0], threshold)[:50]:
        left, top, right, bottom = region.xyxy
        pen.rectangle((left - thick, top - thick, right + thick - 1, bottom + thick - 1), None, _BOX, thick)
    return result


def with_outline(image: Image.Image, heatmap: NDArray[np.float32] | None) -> Image.Image:
    """A copy of the image with the edge of what is marked (over 0.5)."""
    result = image.convert("RGB")
    if heatmap is None:
        return result
    marked = Image.fromarray(((resized(heatmap, image.size) > 0.5) * 255).astype(np.uint8))
    around = np.asarray(marked.filter(ImageFilter.MaxFilter(2 * _thickness(image) + 1)))
    edge = Image.fromarray(((around > 0) & (np.asarray(marked) == 0)).astype(np.uint8) * 255)
    result.paste(_TRUTH, (0, 0, *result.size), edge)
    return result


def _thickness(image: Image.Image) -> int:
    return max(1, round(max(image.size) / 250))
