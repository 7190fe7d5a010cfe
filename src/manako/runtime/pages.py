"""Whole pages: a finder of lines and a reader of lines as one predictor.

Each line is cut out, laid flat (a tall one is turned), and read with others of about its length; then the lines are put
in the order of reading. A scan that stands on its head or lies on its side is recognised by how surely a few of its
lines are read each way. All places are given in the pixels of the image as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import atan2, degrees

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.console import say
from manako.errors import ImageError, ManakoError, UsageError
from manako.images import MAX_PIXELS, Preprocess
from manako.polygons import from_top_left, sides_of
from manako.runtime.ahead import Source, name_of, work_ahead
from manako.runtime.predictor import Predictor, Result, several
from manako.runtime.reading_order import direction_of, reading_order
from manako.runtime.tiles import upright
from manako.types import TextLine, TextRegions

BATCH = 8  # lines
STEP = 32  # of the sides of the finder's images
TALL = 1.5  # times as tall as wide: the line is turned before it is read...
SURELY = 3.0  # ...and from here on it is not read upright as well: one letter may be tall, a line of many is wide
LARGER = 2.0
TRIED = 8  # lines that tell which way up the page is
BETTER = 0.05  # by which lines read upside down must be surer
LEAST = 0.3  # confidence of a reading that is kept
NOTHING = TextLine(np.empty(0, np.int64), np.empty(0, np.float32))


@dataclass(frozen=True, eq=False)
class _Strip:
    """One way to read a line: which line, and its four corners from where the text begins."""

    line: int
    quad: NDArray[np.float64]


class PagePredictor(Predictor):
    """Predictions are `TextRegions` with texts, in the order of reading."""

    def __init__(self, reader: Predictor, finder: Predictor) -> None:
        """Raises UsageError where one of the two has another task."""
        if reader.task.name != "ocr" or finder.task.name != "text_finding":
            raise UsageError("pages.tasks", reader=reader.task.name, finder=finder.task.name)
        super().__init__(finder.engine, finder.task)
        self.settings = finder.settings
        self.reader = reader

    def to_show(self) -> PagePredictor:
        return self

    def with_reader(self, reader: Predictor) -> PagePredictor:
        """The same with another reader."""
        changed = PagePredictor(reader, Predictor(self.engine, self.task))
        changed.settings = self.settings
        return changed

    def with_settings(self, **chosen: float | None) -> PagePredictor:
        finder = Predictor(self.engine, self.task)
        finder.settings = self.settings
        return PagePredictor(self.reader, finder.with_settings(**chosen))

    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        batch: int = BATCH,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> Iterator[Result]:
        """One result a page, in their order; the next page is opened meanwhile. batch: lines read at once."""
        for source, opened in work_ahead(partial(_open, max_pixels=max_pixels), several(sources), ahead=2, workers=1):
            name = name_of(source)
            if isinstance(opened, ManakoError):
                yield Result(source, name, error=opened)
                continue
            try:
                found = self.read(opened, batch=batch)
            except MemoryError:
                yield Result(source, name, error=ImageError("predict.memory", file=name))
                continue
            _tell(name, found)
            yield Result(source, name, opened.width, opened.height, found)

    def read(self, page: Image.Image, *, batch: int = BATCH) -> TextRegions:
        """All lines of one page ("L" or "RGB")."""
        found = self._find(page)
        quads = [from_top_left(polygon) for polygon in found.polygons]
        ways = [_ways(i, quad) for i, quad in enumerate(quads)]
        if self._upside_down(page, ways, batch):
            ways = [[_Strip(s.line, np.roll(s.quad, 2, 0)) for s in way] for way in ways]
        strips = [strip for way in ways for strip in way]
        lines = self._read(page, strips, batch)
        best: dict[int, tuple[TextLine, _Strip]] = {}
        for strip, line in zip(strips, lines, strict=True):
            if strip.line not in best or line.confidence > best[strip.line][0].confidence:
                best[strip.line] = line, strip
        return self._in_order(found, best)

    def _find(self, page: Image.Image) -> TextRegions:
        """On an image as large as the network's, with the page's shape where the network takes any."""
        plan = self.card.preprocess
        if getattr(self.engine, "free_size", False):
            plan = _shaped(plan, page.width, page.height)
        pixels, frame = plan.apply(page)
        outputs = self.engine.run(pixels[None])
        regions: TextRegions = self.task.decode(outputs, [frame], self.settings)[0]
        return regions

    def _upside_down(self, page: Image.Image, ways: Sequence[Sequence[_Strip]], batch: int) -> bool:
        """By the longest lines, read both ways."""
        first = sorted((way[0] for way in ways), key=lambda s: -sides_of(s.quad)[0])[:TRIED]
        if not first:
            return False
        turned = [_Strip(s.line, np.roll(s.quad, 2, 0)) for s in first]
        sure = [float(np.mean([line.confidence for line in self._read(page, way, batch)])) for way in (first, turned)]
        return sure[1] > sure[0] + BETTER

    def _read(self, page: Image.Image, strips: Sequence[_Strip], batch: int) -> list[TextLine]:
        cut = (cut_out(page, strip.quad) for strip in strips)
        read = self.reader.predict(cut, batch=batch)
        return [r.prediction if isinstance(r.prediction, TextLine) else NOTHING for r in read]

    def _in_order(self, found: TextRegions, best: dict[int, tuple[TextLine, _Strip]]) -> TextRegions:
        """Without lines that nothing sure was read in. A tall line of Japanese keeps its corners upright."""
        alphabet = self.reader.card.classes
        texts = {i: line.text(alphabet).strip() for i, (line, _) in best.items()}
        kept = [i for i, (line, _) in best.items() if texts[i] and line.confidence >= LEAST]
        quads, vertical = [], []
        for i in kept:
            quad = best[i][1].quad
            down = quad[1, 1] - quad[0, 1] > abs(quad[1, 0] - quad[0, 0])
            vertical.append(bool(down) and mostly_japanese(texts[i]))
            quads.append((np.roll(quad, 1, 0) if vertical[-1] else quad).astype(np.float32))
        order = reading_order(quads, direction_of(quads, np.array(vertical, np.bool_)))
        return TextRegions(
            tuple(quads[i] for i in order),
            found.score[[kept[i] for i in order]],
            tuple(texts[kept[i]] for i in order),
            None,
            np.array([best[kept[i]][0].confidence for i in order], np.float32),
        )

    def as_json(self, result: Result) -> dict[str, object]:
        """Also the whole text, and by how much the page is turned or skewed."""
        record = super().as_json(result)
        if isinstance(result.prediction, TextRegions):
            record |= {"text": page_text(result.prediction), "turned": turn_of(result.prediction)}
            record |= {"skew": round(skew_of(result.prediction), 2)}
        return record


def _open(source: Source, *, max_pixels: int) -> tuple[Source, Image.Image | ManakoError]:
    """The source with its image ("L" or "RGB", upright as its file says), or with the error of opening it."""
    try:
        return source, upright(source, max_pixels)
    except ManakoError as error:
        return source, error
    except MemoryError:
        return source, ImageError("predict.memory", file=name_of(source))


def _tell(name: str, page: TextRegions) -> None:
    """What a person should know of the page."""
    if not len(page):
        say("pages.blank", image=name)
    elif turn_of(page):
        say("pages.turned", image=name, degrees=turn_of(page))


def _shaped(plan: Preprocess, width: int, height: int) -> Preprocess:
    """Sides that are multiples of 32, the longer one as before; but letters are enlarged at most LARGER times."""
    longest = max(plan.width, plan.height)
    scale = min(LARGER, longest / max(width, height))
    sides = [min(longest, max(1, -(-round(side * scale) // STEP)) * STEP) for side in (width, height)]
    return replace(plan, width=sides[0], height=sides[1])


def _ways(line: int, quad: NDArray[np.float64]) -> list[_Strip]:
    """Ways to read a line: as it lies; a tall one turned, its top first; one that is neither, both."""
    wide, high = sides_of(quad)
    if high <= TALL * wide:
        return [_Strip(line, quad)]
    turned = _Strip(line, np.roll(quad, -1, 0))  # begins at the top right corner and runs down
    return [turned] if high > SURELY * wide else [turned, _Strip(line, quad)]


def cut_out(page: Image.Image, quad: NDArray[np.floating]) -> Image.Image:
    """A quadrilateral of the page laid flat, upright from its first corner: at least one pixel high and wide."""
    wide, high = sides_of(quad)
    size = (max(1, round(wide)), max(1, round(high)))
    corners = np.asarray(quad, np.float64)[[0, 3, 2, 1]]  # Pillow goes the other way around
    return page.transform(size, Image.Transform.QUAD, corners.reshape(-1).tolist(), Image.Resampling.BICUBIC)


def mostly_japanese(text: str) -> bool:
    """Kana and kanji, which may be written from top to bottom."""
    letters = [c for c in text if not c.isspace()]
    return 2 * sum("\u3000" <= c <= "\u9fff" or "\uff00" <= c <= "\uffef" for c in letters) > len(letters)


def page_text(page: TextRegions) -> str:
    """The lines in the order of reading, each on a line of its own."""
    return "\n".join(text or "" for text in page.texts or ())


def runs_down(quad: NDArray[np.float32], text: str) -> bool:
    """Whether it is a vertical line: upright corners, taller than wide, several letters."""
    wide, high = sides_of(quad)
    return high > TALL * wide and len(text) > 1 and mostly_japanese(text)


def page_angle(page: TextRegions) -> float:
    """Degrees, clockwise, by which horizontal text is turned: -180 < angle <= 180."""
    quads = [polygon for polygon in page.polygons if len(polygon) == 4]
    x, y = direction_of(quads, np.zeros(len(quads), np.bool_))
    return degrees(atan2(y, x))


def turn_of(page: TextRegions) -> int:
    """0, 90, 180 or 270: degrees, clockwise, by which the page was found turned."""
    return round(page_angle(page) / 90) % 4 * 90


def skew_of(page: TextRegions) -> float:
    """Degrees, clockwise, that are left of the angle beside whole turns."""
    angle = page_angle(page)
    return angle - 90 * round(angle / 90)
