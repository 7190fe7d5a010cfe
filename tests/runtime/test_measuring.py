"""Areas in a person's own unit and the outlines of regions, in lines of JSON and in tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manako.errors import UsageError
from manako.regions import mask_of, one_polygon
from manako.runtime.measuring import Measuring, Scale
from manako.runtime.predictor import Predictor, Result
from manako.runtime.writer import write_results
from manako.tasks import get_task
from manako.types import Outline, Segmentation

CLASSES = ("background", "cell", "dirt")


def predictor() -> Predictor:
    engine: Any = SimpleNamespace(card=SimpleNamespace(classes=CLASSES, settings={}))
    return Predictor(engine, get_task("segmentation"))


def some() -> Iterator[Result]:
    """A ring with something in it, and a square that touches another at a corner."""
    ids = np.zeros((12, 20), np.uint8)
    ids[1:8, 1:8], ids[2:7, 2:7], ids[4, 4] = 1, 0, 2
    ids[8:10, 12:14], ids[10:12, 14:16] = 1, 1
    yield Result(Path("a.png"), "a.png", 20, 12, Segmentation(ids, np.full(ids.shape, 0.75, np.float32)))


def lines(measuring: Measuring, format: str = "json") -> str:
    stream = io.StringIO()
    write_results(some(), predictor(), stream=stream, format=format, measuring=measuring)
    return stream.getvalue()


def test_areas_in_a_unit() -> None:
    measuring = Measuring(Scale.parse("0.5 µm"))
    (ground, cell, dirt) = json.loads(lines(measuring))["predictions"]
    assert cell["pixels"] == 24 + 8 and cell["regions"] == 2 and cell["area"] == 8.0 and cell["unit"] == "µm²"
    assert dirt["area"] == 0.25 and ground["pixels"] == 240 - 33
    (_, row, _) = csv.DictReader(io.StringIO(lines(measuring, "csv")))
    assert (row["class"], row["pixels"], row["area"], row["unit"], row["error"]) == ("cell", "32", "8.0", "µm²", "")
    plain = json.loads(lines(Measuring()))
    assert "area" not in plain["predictions"][0] and "regions" not in plain


def test_each_region_by_itself() -> None:
    line = json.loads(lines(Measuring(Scale(2.0, "m"), outlines=True)))
    ring, pair, dot = line["regions"]
    assert (ring["class"], ring["score"], ring["box"], ring["pixels"]) == ("cell", 0.75, [1, 1, 8, 8], 24)
    assert ring["polygons"] == [[[8, 1], [8, 8], [1, 8], [1, 1]]] and len(ring["holes"][0]) == 4
    assert (len(pair["polygons"]), pair["area"], "holes" in pair) == (2, 32.0, False) and dot["class"] == "dirt"
    painted = np.zeros((12, 20), np.uint8)
    for region in line["regions"]:
        parts = [np.array(p, np.float32) for p in (*region["polygons"], *region.get("holes", []))]
        painted[mask_of(Outline((one_polygon(parts),)), 12, 20)] = CLASSES.index(region["class"])
    prediction = next(some()).prediction
    assert isinstance(prediction, Segmentation) and np.array_equal(painted, prediction.class_id)


@given(st.floats(1e-4, 1e4), st.sampled_from(["um", "µm", "mm", "ミリ"]))
def test_a_scale_is_a_length_with_its_unit(side: float, unit: str) -> None:
    assert Scale.parse(f"{side:.6f}{unit}") == Scale(float(f"{side:.6f}"), unit)


@pytest.mark.parametrize("text", ["0.5", "um", "-1um", "0um", "1e999um", "nanum", "1 um2", "", "1um;rm"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"0\.5um"):
        Measuring.of(text, False, task="segmentation", format="json")


@pytest.mark.parametrize(
    ("task", "format", "scale", "outlines"),
    [
        ("classification", "json", "1m", False),
        ("instances", "json", None, True),
        ("segmentation", "csv", None, True),
        ("segmentation", "coco", "1m", False),
    ],
)
def test_areas_belong_to_some_tasks_and_formats(task: str, format: str, scale: str | None, outlines: bool) -> None:
    with pytest.raises(UsageError, match="--scale" if scale else "--outlines"):
        Measuring.of(scale, outlines, task=task, format=format)
    assert Measuring.of("1m", True, task="segmentation", format="json").columns == ("area", "unit")
