"""Whole pages: found, read, ordered and turned with the packaged networks; and as files for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from pypdf import PdfReader

from manako.api import evaluate, load, predict
from manako.errors import UsageError
from manako.runtime.page_files import Page, alto, box_of, hocr, pdf, words_of
from manako.runtime.pages import PagePredictor, cut_out, page_text, skew_of, turn_of
from manako.samples.text_pages import TextPage, Written, draw_page
from manako.types import TextRegions

packaged = pytest.mark.skipif(find_spec("rapidocr") is None, reason="carries the weights")
WIDE, HIGH = 480, 320
LINES = ("Open from Monday to Friday", "東京都千代田区の駅", "Room and breakfast")
COLUMNS = ("縦書きの文章", "東京の春")


def page(turn: float = 0.0) -> TextPage:
    return draw_page(
        [Written(40, 90 + 80 * i, text, 30) for i, text in enumerate(LINES)], width=WIDE, height=HIGH, turn=turn
    )


def vertical_page() -> Image.Image:
    letters = [Written(300 - 80 * i, 70 + 40 * j, c, 36) for i, t in enumerate(COLUMNS) for j, c in enumerate(t)]
    return draw_page(letters, width=400, height=320).image


@pytest.fixture(scope="module")
def predictor() -> PagePredictor:
    return PagePredictor(load("ppocr", device="cpu"), load("ppocr_finder", device="cpu"))


@packaged
@pytest.mark.parametrize(("skew", "turned"), [(3, 0), (0, 180), (0, 270)])
def test_a_page_is_read_whichever_way_it_lies(predictor: PagePredictor, skew: float, turned: int) -> None:
    made = page(skew)
    image = made.image.rotate(-turned, expand=True)
    found = predictor.read(image)
    assert tuple((text or "").replace(" ", "") for text in found.texts or ()) == tuple(
        t.replace(" ", "") for t in LINES
    )
    assert turn_of(found) == turned and skew_of(found) == pytest.approx(-skew, abs=0.7)
    if not turned:
        truth = TextRegions.truth([quad.astype(np.float32) for quad in made.quads], made.texts)
        assert predictor.task.evaluate([found], [truth], ("text",), intervals=False).main.value == 1.0


@packaged
def test_vertical_text(predictor: PagePredictor) -> None:
    found = predictor.read(vertical_page())
    assert found.texts == COLUMNS and turn_of(found) == 0
    for polygon in found.polygons:
        assert polygon[0] == pytest.approx(polygon.min(0), abs=4), "corners begin at the top left of upright letters"


@packaged
def test_the_command_reads_and_scores_pages(tmp_path: Path) -> None:
    """With a blank page, an image one pixel high and a damaged one; and the data's own truth."""
    for name in ("images", "labels"):
        (tmp_path / "data" / name).mkdir(parents=True)
    made = page()
    made.image.save(tmp_path / "data" / "images" / "a.png")
    rows = [",".join([*(f"{v:.1f}" for v in q.reshape(-1)), t]) for q, t in zip(made.quads, made.texts, strict=True)]
    (tmp_path / "data" / "labels" / "gt_a.txt").write_text("\n".join(rows), "utf-8")
    scores = evaluate(
        "ppocr", data=tmp_path / "data", pages=True, out=tmp_path / "scores", device="cpu"
    ).evaluation.metrics
    assert scores["h_mean"] == 1.0 and scores["end_to_end_normalised"] == 1.0
    Image.new("RGB", (300, 200), "white").save(tmp_path / "blank.png")
    Image.new("L", (300, 1)).save(tmp_path / "thin.png")
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    sources = [tmp_path / "data" / "images" / "a.png", *(tmp_path / f"{n}.png" for n in ("blank", "thin", "damaged"))]
    done = predict("ppocr", sources, pages=True, out=tmp_path / "out", format="pdf", draw=True, device="cpu")
    assert (done.done, done.failed) == (3, 1)
    (file,) = (tmp_path / "out" / "pdf").rglob("a.png.pdf")
    text = PdfReader(file).pages[0].extract_text()
    assert [line.replace(" ", "") for line in text.split("\n")] == [line.replace(" ", "") for line in LINES]
    with pytest.raises(UsageError):
        predict("ppocr_finder", sources, out=tmp_path / "other", format="alto", finder="ppocr_finder", device="cpu")


