"""Descent on one weight and on surfaces: exact slopes, closed-form walks, the effect of the learning rate."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from manako.errors import ConfigError
from manako.learn.descent import CURVES, descend
from manako.learn.optimisers import SGD, Adam, Momentum
from manako.learn.surfaces import SURFACES, walk


@pytest.mark.parametrize("name", CURVES)
def test_slopes_are_exact_and_every_step_goes_the_other_way(name: str) -> None:
    curve = CURVES[name]
    for weight in np.linspace(curve.low, curve.high, 13):
        assert curve.slope(weight) == pytest.approx(
            (curve.loss(weight + 1e-6) - curve.loss(weight - 1e-6)) / 2e-6, abs=1e-7
        )
    points = descend(curve, rate=0.1, steps=30)
    assert len(points) == 31 and points[0].weight == curve.start
    for before, after in itertools.pairwise(points):
        assert after.weight == pytest.approx(before.weight + before.update) and before.update == -0.1 * before.slope
        assert after.loss <= before.loss


def test_a_negative_slope_makes_the_weight_larger_and_a_positive_one_smaller() -> None:
    left, right = descend(CURVES["bowl"], start=-1), descend(CURVES["bowl"], start=5)
    assert left[0].slope < 0 < left[0].update and right[0].slope > 0 > right[0].update


@pytest.mark.parametrize("rate", [0.3, 1.0, 1.7, 2.5])
def test_the_walk_on_a_bowl_is_its_closed_form(rate: float) -> None:
    """w_t - 2 = (1 - rate)^t (w_0 - 2): straight down, at once, overshooting, flying off."""
    points = descend(CURVES["bowl"], start=-1.5, rate=rate, steps=12)
    wanted = 2 + (1 - rate) ** np.arange(13) * -3.5
    np.testing.assert_allclose([p.weight for p in points], wanted, rtol=1e-9)
    overshoots = any((p.weight - 2) * (q.weight - 2) < -1e-9 for p, q in itertools.pairwise(points))
    assert overshoots == (rate > 1) and (points[-1].loss > points[0].loss) == (rate > 2)


def test_a_walk_that_flies_off_ends_and_bad_rates_are_refused() -> None:
    assert len(descend(CURVES["bowl"], rate=50, steps=100)) < 20
    assert walk(SURFACES["rosenbrock"], SGD(1.0), steps=100).diverged
    with pytest.raises(ConfigError, match="rate"):
        descend(CURVES["bowl"], rate=0)


@pytest.mark.parametrize("name", SURFACES)
def test_surface_gradients_and_minima(name: str) -> None:
    surface = SURFACES[name]
    x0, x1, y0, y1 = surface.bounds
    x, y = np.meshgrid(np.linspace(x0, x1, 7), np.linspace(y0, y1, 7))
    along = (surface.loss(x + 1e-6, y) - surface.loss(x - 1e-6, y)) / 2e-6
    across = (surface.loss(x, y + 1e-6) - surface.loss(x, y - 1e-6)) / 2e-6
    np.testing.assert_allclose(surface.gradient(x, y), [along, across], rtol=1e-5, atol=1e-5)
    for minimum in surface.minima:
        assert (
            np.abs(surface.gradient(*minimum)).max() < 1e-3
            and surface.loss(*minimum) <= surface.loss(x, y).min() + 1e-9
        )
        assert x0 <= minimum[0] <= x1 and y0 <= minimum[1] <= y1


def test_optimisers_find_a_minimum_and_momentum_is_faster_along_the_ravine() -> None:
    for name, surface in SURFACES.items():
        for optimiser in (SGD(0.01), Momentum(0.01), Adam(0.1)):
            way = walk(surface, optimiser, steps=2000)
            nearest = min(np.linalg.norm(way.points[-1] - m) for m in surface.minima)
            assert nearest < 0.05, (name, optimiser.name)
            assert len(way.points) == len(way.losses) == 2001 and tuple(way.points[0]) == surface.start
    plain, heavy = (walk(SURFACES["ravine"], o, steps=60).losses[-1] for o in (SGD(0.03), Momentum(0.03, 0.8)))
    assert heavy < plain / 10
