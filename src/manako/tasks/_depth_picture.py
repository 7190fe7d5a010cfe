"""Depth as pictures: colours with their scale, errors against the truth, figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.figures import Axis, Figure, Line, Panel, Rule, histogram
from manako.figures.colours import LIGHT, magnitude, signed
from manako.figures.scales import nice_ticks, tick_texts
from manako.fonts import draw_text, text_width
from manako.messages import message
from manako.metrics.depth import EDGES
from manako.tasks._depth_map import resize_depth
from manako.types import Depth, Evaluation

SMALLEST = 224  # pixels; smaller pictures are enlarged, so that the scale below can be read
LARGEST_ERROR = 0.25  # of the true depth: the ends of the error's colours
_HOLE = (96, 96, 96)  # no reading: a grey that the colour scale doesn't have
_GROUND, _TEXT = (20, 23, 28), (255, 255, 255)
_FEWEST = 0.001  # of all pixels: distances with fewer are not shown


def colour_map(depth: Depth, low: float, high: float, size: tuple[int, int]) -> Image.Image:
    """Near is light, far is dark, unknown is grey; (height, width) of `size`."""
    values = _at(depth.depth, size)
    colours = magnitude((high - values) / (high - low))
    colours[~np.isfinite(values)] = _HOLE
    return Image.fromarray(colours)


def error_map(estimate: Depth, truth: Depth, size: tuple[int, int]) -> Image.Image:
    """Orange where the estimate is too far, blue where it is too near, against the truth; grey: unknown."""
    known = _at(truth.depth, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (_at(estimate.depth, size) - known) / known
    colours = signed(relative / LARGEST_ERROR, LIGHT)
    colours[~np.isfinite(relative)] = _HOLE
    return with_scale(Image.fromarray(colours), -100 * LARGEST_ERROR, 100 * LARGEST_ERROR, "%")


def _at(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Holes don't spread where a map that has some is brought to another size: nearest pixels, not means."""
    if depth.shape == size or np.isfinite(depth).all():
        return resize_depth(depth, size)
    rows = ((np.arange(size[0]) + 0.5) * depth.shape[0] / size[0]).astype(int)
    columns = ((np.arange(size[1]) + 0.5) * depth.shape[1] / size[1]).astype(int)
    picked: NDArray[np.float32] = depth[rows[:, None], columns]
    return picked


def beside(pictures: Sequence[Image.Image]) -> Image.Image:
    """In a row; in a column where they are much wider than high."""
    width, height = pictures[0].size
    down = width > 2 * height
    columns, rows = (1, len(pictures)) if down else (len(pictures), 1)
    sheet = Image.new("RGB", (width * columns, height * rows))
    for index, picture in enumerate(pictures):
        sheet.paste(picture.convert("RGB"), (0, height * index) if down else (width * index, 0))
    return sheet


def with_scale(picture: Image.Image, low: float, high: float, unit: str) -> Image.Image:
    """The picture with the scale of its colours below: from `low` to `high`, in "m" or "%", or without a unit."""
    picture = _enlarged(picture.convert("RGB"))
    size = float(np.clip(min(picture.width, 1.5 * picture.height) / 20, 11, 40))
    margin, bar, height = round(size), round(size * 0.7), round(size * 2.9)
    result = Image.new("RGB", (picture.width, picture.height + height), _GROUND)
    result.paste(picture)
    draw = ImageDraw.Draw(result)
    left, right, top = margin, picture.width - margin, picture.height + round(size * 0.6)
    steps = np.linspace(0, 1, max(2, right - left))
    colours = signed(2 * steps - 1, LIGHT) if unit == "%" else magnitude(1 - steps)
    strip = np.broadcast_to(colours, (bar, *colours.shape)).astype(np.uint8)
    result.paste(Image.fromarray(np.ascontiguousarray(strip)), (left, top))
    for tick, text in _ticks(low, high, unit, room=(right - left) / size):
        place = left + (tick - low) / (high - low) * (right - left)
        wide = text_width(text, size)
        draw.line((place, top + bar, place, top + bar + size * 0.25), _TEXT, max(1, round(size / 12)))
        start = min(max(place - wide / 2, 0.0), picture.width - wide)
        draw_text(draw, start, top + bar + size * 1.3, text, size=size, fill=_TEXT)
    return result


def _ticks(low: float, high: float, unit: str, *, room: float) -> list[tuple[float, str]]:
    """room: the bar's length in letters' heights."""
    ticks = [tick for tick in nice_ticks(low, high, int(np.clip(room / 5, 2, 7))) if low <= tick <= high]
    ending = f" {unit}" if unit in ("m", "%") else ""
    return [(tick, text + ending) for tick, text in zip(ticks, tick_texts(ticks), strict=True)]


def _enlarged(picture: Image.Image) -> Image.Image:
    factor = -(-SMALLEST // picture.width)
    size = (picture.width * factor, picture.height * factor)
    return picture if factor <= 1 else picture.resize(size, Image.Resampling.NEAREST)


def depth_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Errors by distance, and how images differ: after the alignment that the main metric has."""
    pixels, relative, ratio = evaluation.tables["distance"]
    shown = np.flatnonzero(pixels > _FEWEST * max(pixels.sum(), 1))
    if not len(shown):
        shown = np.array([0])
    count = np.maximum(pixels[shown], 1)
    middle = np.sqrt(EDGES[shown] * EDGES[shown + 1])
    axis = Axis(message("depth.true_distance"), log=True)
    panels = [
        Panel(
            [Line(middle, 100 * relative[shown] / count, marker="circle")],
            x=axis,
            y=Axis(message("depth.relative_error"), low=0),
            width=360,
        ),
        Panel(
            [Rule(0, "horizontal"), Line(middle, 100 * (np.exp(ratio[shown] / count) - 1), marker="circle")],
            x=axis,
            y=Axis(message("depth.bias")),
            width=360,
        ),
    ]
    title = message("depth.by_distance")
    aligned = "median" if evaluation.main.name.endswith("_median") else "none"
    note = message("depth.by_distance_note", alignment=message(f"depth.alignment_{aligned}"))
    delta1 = {message(f"metric.{evaluation.main.name}"): evaluation.tables["per_image"][:, 0]}
    return {
        "by_distance": Figure(panels, title, note, columns=2),
        "per_image": histogram(delta1, label=message("depth.delta1_of_image"), title=message("depth.per_image")),
    }
