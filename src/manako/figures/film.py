"""Moving pictures that open anywhere: GIF, without a video library."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

_COLOURS = 128
_BAR = 5  # pixels; how far the film is
_GROUND, _DONE = (20, 23, 28), (86, 180, 233)


def film(frames: Sequence[Image.Image], *, ms: int, rest_ms: int = 0) -> bytes:
    """A GIF that repeats: `ms` a frame, the last one `rest_ms` longer. frames: at least one, all of one size."""
    # Undithered: noise that changes from frame to frame would make up most of the file.
    first, *others = [frame.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE) for frame in frames]
    times = [ms] * len(others) + [ms + rest_ms]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=times, loop=0)
    return file.getvalue()


def with_progress(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Each with a bar below that grows from frame to frame."""
    found = []
    for place, frame in enumerate(frames, 1):
        image = Image.new("RGB", (frame.width, frame.height + _BAR), _GROUND)
        image.paste(frame)
        done = round(frame.width * place / len(frames)) - 1
        ImageDraw.Draw(image).rectangle((0, frame.height + 1, done, image.height - 1), fill=_DONE)
        found.append(image)
    return found
