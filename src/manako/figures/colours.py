"""The colours of the design system: palettes for light and dark ground, and two colour scales.

Colour is never the only sign: each series has a dash pattern or a marker of its own as well, and a label.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

Rgb = tuple[int, int, int]
Dash = tuple[float, ...]  # lengths in pixels, drawn and left out by turns; () is a solid line

DASHES: tuple[Dash, ...] = ((), (6, 4), (2, 3), (9, 3, 2, 3), (12, 4), (1, 4))
MARKERS = ("circle", "triangle", "square", "diamond", "cross", "ring")
SERIES_DASHES: dict[str, Dash] = {"train": (), "validation": (6, 4), "test": (2, 3)}


@dataclass(frozen=True)
class Palette:
    """Colours by the names that marks use; "1" to "6" are the classes."""

    names: dict[str, str] = field(hash=False)

    def __call__(self, colour: str) -> Rgb:
        """(r, g, b), 0..255, of a name of the palette or of "#rrggbb". Raises ValueError for anything else."""
        text = self.names.get(colour, colour)
        if len(text) != 7 or text[0] != "#":
            raise ValueError(f"colour must be #rrggbb or one of {', '.join(self.names)}, not {colour!r}")
        return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


LIGHT = Palette(
    {
        "ground": "#FFFFFF", "raised": "#F6F7F9", "line": "#D5DAE0", "text": "#1B1F24", "secondary": "#5A626C",
        "train": "#0072B2", "validation": "#D55E00", "test": "#1D1E25", "negative": "#0B5CAD", "positive": "#D55E00",
        "1": "#0E47DD", "2": "#AA3329", "3": "#0EA68F", "4": "#9E6DC4", "5": "#1D1E25", "6": "#C98000",
    }
)  # fmt: skip
DARK = Palette(
    {
        "ground": "#14171C", "raised": "#1C2027", "line": "#363C46", "text": "#E8EAED", "secondary": "#A3ABB5",
        "train": "#56B4E9", "validation": "#F0803C", "test": "#F1F7FF", "negative": "#56B4E9", "positive": "#F0803C",
        "1": "#8189FF", "2": "#BF5010", "3": "#4ACE81", "4": "#B86699", "5": "#F1F7FF", "6": "#F2CF36",
    }
)  # fmt: skip


def class_style(index: int) -> tuple[str, Dash, str]:
    """(colour, dash, marker) of class or series `index`; no two of the first 36 are alike."""
    turn = (index + index // 6) % 6
    return str(index % 6 + 1), DASHES[turn], MARKERS[turn]


# Dark violet to yellow, lightness rising evenly: readable in grey and with any colour vision.
_MAGNITUDE = np.array(
    [(68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129), (92, 200, 99),
     (170, 220, 50), (253, 231, 37)], np.float64,
)  # fmt: skip


def magnitude(fraction: ArrayLike) -> NDArray[np.uint8]:
    """Colours (..., 3) of `fraction` (...), 0..1: how much."""
    place = np.clip(np.nan_to_num(np.asarray(fraction, np.float64)), 0, 1) * (len(_MAGNITUDE) - 1)
    stops = np.arange(len(_MAGNITUDE))
    return np.stack([np.interp(place, stops, _MAGNITUDE[:, c]).round() for c in range(3)], -1).astype(np.uint8)


def signed(fraction: ArrayLike, palette: Palette) -> NDArray[np.uint8]:
    """Colours (..., 3) of `fraction` (...), -1..1: blue below, the ground's colour at 0, orange above."""
    place = np.clip(np.nan_to_num(np.asarray(fraction, np.float64)), -1, 1)
    stops = np.array([palette("negative"), palette("ground"), palette("positive")], np.float64)
    return np.stack([np.interp(place, [-1, 0, 1], stops[:, c]).round() for c in range(3)], -1).astype(np.uint8)


def shade(fraction: ArrayLike, palette: Palette) -> NDArray[np.uint8]:
    """Colours (..., 3) of `fraction` (...), 0..1: from the ground's colour to a strong blue; for tables of counts."""
    place = np.clip(np.nan_to_num(np.asarray(fraction, np.float64)), 0, 1)
    ends = np.array([palette("ground"), palette("train")], np.float64)
    return np.stack([np.interp(place, [0, 1], ends[:, c]).round() for c in range(3)], -1).astype(np.uint8)


def luminance(colour: Rgb) -> float:
    """Relative luminance, 0..1 (WCAG 2.1)."""
    channels = np.array(colour) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: Rgb, other: Rgb) -> float:
    """Contrast ratio, 1..21 (WCAG 2.1)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def readable_on(ground: Rgb) -> Rgb:
    """Black or white, whichever is easier to read on `ground`."""
    black, white = (0, 0, 0), (255, 255, 255)
    return black if contrast(black, ground) >= contrast(white, ground) else white


def hexadecimal(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
