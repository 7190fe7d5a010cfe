"""Figures: the text stays inside and apart, the SVG is sound, both canvases draw the same."""

import json
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.figures.recording import record

from manako import figures
from manako.errors import StorageError, UsageError
from manako.figures import Arrow, Axis, Bars, Cells, Figure, Heatmap, Image, Line, Panel, Points, Rule, Steps, Text
from manako.figures.colours import DARK, LIGHT, class_style, contrast, readable_on
from manako.figures.geometry import Box, clip_line, clip_polygon, dashed

RNG = np.random.default_rng(0)
NAMES = st.lists(st.text(max_size=40), min_size=2, max_size=12)


def everything() -> Figure:
    x = np.arange(1.0, 21)
    grid = RNG.normal(size=(12, 16))
    return Figure(
        [
            Panel([Line(x, 1 / x, "loss", "train"), Line(x, 2 / x, "val", "validation"), Rule(5, label="best")]),
            Panel([Points(x, x, "a"), Points(x, -x, "b"), Arrow(2, 0, 9, 5, "go"), Text(10, 0, "here\n二行")]),
            Panel([Heatmap(grid, "signed", name="重み")], x=Axis("列"), y=Axis("行", reverse=True)),
            Panel([Cells(RNG.normal(size=(3, 3)), decimals=2, kind="signed")], x=figures.HIDDEN, y=figures.HIDDEN),
            Panel([Bars([0, 1], [3, -2], low=[2, -3], high=[4, -1], texts=["3", "−2"])]),
            Panel([Steps([0, 1, 2], [3, 1], "count"), Line(x, x**3, "log")], y=Axis("損失", log=True, low=0.1)),
            Panel([Image((grid * 50 + 120).clip(0, 255).astype(np.uint8))], x=figures.HIDDEN, y=figures.HIDDEN),
        ],
        title="All marks: すべての印",
        note="A note",
    )


@settings(max_examples=25, deadline=None)
@given(NAMES, st.text(max_size=200), st.text(max_size=80))
def test_text_stays_inside_and_apart(names, title, label):
    counts = np.arange(len(names) ** 2).reshape(len(names), -1)
    matrix = figures.confusion_matrix(counts, names, title=title, note=label)
    bars = figures.bar_chart(names, np.linspace(0, 1, len(names)), label=label, title=title)
    curves = figures.learning_curves([1, 2, 3], {label: ([1, 2, 3], [3, 2, 1])}, title=title, best=2)
    for figure in (matrix, bars, curves):
        recording = record(figure)
        assert recording.outside() == []
        assert recording.overlaps() == []


def test_every_mark_keeps_its_text_inside_and_apart():
    recording = record(everything())
    assert recording.outside() == [] and recording.overlaps() == []
    assert len(recording.texts) > 40


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_svg_parses_and_carries_the_text_as_text(name):
    figure = Figure([Panel([Line([0, 1], [0, 1], name)], title=name)], title=f"<script>alert('{name}')</script>&amp;")
    root = ET.fromstring(figure.svg())
    tags = {element.tag.rsplit("}", 1)[-1] for element in root.iter()}
    assert "script" not in tags and tags <= {"svg", "title", "desc", "rect", "polyline", "polygon", "circle", "text"}
    assert not any(key.lower().startswith("on") for element in root.iter() for key in element.attrib)


def test_svg_is_named_for_screen_readers_and_needs_nothing_else():
    text = everything().svg()
    root = ET.fromstring(text)
    ids = {element.get("id"): element.text for element in root.iter() if element.get("id")}
    assert root.get("role") == "img"
    said = [ids[name] for name in root.get("aria-labelledby").split()]
    assert said[0] == "All marks: すべての印" and "loss" in said[1]
    links = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]
    assert links and all(link.startswith("data:image/png;base64,") for link in links)


@pytest.mark.parametrize("dark", [False, True])
def test_png_paints_the_series_colours_on_the_ground(dark):
    palette = DARK if dark else LIGHT
    figure = Figure(
        [Panel([Line([0, 1], [0, 1], "t", "train", width=4), Line([0, 1], [1, 0], "v", "validation", width=4)])]
    )
    picture = np.asarray(figure.png(scale=2, dark=dark)).reshape(-1, 3)
    for name in ("train", "validation", "ground"):
        assert (picture == palette(name)).all(1).sum() > 100, name


def test_png_has_the_size_of_the_svg():
    figure = everything()
    root = ET.fromstring(figure.svg())
    picture = figure.png(scale=1)
    assert picture.width == pytest.approx(float(root.get("width")), abs=1)
    assert picture.height == pytest.approx(float(root.get("height")), abs=1)


