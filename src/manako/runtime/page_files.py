"""Pages that were read as files for other programs, one a page: hOCR, ALTO, PDF that can be searched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako import __version__
from manako.errors import StorageError, UsageError
from manako.fonts import text_width
from manako.paths import atomic_write
from manako.runtime.ahead import Picture
from manako.runtime.drawings import place_of
from manako.runtime.page_pdf import page_pdf
from manako.runtime.pages import runs_down, turn_of
from manako.runtime.predictor import Predictor, Result
from manako.runtime.tiles import upright
from manako.tasks import Json
from manako.types import TextRegions

Quad = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a page. down: vertical text. score: of the reading, 0..1."""

    quad: Quad
    text: str
    score: float
    down: bool


@dataclass(frozen=True, eq=False)
class Page:
    """image: the name of its file. lines: in the order of reading."""

    image: str
    width: int
    height: int
    lines: tuple[Line, ...]

    @classmethod
    def of(cls, image: str, width: int, height: int, regions: TextRegions) -> Page:
        """Raises UsageError where nothing was read in the regions."""
        if regions.texts is None:
            raise UsageError("pages.not_read")
        scores = np.ones(len(regions)) if regions.text_score is None else regions.text_score
        found = zip(regions.polygons, regions.texts, scores.tolist(), strict=True)
        lines = [Line(quad, text or "", score, runs_down(quad, text or "")) for quad, text, score in found]
        return cls(image, width, height, tuple(lines))


def words_of(line: Line) -> Iterator[tuple[str, Quad]]:
    """The words with their parts of the line's quadrilateral, as wide as their letters would be in one font."""
    whole = max(text_width(line.text, 1.0), 1e-6)
    start, end = ((0, 1), (3, 2)) if not line.down else ((0, 3), (1, 2))
    for found in re.finditer(r"\S+", line.text):
        parts = [text_width(line.text[:place], 1.0) / whole for place in found.span()]
        edges = [[line.quad[a] + (line.quad[b] - line.quad[a]) * part for part in parts] for a, b in (start, end)]
        (one, two), (four, three) = edges
        yield found.group(), np.array([one, two, three, four] if not line.down else [one, four, three, two])


