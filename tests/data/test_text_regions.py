"""Formats of regions of text: the same two lines in each, and what is wrong with them, named by its place."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import LabelError
from manako.formats import read_dataset
from manako.formats.icdar import Writer
from manako.types import Dataset, TextRegions

QUADS = ([10, 10, 90, 12, 89, 30, 9, 28], [20, 50, 80, 50, 80, 70, 20, 70])
TEXTS = ("合計, 500円", "a b")
PAGE = """<?xml version="1.0" encoding="{encoding}"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15">
<Page imageFilename="{image}" imageWidth="100" imageHeight="80"><TextRegion id="r"><Coords points="0,0 99,0 99,79"/>
{lines}</TextRegion></Page></PcGts>"""
LINE = (
    '<TextLine id="l{n}"><Coords points="{points}"/><TextEquiv index="1"><Unicode>no</Unicode></TextEquiv>'
    '<TextEquiv index="0"><Unicode>{text}</Unicode></TextEquiv></TextLine>\n'
)
ALTO = """<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"><Description>
<MeasurementUnit>{unit}</MeasurementUnit></Description><Layout><Page WIDTH="{width}" HEIGHT="{height}"><PrintSpace>
<TextBlock><TextLine HPOS="0" VPOS="0" WIDTH="9" HEIGHT="9"><Shape><Polygon POINTS="{points}"/></Shape>
<String CONTENT="合計,"/><SP/><String CONTENT="500円"/></TextLine>
<TextLine HPOS="{left}" VPOS="{top}" WIDTH="{wide}" HEIGHT="{high}"><String CONTENT="a"/>
<String CONTENT="b"/></TextLine>
</TextBlock></PrintSpace></Page></Layout></alto>"""


def image(folder: Path, name: str = "a.png", size: tuple[int, int] = (100, 80)) -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 200).save(folder / name)
    return folder


def regions(dataset: Dataset, index: int = 0) -> TextRegions:
    target = dataset.samples[index].target
    assert isinstance(target, TextRegions)
    return target


def icdar(folder: Path) -> None:
    rows = [",".join([*map(str, quad), text]) for quad, text in zip(QUADS, TEXTS, strict=True)]
    (folder / "gt_a.txt").write_bytes("\r\n".join(rows).encode("utf-8-sig"))


def icdar_languages(folder: Path) -> None:
    rows = [",".join([*map(str, quad), "Japanese", text]) for quad, text in zip(QUADS, TEXTS, strict=True)]
    (folder / "a.txt").write_bytes("\n".join(rows).encode("cp932"))


def page(folder: Path) -> None:
    points = [" ".join(f"{x},{y}" for x, y in zip(q[::2], q[1::2], strict=True)) for q in QUADS]
    lines = "".join(LINE.format(n=n, points=p, text=t) for n, (p, t) in enumerate(zip(points, TEXTS, strict=True)))
    (folder / "a.xml").write_bytes(PAGE.format(encoding="Shift_JIS", image="a.png", lines=lines).encode("cp932"))


def alto(folder: Path, unit: str = "pixel", scale: float = 1) -> None:
    numbers = [value * scale for value in QUADS[0]]
    box = {name: value * scale for name, value in zip(("left", "top", "wide", "high"), (20, 50, 60, 20), strict=True)}
    sizes = {"width": 100 * scale, "height": 80 * scale}
    (folder / "a.xml").write_text(ALTO.format(unit=unit, points=" ".join(map(str, numbers)), **sizes, **box), "utf-8")


def alto_millimetres(folder: Path) -> None:
    alto(folder, "mm10", 2.5)


def coco_text(folder: Path) -> None:
    left, top, right, bottom = QUADS[1][0], QUADS[1][1], QUADS[1][4], QUADS[1][5]
    content = {
        "imgs": {"7": {"id": 7, "file_name": "a.png"}},
        "anns": {
            "1": {"image_id": 7, "mask": QUADS[0], "utf8_string": TEXTS[0], "legibility": "legible"},
            "2": {"image_id": 7, "bbox": [left, top, right - left, bottom - top], "utf8_string": TEXTS[1]},
        },
    }
    (folder / "cocotext.json").write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize("write", [icdar, icdar_languages, page, alto, alto_millimetres, coco_text])
def test_the_same_lines_in_every_format(write: Callable[[Path], None], tmp_path: Path) -> None:
    write(image(tmp_path))
    found = read_dataset(tmp_path)
    assert found.task == "text_finding" and found.format == write.__name__.replace("page", "page_xml").replace(
        "_languages", ""
    ).replace("_millimetres", "")
    truth = regions(found)
    assert truth.texts == TEXTS and truth.ignored is not None and not truth.ignored.any()
    for polygon, quad in zip(truth.polygons, QUADS, strict=True):
        np.testing.assert_allclose(polygon.reshape(-1), quad, atol=1e-4)


def test_words_of_forms(tmp_path: Path) -> None:
    image(tmp_path, "images/a.png")
    words = [{"box": [10, 10, 40, 20], "text": "合計"}, {"box": [50, 10, 90, 20], "text": ""}]
    form = [{"box": [10, 10, 90, 20], "text": "合計", "words": words}, {"box": [5, 40, 20, 50], "text": "x"}]
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "a.json").write_text(json.dumps({"form": form}), "utf-8")
    found = read_dataset(tmp_path)
    assert found.format == "funsd" and regions(found).texts == ("合計", None, "x")
    assert [polygon[2].tolist() for polygon in regions(found).polygons] == [[40, 20], [90, 20], [20, 50]]


@pytest.mark.parametrize("row", ['10, 20, 30, 40, "a, ""', '10 20 30 40 "a, ""'])
def test_rectangles_of_2013(row: str, tmp_path: Path) -> None:
    (image(tmp_path) / "gt_a.txt").write_text(row)
    assert regions(read_dataset(tmp_path)).texts == ('a, "',)
    assert regions(read_dataset(tmp_path)).polygons[0].tolist() == [[10, 20], [30, 20], [30, 40], [10, 40]]


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    rows = [
        "10,10,90,10,90,30,10,30,###",
        "10,10,90,30,90,10,10,30,bow tie",
        "10,10,10,10,10,10,10,10,point",
        "10,10,20,10,30,10,40,10,flat",
        "-50,10,-20,10,-20,30,-50,30,outside",
        "50,40,150,40,150,60,50,60,half",
        "10,60,40,60,40,70,10,70,cafe\u0301",
        "10,71,40,71,40,79,10,79,",
        "what is this",
    ]
    (image(tmp_path) / "gt_a.txt").write_text("\n".join(rows), "utf-8")
    image(tmp_path, "without.png")
    (image(tmp_path, "blank.png") / "gt_blank.txt").write_text("")
    found = read_dataset(tmp_path)
    truth = regions(found)
    assert truth.texts == (None, None, "half", "café", None) and truth.ignored is not None
    assert truth.ignored.tolist() == [True, True, False, False, False] and truth.polygons[2].max() == 100
    lines = {problem.code: problem.facts.get("line") for problem in found.problems if "line" in problem.facts}
    assert lines == {
        "text_labels.crossing": 2, "labels.outline": 3, "labels.no_area": 4, "labels.outside": 5, "labels.cut": 6,
        "text_labels.no_region": 9,
    }  # fmt: skip
    counts = {problem.code: problem.facts["count"] for problem in found.problems if "count" in problem.facts}
    assert counts == {
        "text_labels.blank": 1, "text_labels.ignored": 2, "text_labels.silent": 1, "text_labels.composed": 1,
        "text_labels.unlabelled": 1,
    }  # fmt: skip
    assert len(regions(found, 1)) == 0  # the blank page


def test_an_entity_is_refused_and_nothing_else_is_there(tmp_path: Path) -> None:
    text = PAGE.format(encoding="utf-8", image="a.png", lines="&x;").replace(
        "<PcGts", '<!DOCTYPE p [<!ENTITY x "y">]><PcGts'
    )
    (image(tmp_path) / "a.xml").write_text(text, "utf-8")
    with pytest.raises(LabelError) as caught:
        read_dataset(tmp_path, task="text_finding", format="page_xml")
    assert caught.value.code == "labels.document_type" and caught.value.facts["line"] == 2


def test_a_label_file_leads_nowhere_else(tmp_path: Path) -> None:
    image(tmp_path, "secret.png")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.xml").write_text(PAGE.format(encoding="utf-8", image="../secret.png", lines=""), "utf-8")
    with pytest.raises(LabelError) as caught:
        read_dataset(image(tmp_path / "data", "b.png"), format="page_xml")
    assert caught.value.code == "table.escapes"


Quad = st.tuples(*[st.integers(1, 40)] * 4).map(
    lambda n: [n[0], n[1], n[0] + n[2], n[1], n[0] + n[2], n[1] + n[3], n[0], n[1] + n[3]]
)
Text = st.text("aé合,\"' #1", min_size=1, max_size=8).map(str.strip).filter(lambda t: t and t != "###")


@given(st.lists(st.tuples(Quad, Text, st.booleans()), max_size=4))
@settings(max_examples=30, deadline=None)
def test_what_icdar_writes_it_reads(rows: list[tuple[list[int], str, bool]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = image(Path(name), "images/a.png")
        quads = [np.array(quad, np.float32).reshape(4, 2) for quad, _, _ in rows]
        ignored = np.array([i for _, _, i in rows], np.bool_)
        writer = Writer(folder, ("text",))
        writer.add("a.png", 100, 80, TextRegions.truth(quads, [text for _, text, _ in rows], ignored))
        writer.finish()
        read = regions(read_dataset(folder, format="icdar"))
        assert [p.tolist() for p in read.polygons] == [q.tolist() for q in quads]
        assert read.texts == tuple(None if i else t for _, t, i in rows)
        assert read.ignored is not None and read.ignored.tolist() == ignored.tolist()