def test_a_heat_map_shows_each_value_at_its_place():
    values = np.array([[0.0, 1.0], [2.0, 4.0]])
    pixels = np.asarray(
        Figure([Panel([Heatmap(values, scale=False)], x=figures.HIDDEN, y=Axis(hidden=True, reverse=True))]).png(1)
    )
    box = record(
        Figure([Panel([Heatmap(values, scale=False)], x=figures.HIDDEN, y=Axis(hidden=True, reverse=True))])
    ).images[0]
    left, top, width, height = box
    shown = [
        [pixels[int(top + height * (r + 0.5) / 2), int(left + width * (c + 0.5) / 2)] for c in (0, 1)] for r in (0, 1)
    ]
    brightness = np.array(shown, float).mean(-1)
    assert brightness[0, 0] < brightness[0, 1] < brightness[1, 0] < brightness[1, 1]


def test_write_makes_whole_files_or_none(tmp_path):
    figure = Figure([Panel([Line([0, 1], [0, 1])])])
    assert figure.write(tmp_path / "new" / "a.svg").read_text("utf-8").startswith("<svg")
    assert figure.write(tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="svg"):
        figure.write(tmp_path / "a.gif")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError):
        figure.write(tmp_path / "file" / "a.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "file", "new"]


def test_json_has_the_data_and_no_nan():
    data = json.loads(json.dumps(everything().as_json(), allow_nan=False))
    assert data["type"] == "figure" and data["panels"][0]["marks"][0]["x"][:2] == [1.0, 2.0]
    assert data["panels"][-1]["marks"][0]["pixels"].startswith("data:image/png")
    gap = Figure([Panel([Line([0, 1], [float("nan"), 1])])]).as_json()
    assert json.loads(json.dumps(gap, allow_nan=False))["panels"][0]["marks"][0]["y"] == [None, 1]


def test_wrong_data_is_refused():
    with pytest.raises(ValueError, match="one length"):
        Line([1, 2], [1])
    with pytest.raises(ValueError, match="one edge more"):
        Steps([0, 1], [1, 2])
    with pytest.raises(ValueError, match="uint8"):
        Image(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="colour"):
        Figure([Panel([Line([0, 1], [0, 1], colour="url(x)")])]).svg()


def test_data_without_a_place_draw_nothing():
    nothing = Figure([Panel([Line([], []), Points([np.nan], [1.0]), Line([0, 1], [np.inf, 1])], y=Axis(log=True))])
    nothing.svg(), nothing.png(1)


def test_colours_can_be_told_apart():
    for palette in (LIGHT, DARK):
        assert all(contrast(palette(str(index)), palette("ground")) >= 3 for index in range(1, 7))
        assert all(contrast(palette(name), palette("ground")) >= 3 for name in ("train", "validation"))
        assert (
            contrast(palette("text"), palette("ground")) >= 7
            and contrast(palette("secondary"), palette("ground")) >= 4.5
        )
    assert len({class_style(index) for index in range(36)}) == 36
    assert all(contrast(readable_on((v, v, v)), (v, v, v)) >= 4.5 for v in range(0, 256, 5))


BOX = Box(0, 0, 10, 10)
POINT = st.tuples(st.floats(-50, 50), st.floats(-50, 50))


@given(st.lists(POINT, min_size=2, max_size=8))
def test_clipped_lines_stay_in_the_box(points):
    for piece in clip_line(np.array(points), BOX):
        assert all(BOX.holds(x, y, 1e-6) for x, y in piece)


@given(st.lists(st.tuples(st.floats(0.1, 9.9), st.floats(0.1, 9.9)), min_size=2, max_size=8))
def test_lines_inside_are_left_alone(points):
    assert clip_line(np.array(points), BOX) == [[tuple(p) for p in points]]


@given(POINT, st.floats(1, 60), st.floats(1, 60))
def test_a_clipped_rectangle_is_the_intersection(corner, width, height):
    (x, y), rectangle = corner, Box(*corner, width, height)
    clipped = np.array(clip_polygon(rectangle.corners, BOX)).reshape(-1, 2)
    expected = max(0, min(x + width, 10) - max(x, 0)) * max(0, min(y + height, 10) - max(y, 0))
    a, b = clipped, np.roll(clipped, -1, 0)
    area = abs((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / 2
    assert area == pytest.approx(expected, abs=1e-6)


def test_dashes_cover_their_share():
    pieces = dashed([(0, 0), (30, 0), (30, 30)], (6, 4))
    length = sum(abs(b[0] - a[0]) + abs(b[1] - a[1]) for piece in pieces for a, b in pairwise(piece))
    assert length == pytest.approx(36) and len(pieces) == 6


def test_the_recording_sees_texts_that_collide():
    words = [Text(0.5, 0.5, "one word"), Text(0.5, 0.5, "another")]
    assert record(Figure([Panel(words, x=figures.HIDDEN, y=figures.HIDDEN)])).overlaps() == [("one word", "another")]


@given(st.floats(0, 1), st.floats(0, 1), st.text(min_size=1, max_size=80), st.sampled_from(["start", "middle", "end"]))
@settings(max_examples=40, deadline=None)
def test_words_at_any_place_stay_within_the_panel(x, y, text, anchor):
    words = Text(x, y, text, anchor=anchor)
    hidden = Axis(hidden=True, low=0, high=1)
    assert record(Figure([Panel([words], x=hidden, y=hidden, width=200, height=40)])).outside() == []
