"""Generated lines of text: letters, digits and kana in the font that is drawn with, or in fonts of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from manako.fonts import font

CHARACTERS = "0123456789ABCDEFHKMRTabeknrあいうえおカキクケコ"
WORDS = (
    "Open 24",
    "Exit 7",
    "Menu B",
    "Tea 350",
    "えき",
    "コーヒー",
    "Room 8",
    "たまご 6",
    "No. 19",
    "Taxi",
    "パン 50",
)
SHORTEST, LONGEST = 3, 6  # characters of a line
_DARK, _LIGHT = (0, 90), (165, 256)  # grey levels, half open
_TURN = 1.0  # degrees to either side
_NOISE = 8.0  # grey levels, the largest deviation

Font = ImageFont.FreeTypeFont


def write_text_lines(
    folder: Path,
    *,
    seed: int,
    count: int,
    characters: str = CHARACTERS,
    texts: Sequence[str] = (),
    fonts: Sequence[Path] = (),
) -> Path:
    """`count` PNG files of one line each in `images/`, and `labels.tsv`. The same seed gives the same files.

    characters: what random lines are made of, each as often as the others. texts: lines to be taken by turns instead.
    fonts: files to draw with instead of the font in the package; each has to hold all characters.
    """
    random = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = ["file\ttext"]
    for number in range(count):
        text = texts[number % len(texts)] if texts else _random_text(random, characters)
        size = int(random.integers(20, 31))
        drawn_with = ImageFont.truetype(str(fonts[int(random.integers(len(fonts)))]), size) if fonts else font(size)
        name = f"images/{number:05}.png"
        draw_line(text, drawn_with, random).save(folder / name)
        rows.append(f"{name}\t{text}")
    (folder / "labels.tsv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def _random_text(random: np.random.Generator, characters: str) -> str:
    length = random.integers(SHORTEST, LONGEST + 1)
    return "".join(characters[i] for i in random.integers(0, len(characters), length))


def draw_line(text: str, drawn_with: Font, random: np.random.Generator) -> Image.Image:
    """Random margins, ink and ground, a slight turn, blur and noise."""
    ink, ground = (random.integers(*levels, 3) for levels in (_DARK, _LIGHT))
    if random.random() < 0.25:
        ink, ground = ground, ink
    left, _, right, bottom = drawn_with.getbbox(text)
    ascent, descent = drawn_with.getmetrics()
    margins = random.integers(2, 8, 4)
    width = round(right - left) + int(margins[0] + margins[1])
    height = max(ascent + descent, round(bottom)) + int(margins[2])
    image = Image.new("RGB", (width, height), _rgb(ground))
    ImageDraw.Draw(image).text((int(margins[0]) - left, int(margins[2]) / 2), text, _rgb(ink), drawn_with)
    turned = image.rotate(random.uniform(-_TURN, _TURN), Image.Resampling.BICUBIC, fillcolor=_rgb(ground))
    soft = turned.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.8)))
    noise = random.normal(0, random.uniform(0, _NOISE), (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(soft, np.float32) + noise, 0, 255).astype(np.uint8))


def _rgb(levels: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[int, int, int]:
    red, green, blue = levels.tolist()
    return red, green, blue
