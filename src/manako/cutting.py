"""Pages with regions of text become images of lines with their texts: what a reader of lines learns from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.decode import open_image
from manako.errors import DataError
from manako.formats.text_lines import Writer
from manako.polygons import smallest_rectangle
from manako.types import Dataset, Problem, Sample, TextLine, TextRegions

_BREAKS = re.compile(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


@dataclass
class Cut:
    """images: of lines. unread: regions without a text."""

    images: int = 0
    unread: int = 0
    problems: list[Problem] = field(default_factory=list)


def cut_lines(dataset: Dataset, folder: Path, progress: Callable[[int, int], None] | None = None) -> Cut:
    """Each region that says something as `images/PAGE_0001.png` below `folder` (or below its part: train, val, test),
    laid flat, with `labels.tsv`. Vertical lines are turned so that their top is on the left."""
    found = Cut()
    texts = [(t or "") for s in dataset.samples if isinstance(s.target, TextRegions) for t in s.target.texts or ()]
    alphabet = tuple(sorted({character for text in texts for character in _one_line(text)}))
    writers: dict[str, Writer] = {}
    for done, sample in enumerate(dataset.samples, 1):
        part = folder / (sample.split or "")
        writer = writers.setdefault(sample.split or "", Writer(part, alphabet))
        try:
            _cut_page(sample, part, writer, alphabet, found)
        except DataError as error:
            found.problems.append(Problem(error.code, error.facts, "error"))
        if progress is not None:
            progress(done, len(dataset.samples))
    for writer in writers.values():
        writer.finish()
    return found


def _cut_page(sample: Sample, part: Path, writer: Writer, alphabet: Sequence[str], found: Cut) -> None:
    target = sample.target
    assert isinstance(target, TextRegions)
    page = open_image(sample.image, sample.frame)
    if page.mode not in ("L", "RGB"):
        page = page.convert("RGB")
    place = {character: index for index, character in enumerate(alphabet)}
    stem = "_".join(PurePosixPath(sample.id.replace("#", "_")).with_suffix("").parts)
    for number, (polygon, text) in enumerate(zip(target.polygons, target.texts or (), strict=bool(target.texts)), 1):
        ignored = target.ignored is not None and bool(target.ignored[number - 1])
        said = _one_line(text or "")
        if not said or ignored:
            found.unread += 1
            continue
        name = f"images/{stem}_{number:04}.png"
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        line = _flat(page, polygon, said)
        line.save(part / name)
        writer.add(name, line.width, line.height, TextLine.truth(np.array([place[c] for c in said], np.int64)))
        found.images += 1


def _flat(page: Image.Image, polygon: NDArray[np.float32], text: str) -> Image.Image:
    from manako.runtime.pages import cut_out, runs_down

    quad = polygon if len(polygon) == 4 else smallest_rectangle(polygon).astype(np.float32)
    return cut_out(page, np.roll(quad, -1, 0) if runs_down(quad, text) else quad)


def _one_line(text: str) -> str:
    return _BREAKS.sub(" ", text).strip()