def regions(texts: list[str], *, turn: int = 0) -> TextRegions:
    quads = []
    for i, text in enumerate(texts):
        wide = 12.0 * max(1, len(text))
        corners = [(20, 20 + 40 * i), (20 + wide, 22 + 40 * i), (20 + wide, 50 + 40 * i), (20, 48 + 40 * i)]
        quads.append(np.roll(np.array(corners, np.float32), 2 if turn else 0, 0))
    return TextRegions(
        tuple(quads), np.ones(len(texts), np.float32), tuple(texts), None, np.full(len(texts), 0.9, np.float32)
    )


def letters() -> st.SearchStrategy[str]:
    """Words of Latin letters, signs, kana and kanji."""
    latin = st.characters(min_codepoint=33, max_codepoint=0x24F, categories=("L", "N", "P", "S"))
    kana, kanji = (st.characters(min_codepoint=a, max_codepoint=b) for a, b in ((0x3041, 0x3096), (0x4E00, 0x9FFF)))
    return st.lists(st.text(latin | kana | kanji, min_size=1, max_size=6), min_size=1, max_size=4).map(" ".join)


@settings(deadline=None, max_examples=40)
@given(st.lists(letters(), max_size=6))
def test_formats_hold_the_same_boxes_and_texts(texts: list[str]) -> None:
    found = regions(texts)
    made = Page.of('a "b" & c.png', 640, 480, found)
    html, tree = ElementTree.fromstring(hocr(made)), ElementTree.fromstring(alto(made))
    lines = [e for e in html.iter() if e.get("class") == "ocr_line"]
    boxes = [tuple(map(int, str(e.get("title")).split(";")[0].split()[1:])) for e in lines]
    assert boxes == [box_of(quad) for quad in found.polygons]
    assert ["".join(e.itertext()) for e in lines] == texts
    space = "{http://www.loc.gov/standards/alto/ns-v4#}"
    rows = list(tree.iter(f"{space}TextLine"))
    assert [" ".join(str(s.get("CONTENT")) for s in row.iter(f"{space}String")) for row in rows] == texts
    for row, (left, top, right, bottom) in zip(rows, boxes, strict=True):
        place = [int(str(row.get(name))) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT")]
        assert place == [left, top, right - left, bottom - top]


@settings(deadline=None, max_examples=30)
@given(st.lists(letters(), min_size=1, max_size=6), st.booleans())
def test_text_copied_out_of_a_pdf_is_the_reading(texts: list[str], turned: bool) -> None:
    found = regions(texts, turn=int(turned))
    image = Image.new("L", (640, 480), 250)
    file = PdfReader(BytesIO(pdf(Page.of("a.png", 640, 480, found), image, found)), strict=True)
    (only,) = file.pages
    assert only.get("/Rotate") == (180 if turned else 0)
    assert sorted(only.extract_text().split("\n")) == sorted(texts)
    assert only.images[0].image is not None and only.images[0].image.size == (640, 480)


def test_many_letters_need_several_fonts() -> None:
    every = "".join(chr(0x4E00 + i) for i in range(600))
    found = regions([every[:300], every[300:]])
    file = PdfReader(BytesIO(pdf(Page.of("a.png", 640, 480, found), Image.new("RGB", (640, 480)), found)))
    assert file.pages[0].extract_text().replace("\n", "") == every
    assert page_text(found) == f"{every[:300]}\n{every[300:]}"


def test_words_share_the_line() -> None:
    (line,) = Page.of("a.png", 640, 480, regions(["one two"])).lines
    (first, left), (second, right) = words_of(line)
    assert (first, second) == ("one", "two")
    assert left[0] == pytest.approx(line.quad[0]) and right[1] == pytest.approx(line.quad[1])
    assert left[1][0] < right[0][0]


@pytest.fixture
def gradient() -> Iterator[NDArray[Any]]:
    yield np.add.outer(np.arange(60), 3 * np.arange(80)).astype(np.uint8)


def test_a_cut_line_is_upright_from_its_first_corner(gradient: NDArray[Any]) -> None:
    image, quad = Image.fromarray(gradient), np.array([(10, 20), (50, 20), (50, 32), (10, 32)], np.float64)
    part = gradient[20:32, 10:50]
    for shift in range(4):  # beginning at another corner turns it
        found = np.asarray(cut_out(image, np.roll(quad, -shift, 0)))
        np.testing.assert_allclose(found, np.rot90(part, shift), atol=1)
    assert cut_out(image, np.repeat(quad[:1], 4, 0)).size == (1, 1)


def test_a_reader_and_a_finder_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        PagePredictor(load("ppocr_finder"), load("ppocr_finder"))
    assert caught.value.code == "pages.tasks"
    assert json.dumps(caught.value.as_json())
