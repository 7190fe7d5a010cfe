"""A caption across the foot of an image: the answer, its score as number and bar, and the truth where it is known."""

from __future__ import annotations

from PIL import Image, ImageDraw

from manako.figures.words import shorten
from manako.fonts import draw_text, text_width
from manako.messages import message

SMALLEST = 224  # pixels; a smaller image is enlarged, so that its caption can be read
_GROUND, _TEXT, _BAR, _EMPTY = (20, 23, 28), (255, 255, 255), (86, 180, 233), (70, 77, 87)
_WRONG = (240, 128, 60)


def with_caption(
    image: Image.Image, name: str, score: float, *, right: bool | None = None, truth: str = ""
) -> Image.Image:
    """A copy of `image` with the caption below it. right: None where the truth is not known."""
    picture = _enlarged(image.convert("RGB"))
    size = max(14.0, min(picture.width, 1.5 * picture.height) / 16)
    margin = round(size / 2)
    lines = 1 if right is not False else 2
    height = round(size * (2.3 if lines == 1 else 3.8))
    result = Image.new("RGB", (picture.width, picture.height + height), _GROUND)
    result.paste(picture)
    draw = ImageDraw.Draw(result)
    colour = _WRONG if right is False else _BAR
    percent = message("classification.percent", value=100 * score)
    mark = "" if right is None else ("✓ " if right else "✗ ")
    room = picture.width - 2 * margin
    base = picture.height + size * 1.4
    draw_text(draw, picture.width - margin - text_width(percent, size), base, percent, size=size, fill=_TEXT)
    shown = shorten(mark + name, size, room - text_width(percent, size) - size)
    draw_text(draw, margin, base, shown, size=size, fill=_TEXT, bold=True)
    top, thick = base + size * 0.4, size * 0.3
    draw.rectangle((margin, top, margin + room, top + thick), _EMPTY)
    draw.rectangle((margin, top, margin + room * min(max(score, 0.0), 1.0), top + thick), colour)
    if right is False:
        told = shorten(message("classification.truth", name=truth), size, room)
        draw_text(draw, margin, base + size * 1.9, told, size=size, fill=_TEXT)
    return result


def _enlarged(image: Image.Image) -> Image.Image:
    """At least SMALLEST pixels wide; whole factors keep the pixels of a tiny image square and sharp."""
    if image.width >= SMALLEST:
        return image
    factor = -(-SMALLEST // image.width)
    if image.height * factor > 8 * SMALLEST:  # a very narrow image is set on a wide ground instead
        wide = Image.new("RGB", (SMALLEST, image.height), _GROUND)
        wide.paste(image, ((SMALLEST - image.width) // 2, 0))
        return wide
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
