"""Maps of classes drawn for people: over the image, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.figures.regions import FALSE, FOUND, MISSED, OTHER, mask_colours, mistakes, overlay, resized, with_legend
from manako.messages import message

_MOST_NAMES = 12
_SEEN = 5e-4  # part of an image below which a class is not named
_GAP = 4


def overlay_picture(
    image: Image.Image, ids: NDArray[np.uint8], classes: Sequence[str], *, plain: int | None
) -> Image.Image:
    """plain: the class that stays uncoloured. Names of the classes that occur, largest first, stand below."""
    shares = np.bincount(ids.ravel(), minlength=256)[: len(classes)] / max(1, ids.size)
    order = [i for i in np.argsort(-shares, kind="stable").tolist() if shares[i] >= _SEEN and i != plain]
    colours = mask_colours()
    if plain is None:
        colours[0] = (90, 97, 107)
    entries = [(f"{classes[i]} {100 * shares[i]:.1f} %", _rgb(colours[i])) for i in order[:_MOST_NAMES]]
    return with_legend(overlay(image, ids, plain=plain), entries or [(message("segmentation.nothing"), (0, 0, 0))])


def mistake_picture(
    image: Image.Image, prediction: NDArray[np.uint8], truth: NDArray[np.uint8], *, plain: int | None
) -> Image.Image:
    """The map of mistakes at the image's size, with a legend."""
    sizes = (image.width, image.height)
    picture = mistakes(resized(truth, *sizes), resized(prediction, *sizes), plain=plain)
    used = {colour for _, colour in picture.getcolors(16) or ()}
    named = (("right", FOUND), ("missed", MISSED), ("false", FALSE), ("other_class", OTHER))
    return with_legend(picture, [(message(f"segmentation.{name}"), colour) for name, colour in named if colour in used])


def side_by_side(pictures: Sequence[Image.Image]) -> Image.Image:
    width = sum(picture.width for picture in pictures) + _GAP * (len(pictures) - 1)
    result = Image.new("RGB", (width, max(picture.height for picture in pictures)), (20, 23, 28))
    left = 0
    for picture in pictures:
        result.paste(picture, (left, 0))
        left += picture.width + _GAP
    return result


def _rgb(colour: NDArray[np.uint8]) -> tuple[int, int, int]:
    red, green, blue = colour.tolist()
    return red, green, blue
