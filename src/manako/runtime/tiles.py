"""Images far larger than the network's: predicted window by window at one scale, and joined without seams.

Windows overlap, so that whatever lies at the border of one lies further inside another. They start at multiples of
`GRID` network pixels: a network that works in steps of so many pixels sees each place as it would in the whole image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.errors import ImageError, ManakoError, UsageError
from manako.images import Preprocess, open_image
from manako.runtime.ahead import Picture, Source, Unreadable, in_batches, name_of, work_ahead
from manako.runtime.predictor import BATCH, Predictor, Result, finite_rows
from manako.types import Frame, Prediction, Sample, Window

GRID = 32
SMALLEST = 32
MAX_PIXELS = 128_000_000  # who asks for windows has large images
_OVERLAP = 0.2
_FILL = 114  # what surrounds an image that is smaller than its window, as in training
_REDUCING_GAP = 3.0

Tile = int | Literal["auto"]


@dataclass(frozen=True)
class Tiling:
    """height, width, overlap: of the windows, in pixels of the original image. scale: network pixels a pixel.

    grid: windows start at multiples of it.
    """

    height: int
    width: int
    overlap: int
    scale: float
    grid: int

    @classmethod
    def of(cls, plan: Preprocess, tile: Tile, overlap: int | None = None) -> Self:
        """tile: the longer side of a window; "auto" is the network's own size. Raises UsageError."""
        longer = max(plan.height, plan.width)
        side = longer if tile == "auto" else tile
        if side < SMALLEST:
            raise UsageError("tiles.small", tile=side, smallest=SMALLEST)
        scale = longer / side
        height, width = round(plan.height / scale), round(plan.width / scale)
        if overlap is None:
            overlap = round(_OVERLAP * min(height, width))
        if not 0 <= overlap <= min(height, width) // 2:
            raise UsageError("tiles.overlap", overlap=overlap, largest=min(height, width) // 2)
        grid = min(max(1, round(GRID / scale)), min(height, width) // 2)
        return cls(height, width, overlap, scale, grid)

    def windows(self, height: int, width: int) -> list[Window]:
        """Windows that cover an image, row by row, spread evenly. Those at the far borders may be up to `grid` - 1
        pixels smaller."""
        lefts = self._starts(width, self.width)
        return [
            Window(left, top, min(left + self.width, width), min(top + self.height, height))
            for top in self._starts(height, self.height)
            for left in lefts
        ]

    def _starts(self, length: int, side: int) -> list[int]:
        last = max(0, -(-(length - side) // self.grid))  # in steps of the grid
        most = max(1, (side - self.overlap) // self.grid)
        gaps = -(-last // most)
        return [i * last // gaps * self.grid for i in range(gaps + 1)] if gaps else [0]


def predict_tiled(
    predictor: Predictor,
    sources: Iterable[Source],
    *,
    tile: Tile = "auto",
    overlap: int | None = None,
    batch: int = BATCH,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Result]:
    """As `Predictor.predict`, through windows where an image is larger than one. One image is in memory at a time.

    tile: the longer side of a window in original pixels; "auto" is the network's own size. overlap: by how many pixels
    neighbours overlap at least (default: a fifth). Raises UsageError for sizes that can't be, and where the task's
    predictions can't be joined.
    """
    tiling = Tiling.of(predictor.card.preprocess, tile, overlap)
    predictor.task.join([], 1, 1)
    return _results(predictor, sources, tiling, batch, max_pixels)


def _results(
    predictor: Predictor, sources: Iterable[Source], tiling: Tiling, batch: int, max_pixels: int
) -> Iterator[Result]:
    for source in sources:
        name = name_of(source)
        try:
            image = upright(source, max_pixels)
            windows = tiling.windows(image.height, image.width)
            if len(windows) == 1:
                (alone,) = predictor.predict(image, max_pixels=max_pixels)
                yield Result(source, name, alone.width, alone.height, alone.prediction, alone.error)
                continue
            parts = _parts(predictor, image, windows, tiling, batch, name)
            height, width = image.height, image.width
            prediction = predictor.task.join(parts, height, width)
            del parts, image  # large, and no longer needed while the result is written
            yield Result(source, name, width, height, prediction)
        except ManakoError as error:
            yield Result(source, name, error=error)
        except MemoryError:
            yield Result(source, name, error=ImageError("predict.memory", file=name))


def upright(source: Source, max_pixels: int) -> Image.Image:
    """The whole image, "RGB" or "L". Raises DataError."""
    if isinstance(source, Unreadable):
        raise source.error
    if isinstance(source, Picture):
        return source.image
    if isinstance(source, Image.Image):
        return source if source.mode in ("L", "RGB") else source.convert("RGB")
    if isinstance(source, Sample):
        return open_image(source.image, source.frame, max_pixels=max_pixels)
    return open_image(source, max_pixels=max_pixels)


def _parts(
    predictor: Predictor,
    image: Image.Image,
    windows: Sequence[Window],
    tiling: Tiling,
    batch: int,
    name: str,
) -> Iterator[tuple[Window, Prediction]]:
    """Each window with what is predicted in it, in the window's own pixels."""
    cut = partial(cut_out, image, plan=predictor.card.preprocess, scale=tiling.scale)
    for some in in_batches(zip(windows, work_ahead(cut, windows, ahead=2 * batch), strict=True), batch):
        frames = [frame for _, (_, frame) in some]
        outputs: dict[str, NDArray[Any]] = predictor.engine.run(np.stack([pixels for _, (pixels, _) in some]))
        if not finite_rows(outputs, len(some)).all():
            raise ImageError("predict.not_finite", file=name)
        predictions = predictor.task.decode(outputs, frames, predictor.settings)
        yield from zip((window for window, _ in some), predictions, strict=True)


def cut_out(image: Image.Image, window: Window, *, plan: Preprocess, scale: float) -> tuple[NDArray[np.uint8], Frame]:
    """The network's pixels (H, W, C) of a window, at the top left of its image, and how they map back to the window's
    own pixels."""
    size = (min(plan.width, round(window.width * scale)), min(plan.height, round(window.height * scale)))
    box = (window.left, window.top, window.right, window.bottom)
    if size == (window.width, window.height):
        part = image.crop(box)
    else:
        part = image.resize(size, Image.Resampling.BICUBIC, box, _REDUCING_GAP)
    part = part.convert("L" if plan.channels == 1 else "RGB")
    canvas = np.full((plan.height, plan.width, plan.channels), _FILL, np.uint8)
    canvas[: size[1], : size[0]] = np.asarray(part).reshape(size[1], size[0], plan.channels)
    return canvas, Frame(window.height, window.width, size[0] / window.width, size[1] / window.height)
