"""The letters that Manako draws with: small free fonts in the package, so that figures look alike on every machine.

`sans.otf` has Latin, kana and nearly all kanji; `symbols.ttf` what it lacks for figures: Greek, Cyrillic, arrows,
mathematics, marks; `rare.ttf` the rest of JIS X 0208, full and half width. Text is drawn in runs of one font. Their
licences stand beside them.
"""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import resources
from io import BytesIO
from itertools import groupby

from PIL import ImageDraw, ImageFont

_MAIN, _OTHERS = "sans.otf", ("symbols", "rare")
_MEASURED_AT = 200.0  # pixels; widths are measured once, large, and scaled


@cache
def _bytes(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


@cache
def _others() -> dict[str, str]:
    """The font of each character that the main one lacks."""
    folder = resources.files(__package__)
    return {
        character: f"{name}.ttf" for name in _OTHERS for character in folder.joinpath(f"{name}.txt").read_text("utf-8")
    }


@lru_cache(maxsize=64)
def font(size: float, name: str = _MAIN) -> ImageFont.FreeTypeFont:
    """The font at `size` pixels. `draw_text` is the better choice for text that may hold Greek letters or arrows."""
    return ImageFont.truetype(BytesIO(_bytes(name)), size, layout_engine=ImageFont.Layout.BASIC)


def runs(text: str) -> list[tuple[str, str]]:
    """`text` cut into (font name, piece), in order."""
    by_font = groupby(text, key=lambda character: _others().get(character, _MAIN))
    return [(name, "".join(piece)) for name, piece in by_font]


@lru_cache(maxsize=8192)
def text_width(text: str, size: float) -> float:
    """Width in pixels of one line of `text` drawn at `size` pixels."""
    return sum(font(_MEASURED_AT, name).getlength(piece) for name, piece in runs(text)) * size / _MEASURED_AT


def draw_text(
    draw: ImageDraw.ImageDraw,
    left: float,
    baseline: float,
    text: str,
    *,
    size: float,
    fill: tuple[int, ...] | int | str,
    bold: bool = False,
) -> None:
    """Draw one line of `text` from `left` on `baseline` (pixels)."""
    for name, piece in runs(text):
        stroke = size * 0.025 if bold else 0
        draw.text((left, baseline), piece, fill=fill, font=font(size, name), anchor="ls", stroke_width=stroke)
        left += text_width(piece, size)