def box_of(quad: Quad) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in whole pixels."""
    left, top = np.floor(quad.min(0)).astype(int).tolist()
    right, bottom = np.ceil(quad.max(0)).astype(int).tolist()
    return left, top, right, bottom


def hocr(page: Page) -> str:
    """hOCR 1.2: a line has its box, its outline and how sure its reading is (x_wconf, 0..100)."""
    rows = []
    for number, line in enumerate(page.lines, 1):
        outline = " ".join(f"{value:.1f}" for value in line.quad.reshape(-1).tolist())
        sure = round(100 * line.score)
        title = f"{_bbox(line.quad)}; poly {outline}; x_wconf {sure}"
        words = " ".join(
            f'<span class="ocrx_word" title="{_bbox(quad)}; x_wconf {sure}">{_text(word)}</span>'
            for word, quad in words_of(line)
        )
        rows.append(f'   <span class="ocr_line" id="line_1_{number}" title="{title}">{words}</span>')
    title = f"image &quot;{_text(page.image)}&quot;; bbox 0 0 {page.width} {page.height}; ppageno 0"
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<html xmlns="http://www.w3.org/1999/xhtml">',
            " <head>",
            f"  <title>{_text(page.image)}</title>",
            '  <meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>',
            f'  <meta name="ocr-system" content="manako {__version__}"/>',
            '  <meta name="ocr-capabilities" content="ocr_page ocr_line ocrx_word"/>',
            " </head>",
            " <body>",
            f'  <div class="ocr_page" id="page_1" title="{title}">',
            *rows,
            "  </div>",
            " </body>",
            "</html>",
            "",
        ]
    )


def _bbox(quad: Quad) -> str:
    return "bbox " + " ".join(map(str, box_of(quad)))


def alto(page: Page) -> str:
    """ALTO 4.2, in pixels."""
    place = f'HPOS="0" VPOS="0" WIDTH="{page.width}" HEIGHT="{page.height}"'
    rows = []
    for number, line in enumerate(page.lines, 1):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in line.quad.tolist())
        strings = "<SP/>".join(
            f'<String ID="string_{number}_{k}" {_place(quad)} CONTENT="{_text(word)}" WC="{line.score:.3f}"/>'
            for k, (word, quad) in enumerate(words_of(line), 1)
        )
        shape = f'<Shape><Polygon POINTS="{points}"/></Shape>'
        rows.append(f'     <TextLine ID="line_{number}" {_place(line.quad)}>{shape}{strings}</TextLine>')
    block = [f'    <TextBlock ID="block_1" {place}>', *rows, "    </TextBlock>"] if rows else []
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" SCHEMAVERSION="4.2">',
            " <Description>",
            "  <MeasurementUnit>pixel</MeasurementUnit>",
            f"  <sourceImageInformation><fileName>{_text(page.image)}</fileName></sourceImageInformation>",
            '  <Processing ID="processing_1"><processingSoftware><softwareName>manako</softwareName>'
            f"<softwareVersion>{__version__}</softwareVersion></processingSoftware></Processing>",
            " </Description>",
            " <Layout>",
            f'  <Page ID="page_1" PHYSICAL_IMG_NR="1" WIDTH="{page.width}" HEIGHT="{page.height}">',
            f"   <PrintSpace {place}>",
            *block,
            "   </PrintSpace>",
            "  </Page>",
            " </Layout>",
            "</alto>",
            "",
        ]
    )


def _place(quad: Quad) -> str:
    left, top, right, bottom = box_of(quad)
    return f'HPOS="{left}" VPOS="{top}" WIDTH="{right - left}" HEIGHT="{bottom - top}"'


def _text(text: str) -> str:
    """XML has no way to write control characters."""
    return escape(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "?", text), quote=True)


TEXTS: dict[str, tuple[str, Callable[[Page], str]]] = {"hocr": (".hocr", hocr), "alto": (".xml", alto)}
FORMATS = (*TEXTS, "pdf")


class PageFiles:
    """Writes each page to the folder `out/format`, under the name of its image.

    Raises UsageError where the predictions are no pages that were read, or where the folder is there already.
    """

    def __init__(self, predictor: Predictor, out: Path, format: str, root: Path | None, *, max_pixels: int) -> None:
        if predictor.task.name != "text_finding":
            raise UsageError("pages.format_needs_pages", format=format)
        self.folder, self._format = out / format, format
        self._root, self._max_pixels, self._count = root, max_pixels, 0
        if self.folder.exists():
            raise UsageError("predict.out_exists", folder=self.folder)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise StorageError("storage.unwritable", file=self.folder, reason=error.strerror) from error

    def add(self, result: Result, more: Json) -> None:
        """Pages that could not be read are left out."""
        self._count += 1
        if not isinstance(result.prediction, TextRegions):
            return
        place = PurePosixPath(place_of(result.source, self._root, self._count).as_posix())
        if isinstance(result.source, Picture):
            place = place.with_name(f"{place.stem}_{result.source.number:06}.jpg")
        page = Page.of(place.name, result.width, result.height, result.prediction)
        target = self.folder / place
        if self._format == "pdf":
            image = (
                result.source.image if isinstance(result.source, Picture) else upright(result.source, self._max_pixels)
            )
            atomic_write(target.with_name(target.name + ".pdf"), pdf(page, image, result.prediction))
        else:
            ending, write = TEXTS[self._format]
            atomic_write(target.with_name(target.name + ending), write(page))

    def finish(self) -> Path:
        return self.folder


def pdf(page: Page, image: Image.Image, regions: TextRegions) -> bytes:
    """The image with the text over it, invisible, for searching and copying; shown upright."""
    lines = [(line.text, np.roll(line.quad, -1, 0) if line.down else line.quad) for line in page.lines]
    return page_pdf(image, lines, turned=turn_of(regions))
