"""Regions: filled polygons, run lengths and borders against pycocotools and a slow point-in-polygon test."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from manako import regions
from manako.types import IGNORE, Detections, Outline, Segmentation

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9)))
POLYGONS = arrays.arrays(np.float32, st.tuples(st.integers(3, 8), st.just(2)), elements=st.floats(-4, 14, width=16))


def slow_fill(polygon: regions.Points, height: int, width: int) -> regions.Mask:
    """Even-odd rule for each pixel's centre, one side at a time."""
    mask = np.zeros((height, width), bool)
    points = [(float(x), float(y)) for x, y in polygon]
    for row in range(height):
        for column in range(width):
            x, y, within = column + 0.5, row + 0.5, False
            for (x1, y1), (x2, y2) in zip(points, points[1:] + points[:1], strict=True):
                if (y1 <= y) != (y2 <= y) and x >= x1 + (y - y1) * (x2 - x1) / (y2 - y1):
                    within = not within
            mask[row, column] = within
    return mask


@settings(max_examples=150, deadline=None)
@given(POLYGONS)
def test_filled_is_the_even_odd_rule_at_pixel_centres(polygon: regions.Points) -> None:
    filled = regions.mask_of(Outline((polygon,)), 10, 11)
    different = filled != slow_fill(polygon, 10, 11)
    assert different.sum() <= 1  # a centre exactly on a slanted side, by rounding


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_filled_polygons_are_those_of_coco_but_for_the_border() -> None:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    for seed in range(20):
        random = np.random.default_rng(seed)
        radii = random.uniform(20, 45, 40)
        polygon = (50 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).astype(np.float32)
        ours = regions.mask_of(Outline((polygon,)), 100, 100)
        theirs = coco.decode(coco.merge(coco.frPyObjects([polygon.reshape(-1).tolist()], 100, 100))).astype(bool)
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.93
        assert abs(ours.sum() - regions.area_of(Outline((polygon,)))) < 0.02 * ours.sum()


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_runs_and_their_text_are_those_of_coco(mask: regions.Mask) -> None:
    runs = regions.runs_of(mask)
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert regions.compress(runs).encode() == theirs["counts"]
    assert np.array_equal(regions.decompress(theirs["counts"].decode()), runs)
    assert np.array_equal(regions.mask_of_runs(runs, *mask.shape), mask)
    outline = regions.outline_of(mask)
    assert regions.area_of(outline) == mask.sum() == coco.area(theirs)
    if mask.any():
        x, y, w, h = coco.toBbox(theirs)
        assert regions.box_of(outline).tolist() == [x, y, x + w, y + h]


@given(st.lists(st.integers(0, 2**40), max_size=12))
def test_long_runs_survive_their_text(values: list[int]) -> None:
    runs = np.array(values, np.int64)
    assert np.array_equal(regions.decompress(regions.compress(runs)), runs)


@given(st.text(max_size=40))
def test_any_text_is_run_lengths_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        regions.decompress(text)


def test_runs_of_another_size_are_refused() -> None:
    for runs in ([3, 4], [-1, 10, 0], [100]):
        with pytest.raises(ValueError, match="run lengths"):
            regions.mask_of_runs(np.array(runs), 3, 3)
    with pytest.raises(ValueError, match="run lengths"):
        regions.mask_of(regions.outline_of(np.ones((3, 3), bool)), 4, 4)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_borders_filled_again_are_the_region_without_holes(mask: regions.Mask) -> None:
    borders, _ = regions.borders_of(regions.outline_of(mask))
    filled = regions.mask_of(Outline(borders), *mask.shape)
    assert np.array_equal(filled & mask, mask)
    holes = filled & ~mask
    if holes.any():  # each hole is shut in: nothing of it touches the edge
        assert not (holes[0].any() or holes[-1].any() or holes[:, 0].any() or holes[:, -1].any())
    for border in borders:  # corners only
        before, after = border - np.roll(border, 1, 0), np.roll(border, -1, 0) - border
        assert (before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]).all()
    if borders:
        joined = regions.one_polygon(borders)
        assert np.array_equal(regions.mask_of(Outline((joined,)), *mask.shape), filled)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_one_polygon_with_its_holes_is_the_region(mask: regions.Mask) -> None:
    outer, holes = regions.borders_of(regions.outline_of(mask))
    if outer:
        joined = regions.one_polygon((*outer, *holes))
        assert np.array_equal(regions.mask_of(Outline((joined,)), *mask.shape), mask)
    area = sum(regions.area_of(Outline((p,))) for p in outer) - sum(regions.area_of(Outline((p,))) for p in holes)
    assert area == mask.sum()


@settings(max_examples=200, deadline=None)
@given(MASKS, st.integers(0, 3), st.integers(0, 3))
def test_runs_of_a_part_are_those_of_the_whole(mask: regions.Mask, left: int, top: int) -> None:
    whole = np.zeros((mask.shape[0] + top, mask.shape[1] + left), bool)
    whole[top:, left:] = mask
    part = regions.runs_of(mask, left=left, top=top, size=whole.shape)
    assert part.tolist() == regions.runs_of(whole).tolist()
    assert np.array_equal(regions.mask_of_runs(part, *whole.shape), whole)


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, IGNORE])
    )
)
def test_connected_regions_painted_again_are_the_map(ids: np.ndarray) -> None:
    score = np.random.default_rng(0).random(ids.shape).astype(np.float32)
    found = regions.objects_of(Segmentation(ids, score), ("background", "a", "b"))
    assert np.array_equal(regions.Painting(found, *ids.shape).load().class_id, ids)
    assert found.outlines is not None
    for outline, box, mean in zip(found.outlines, found.xyxy, found.score, strict=True):
        mask = regions.mask_of(outline, *ids.shape)
        assert regions.box_of(outline).tolist() == box.tolist()
        assert mean == pytest.approx(1.0 if (ids[mask] == IGNORE).all() else score[mask].mean(), abs=1e-6)
    everything = regions.objects_of(Segmentation(ids), ("road", "a", "b"))  # no ground: the first is a class as well
    assert np.array_equal(regions.Painting(everything, *ids.shape, ground=IGNORE).load().class_id, ids)


def test_crossing_sides_are_found() -> None:
    square = np.array([(0, 0), (4, 0), (4, 4), (0, 4)], np.float32)
    assert not regions.crosses_itself(square)
    assert not regions.crosses_itself(square[:3])
    assert regions.crosses_itself(square[[0, 2, 1, 3]])


def test_a_painting_shows_small_over_large_and_ignores_what_is_unknown() -> None:
    boxes = np.array([(1, 1, 3, 3), (0, 0, 6, 6), (5, 0, 8, 2), (0, 6, 2, 8)], np.float32)
    outlines = (*(regions.rectangle(box) for box in boxes[:3]), None)
    crowd = np.array([False, False, True, False])
    objects = Detections(boxes, np.array([1, 2, 1, 1]), np.ones(4, np.float32), crowd=crowd, outlines=outlines)
    painting = copy.deepcopy(regions.Painting(objects, 8, 8))
    expected = np.zeros((8, 8), np.uint8)
    expected[0:6, 0:6], expected[1:3, 1:3] = 2, 1
    expected[0:2, 6:8], expected[6:8, 0:2] = IGNORE, IGNORE
    assert np.array_equal(painting.load().class_id, expected)
    moved = painting.relabel(np.array([1, 0, 2])).load().class_id
    table = np.array([1, 0, 2, *[0] * 252, IGNORE], np.uint8)
    assert np.array_equal(moved, table[expected])
