"""Round numbers on axes, and from numbers to pixels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manako.figures.scales import Scale, limits, log_ticks, minus, nice_ticks, tick_texts

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


@given(NUMBERS, st.floats(1e-6, 1e9), st.integers(1, 12))
def test_nice_ticks_are_round_even_and_inside(low, span, count):
    high = low + span
    ticks = nice_ticks(low, high, count)
    assert 1 <= len(ticks) <= 1.2 * count + 2
    assert all(low <= tick <= high for tick in ticks)
    if len(ticks) > 2:
        gaps = np.diff(ticks[1:-1]) if len(ticks) > 4 else np.diff(ticks)
        step = gaps[0]
        if step > 1e-9 * max(abs(low), abs(high)):
            assert np.allclose(gaps, step, rtol=1e-5)
            assert min(abs(step / 10 ** math.floor(math.log10(step) + 1e-9) - m) for m in (1, 2, 5, 10)) < 1e-4


@given(NUMBERS, st.floats(1e-3, 1e6), st.integers(2, 10))
def test_tick_texts_read_back_as_the_ticks(low, span, count):
    ticks = nice_ticks(low, low + span, count)
    gap = min(np.diff(ticks), default=1.0)
    if gap < 1e-6 * max(map(abs, ticks)) or max(map(abs, ticks)) >= 1e6:
        return  # shown with four digits only
    for tick, text in zip(ticks, tick_texts(ticks), strict=True):
        assert float(text.replace("−", "-")) == pytest.approx(tick, abs=gap * 0.51)


def test_known_ticks():
    assert nice_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert tick_texts(nice_ticks(0, 1, 5)) == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert tick_texts(nice_ticks(-10, 10, 4)) == ["−10", "−5", "0", "5", "10"]
    assert log_ticks(1e-3, 10, 6) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10])
    assert tick_texts(log_ticks(1e-3, 10, 6)) == ["0.001", "0.01", "0.1", "1", "10"]
    assert log_ticks(1, 10, 6) == pytest.approx([1, 2, 5, 10])
    assert minus("-0.00") == "0.00"


@given(st.floats(1e-6, 1e6), st.floats(1.01, 1e6), st.booleans(), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_scale_keeps_order_and_ends(low, ratio, log, fractions):
    scale = Scale(low, low * ratio, 10, 300, log)
    assert scale([low, low * ratio]) == pytest.approx([10, 300])
    values = np.sort(low + np.array(fractions) * (low * ratio - low))
    assert (np.diff(scale(values)) >= -1e-6).all()


def test_scale_marks_what_has_no_place():
    assert np.isnan(Scale(1, 10, 0, 1, log=True)([0, -1, np.nan])).all()
    assert np.isnan(Scale(0, 1, 0, 1)([np.nan, np.inf])).all()
    with pytest.raises(ValueError, match="rise"):
        Scale(1, 1, 0, 1)
    with pytest.raises(ValueError, match="above 0"):
        Scale(0, 1, 0, 1, log=True)


@given(st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_limits_are_never_empty(low, high):
    if math.isfinite(low) and math.isfinite(high) and (low > high or high / 2 - low / 2 > 1e300):
        return
    a, b = limits(low, high, log=False, pad=0.05)
    assert a < b
