"""One mask on disk: which class each stored number or colour means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.decode import open_stored
from manako.errors import ImageError, LabelError
from manako.types import IGNORE, Segmentation

MOST_COLOURS = 1024  # a mask with more was smoothed, or is a photograph
Ids = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Stored:
    """What a mask holds. counts: pixels of each value, or of each colour (`packed`) where it is coloured.

    palette: colours (`packed`) of an indexed mask, by index.
    """

    height: int
    width: int
    counts: Mapping[int, int]
    coloured: bool = False
    palette: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Coding:
    """Values and colours -> class ids, IGNORE for all others. by_colour: grey and indexed masks, too, are taken by
    their colours."""

    values: Mapping[int, int] = field(default_factory=dict)
    colours: Mapping[int, int] = field(default_factory=dict)
    by_colour: bool = False

    def known(self, stored: Stored) -> Mapping[int, int]:
        return self.colours if stored.coloured else self.values

    def decode(self, image: Image.Image) -> Ids:
        """(H, W) uint8."""
        numbers, coloured = _numbers(image, by_colour=self.by_colour)
        if not coloured:
            table = np.full(256, IGNORE, np.uint8)
            table[list(self.values)] = list(self.values.values())
            ids: Ids = table[numbers]
            return ids
        known = np.array(sorted(self.colours), np.int32)
        if not len(known):
            return np.full(numbers.shape, IGNORE, np.uint8)
        ids = np.array([self.colours[colour] for colour in known.tolist()], np.uint8)
        place = np.searchsorted(known, numbers).clip(max=len(known) - 1)
        return np.where(known[place] == numbers, ids[place], np.uint8(IGNORE))


@dataclass(frozen=True, eq=False)
class MaskFile:
    """Truth that is read when it is needed. hidden: masks of the same size; pixels where one is 0 (or, where `True`
    stands with it, where it isn't 0) are IGNORE. ids: what each class became."""

    path: Path
    coding: Coding
    hidden: tuple[tuple[Path, bool], ...] = ()
    ids: NDArray[np.int64] | None = None

    def load(self) -> Segmentation:
        """Raises LabelError."""
        class_id = self.coding.decode(open_mask(self.path))
        for path, where in self.hidden:
            image = open_mask(path)
            if image.size != class_id.shape[::-1]:
                facts = {"width": image.width, "height": image.height}
                wanted = {"image_width": class_id.shape[1], "image_height": class_id.shape[0]}
                raise LabelError("masks.size", file=path, **facts, **wanted)
            class_id[(np.asarray(image.convert("L")) > 0) == where] = IGNORE
        truth = Segmentation(class_id)
        return truth if self.ids is None else truth.relabel(self.ids)

    def relabel(self, ids: NDArray[np.int64]) -> MaskFile:
        return replace(self, ids=ids if self.ids is None else ids[self.ids])


def open_mask(path: Path) -> Image.Image:
    """As it is stored. Raises LabelError."""
    try:
        return open_stored(path)
    except ImageError as error:
        raise LabelError(error.code, **error.facts) from None


def look(path: Path, *, by_colour: bool) -> Stored:
    """What the mask holds. by_colour: colours are counted in any case. Raises LabelError: unreadable, or no mask."""
    image = open_mask(path)
    numbers, coloured = _numbers(image, by_colour=by_colour)
    if coloured:
        found = image.convert("RGB").getcolors(MOST_COLOURS)
        if found is None:
            raise LabelError("masks.many_colours", file=path, most=MOST_COLOURS)
        counts = {packed(*colour): count for count, colour in found if isinstance(colour, tuple)}
    else:
        if numbers.max(initial=0) > IGNORE or numbers.min(initial=0) < 0:
            raise LabelError("masks.deep", file=path, largest=int(numbers.max()))
        each = Image.fromarray(numbers.astype(np.uint8)).histogram()
        counts = {value: count for value, count in enumerate(each) if count}
    palette = tuple(packed(*c) for c in _palette(image)) if image.mode == "P" else ()
    return Stored(image.height, image.width, counts, coloured, palette)


def packed(red: int, green: int, blue: int) -> int:
    """A colour as one number."""
    return red << 16 | green << 8 | blue


def unpacked(colour: int) -> tuple[int, int, int]:
    return colour >> 16, colour >> 8 & 255, colour & 255


def _palette(image: Image.Image) -> list[tuple[int, int, int]]:
    flat = image.getpalette() or []
    return [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat) - 2, 3)]


def _numbers(image: Image.Image, *, by_colour: bool) -> tuple[NDArray[Any], bool]:
    """(H, W) stored values, or colours as one number each, and whether they are colours. Grey stored in three equal
    channels is grey."""
    if image.mode in ("LA", "La", "PA"):
        image = image.getchannel(0)
    if image.mode in ("RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "LAB", "HSV") or by_colour:
        pixels = np.asarray(image.convert("RGB"))
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        if not by_colour and np.array_equal(red, green) and np.array_equal(red, blue):
            return red, False
        return red.astype(np.int32) << 16 | green.astype(np.int32) << 8 | blue, True
    numbers = np.asarray(image)
    return numbers.astype(np.uint8) if numbers.dtype == np.bool_ else numbers, False
