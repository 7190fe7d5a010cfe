"""Generated pages with a few lines of text, whose outlines are exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.fonts import draw_text, font, runs, text_width
from manako.samples.text_lines import WORDS

SIDE = 144  # pixels of a small page
_TURN = 6.0  # degrees to either side
_NOISE = 6.0  # grey levels, the largest deviation

Rgb = tuple[int, int, int]


@dataclass(frozen=True)
class Written:
    """One line of a page: where its first letter begins and its base line lies, in pixels, and how large it is."""

    left: float
    base: float
    text: str
    size: float


@dataclass(frozen=True, eq=False)
class TextPage:
    """quads: (4, 2) each, around the ink, clockwise from where the text begins."""

    image: Image.Image
    quads: list[NDArray[np.float64]]
    texts: list[str]


def write_text_pages(folder: Path, *, seed: int, count: int) -> Path:
    """`count` PNG files of SIDE x SIDE pixels in `images/` and, as ICDAR has it, `labels/gt_NAME.txt`: eight
    coordinates and the text of each line. Every tenth page is blank. The same seed gives the same files."""
    random = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        page = random_page(random, blank=number % 10 == 9)
        page.image.save(folder / "images" / f"{number:05}.png")
        rows = [
            ",".join([*(f"{value:.2f}" for value in quad.reshape(-1)), text])
            for quad, text in zip(page.quads, page.texts, strict=True)
        ]
        (folder / "labels" / f"gt_{number:05}.txt").write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return folder


def random_page(random: np.random.Generator, *, blank: bool = False) -> TextPage:
    """Lines of random sizes below each other in one column or two, slightly turned, with noise."""
    columns = 1 if random.random() < 0.6 else 2
    margin, wide = 14.0, (SIDE - 28.0) / columns
    lines: list[Written] = []
    for column in range(0 if blank else columns):
        base = margin
        while True:
            text = WORDS[int(random.integers(len(WORDS)))]
            size = min(float(random.uniform(20, 34)), 0.92 * wide / text_width(text, 1.0))
            base += float(random.uniform(1.3, 2.0)) * size
            if base > SIDE - margin:
                break
            free = max(0.0, wide - text_width(text, size) - 6)
            lines.append(Written(margin + column * wide + float(random.uniform(0, free)), base, text, size))
    page = draw_page(
        lines, width=SIDE, height=SIDE, turn=float(random.uniform(-_TURN, _TURN)), colours=_colours(random)
    )
    pixels = np.asarray(page.image, np.float32)
    noisy = pixels + random.normal(0, random.uniform(0, _NOISE), pixels.shape)
    return TextPage(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)), page.quads, page.texts)


def draw_page(
    lines: Sequence[Written],
    *,
    width: int,
    height: int,
    turn: float = 0.0,
    colours: tuple[Rgb, Rgb] = ((20, 20, 24), (250, 250, 246)),
) -> TextPage:
    """The lines on a page, all turned by `turn` degrees (counter-clockwise) around its middle. colours: ink, ground."""
    ink, ground = colours
    image = Image.new("RGB", (width, height), ground)
    draw = ImageDraw.Draw(image)
    for line in lines:
        draw_text(draw, line.left, line.base, line.text, size=line.size, fill=ink)
    middle = np.array([width, height]) / 2
    if turn:
        image = image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=ground)
    sine, cosine = math.sin(math.radians(turn)), math.cos(math.radians(turn))
    matrix = np.array([[cosine, -sine], [sine, cosine]])  # y grows downwards
    quads = [(_box(line) - middle) @ matrix + middle for line in lines]
    return TextPage(image, quads, [line.text for line in lines])


def _box(line: Written) -> NDArray[np.float64]:
    """Around the ink."""
    boxes = [font(line.size, name).getbbox(piece, anchor="ls") for name, piece in runs(line.text)]
    left, right = line.left, line.left + text_width(line.text, line.size)
    top, bottom = line.base + min(box[1] for box in boxes), line.base + max(box[3] for box in boxes)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def _colours(random: np.random.Generator) -> tuple[Rgb, Rgb]:
    """Dark on light, or now and then the other way round."""
    dark, light = _rgb(random.integers(0, 90, 3)), _rgb(random.integers(165, 256, 3))
    return (light, dark) if random.random() < 0.25 else (dark, light)


def _rgb(levels: NDArray[np.int64]) -> Rgb:
    red, green, blue = levels.tolist()
    return red, green, blue
