"""Areas, overlaps and rectangles against shapely and against slow references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manako.polygons import (
    area,
    covered,
    from_top_left,
    grown,
    hull,
    intersection,
    overlap,
    overlaps,
    perimeter,
    sides_of,
    signed_area,
    smallest_rectangle,
    unclipped,
)

shapely = pytest.importorskip("shapely")


@st.composite
def stars(draw: st.DrawFn) -> NDArray[np.float64]:
    """Simple polygons, convex or not: one point on each of some rays around a middle."""
    radii = draw(st.lists(st.floats(2, 40), min_size=3, max_size=9))
    turn, x, y = draw(st.floats(0, 6.28)), draw(st.floats(-30, 30)), draw(st.floats(-30, 30))
    angles = turn + np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * np.array(radii)[:, None] + (x, y)
    return points if draw(st.booleans()) else points[::-1]


@st.composite
def rectangles(draw: st.DrawFn) -> NDArray[np.float64]:
    """Clockwise on the screen from the corner that a first side leads right from: wide, high, and any turn below 45
    degrees."""
    wide, high, turn = draw(st.floats(1, 80)), draw(st.floats(1, 80)), draw(st.floats(-0.78, 0.78))
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)])
    cosine, sine = np.cos(turn), np.sin(turn)
    return corners @ np.array([[cosine, sine], [-sine, cosine]]) + (draw(st.floats(-50, 50)), draw(st.floats(-50, 50)))


@settings(deadline=None)
@given(stars(), stars())
def test_overlap_is_that_of_shapely(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    a, b = shapely.Polygon(one), shapely.Polygon(other)
    assert area(one) == pytest.approx(a.area, rel=1e-9) and perimeter(one) == pytest.approx(a.length, rel=1e-9)
    assert intersection(one, other) == pytest.approx(a.intersection(b).area, rel=1e-6, abs=1e-6)
    assert overlap(one, other) == pytest.approx(a.intersection(b).area / a.union(b).area, rel=1e-6, abs=1e-6)
    table, part = overlaps([one, other], [other, one]), covered([one], [other])
    assert table[0, 1] == pytest.approx(1) and table[0, 0] == pytest.approx(table[1, 1], abs=1e-9)
    assert part[0, 0] == pytest.approx(a.intersection(b).area / a.area, rel=1e-6, abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=1, max_size=20))
def test_the_hull_and_the_smallest_rectangle(points: list[tuple[int, int]]) -> None:
    given_points = np.array(points, float)
    around, box = hull(points), smallest_rectangle(points)
    whole = shapely.MultiPoint(points).convex_hull
    expected = whole.area if whole.geom_type == "Polygon" else 0
    assert area(around) == pytest.approx(expected, abs=1e-9) if len(around) > 2 else expected == 0
    first, second = box[1] - box[0], box[3] - box[0]
    assert first @ second == pytest.approx(0, abs=1e-6)
    for side, start in ((first, box[0]), (second, box[0])):
        if np.linalg.norm(side) > 1e-6:
            place = (given_points - start) @ side / (side @ side)
            assert place.min() >= -1e-9 and place.max() <= 1 + 1e-9, "all points lie within"
    slow = min(_area_at(given_points, turn) for turn in np.radians(np.arange(0, 90, 0.25)))
    assert area(box) <= slow + 1e-6, "no turn of a box around the points gives a smaller one"


def _area_at(points: NDArray[np.float64], turn: float) -> float:
    u = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return float(np.prod(np.ptp(u, axis=0)))


@settings(deadline=None)
@given(rectangles(), st.integers(0, 3), st.booleans())
def test_corners_begin_at_the_top_left(box: NDArray[np.float64], shift: int, mirrored: bool) -> None:
    mixed = np.roll(box[::-1] if mirrored else box, shift, 0)
    np.testing.assert_allclose(from_top_left(mixed), box, atol=1e-9)
    assert signed_area(from_top_left(mixed)) > 0


@settings(deadline=None)
@given(rectangles(), st.floats(0.1, 3))
def test_growing_a_rectangle_is_offsetting_it(box: NDArray[np.float64], ratio: float) -> None:
    distance = area(box) * ratio / perimeter(box)
    expected = shapely.Polygon(box).buffer(distance, join_style="mitre", mitre_limit=10)
    found = shapely.Polygon(unclipped(box, ratio))
    assert found.symmetric_difference(expected).area <= 1e-6 * expected.area
    assert sides_of(grown(box, 2.0)) == pytest.approx([side + 4 for side in sides_of(box)])
