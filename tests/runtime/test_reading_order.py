"""The order of reading: known layouts, whatever order lines come in and however the page is turned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manako.runtime.reading_order import direction_of, reading_order

Quad = NDArray[np.float32]


def line(left: float, top: float, wide: float, high: float = 20) -> Quad:
    corners = [(left, top), (left + wide, top), (left + wide, top + high), (left, top + high)]
    return np.array(corners, np.float32)


PARAGRAPH = [line(50, 50 + 30 * i, 500) for i in range(6)]
COLUMNS = [
    line(50, 20, 600, 36),
    *(line(50, 100 + 30 * i, 260 if i < 7 else 90) for i in range(8)),
    *(line(400, 103 + 30 * i, 250) for i in range(8)),
]
TABLE = [line(x, 60 + 34 * row, 80) for row in range(5) for x in (50, 300, 520)]
RECEIPT = [quad for i in range(6) for quad in (line(50, 40 + 30 * i, 240), line(420, 42 + 30 * i, 60))]
BOTH = [*COLUMNS, *(quad + np.array([0, 500], np.float32) for quad in TABLE)]
LAYOUTS = {"paragraph": PARAGRAPH, "columns": COLUMNS, "table": TABLE, "receipt": RECEIPT, "both": BOTH}


def turned(quads: list[Quad], degrees: float) -> list[Quad]:
    angle = np.radians(degrees)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return [(quad @ matrix + 900).astype(np.float32) for quad in quads]


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(LAYOUTS)),
    st.randoms(use_true_random=False),
    st.floats(-2, 2),
    st.sampled_from([0, 90, 180, 270]),
)
def test_any_mixture_is_put_in_order(name: str, random: object, skew: float, turn: int) -> None:
    quads = turned(LAYOUTS[name], skew + turn)
    mixed = list(range(len(quads)))
    random.shuffle(mixed)  # type: ignore[attr-defined]
    given_quads = [quads[i] for i in mixed]
    direction = direction_of(given_quads, np.zeros(len(mixed), np.bool_))
    angle = np.radians(skew + turn)
    np.testing.assert_allclose(direction, [np.cos(angle), np.sin(angle)], atol=1e-3)
    assert [mixed[i] for i in reading_order(given_quads, direction)] == list(range(len(quads)))


def test_vertical_text_is_read_from_right_to_left() -> None:
    quads = [line(500 - 60 * i, 40, 24, 300 if i < 3 else 80) for i in range(4)]
    shuffled = [2, 0, 3, 1]
    given_quads = [quads[i] for i in shuffled]
    direction = direction_of(given_quads, np.ones(4, np.bool_))
    np.testing.assert_allclose(direction, [0, 1], atol=1e-6)
    assert [shuffled[i] for i in reading_order(given_quads, direction)] == [0, 1, 2, 3]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.floats(1, 500)] * 4), max_size=30))
def test_each_line_is_read_once(boxes: list[tuple[float, float, float, float]]) -> None:
    quads = [line(*box) for box in boxes]
    order = reading_order(quads, direction_of(quads, np.zeros(len(quads), np.bool_)))
    assert sorted(order.tolist()) == list(range(len(quads)))


@pytest.mark.parametrize("count", [0, 1])
def test_few_lines(count: int) -> None:
    assert reading_order(PARAGRAPH[:count], np.array([1.0, 0.0])).tolist() == list(range(count))
