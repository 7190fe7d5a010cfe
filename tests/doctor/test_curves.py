"""Planted curves are read as planted; healthy noise is never called over-fitting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.doctor.curves import Curves, Evidence, Reading, Verdict, read_curves
from manako.doctor.trend import lowest_turn, noise_of, slope_of, trend_z
from manako.messages import message, set_language

seeds = st.integers(0, 2**32 - 1)


def read(training: object, validation: object = (), **more: object) -> Reading:
    return read_curves(Curves(tuple(np.asarray(training)), tuple(np.asarray(validation)), **more))  # type: ignore[arg-type]


def falling(epochs: int, *, start: float = 2.3, floor: float = 0.3, pace: float = 5.0) -> np.ndarray:
    return floor + (start - floor) * np.exp(-np.arange(epochs) / pace)


def planted(epochs: int, *, turn: int, pace: float, rise: float) -> np.ndarray:
    """Falls to `turn` (counted from 1), then rises by `rise` an epoch."""
    epoch = np.arange(1, epochs + 1)
    return 0.5 + 1.5 * np.exp(-epoch / pace) + rise * np.maximum(0, epoch - turn)


@settings(max_examples=150, deadline=None)
@given(
    seed=seeds, epochs=st.integers(5, 80), noise=st.floats(0, 0.25), pace=st.floats(1, 30), floor=st.floats(0.05, 1),
    kind=st.sampled_from(["normal", "student", "uniform"]), above=st.floats(0.5, 1.5),
)  # fmt: skip
def test_healthy_noisy_runs_never_over_fit(
    seed: int, epochs: int, noise: float, pace: float, floor: float, kind: str, above: float
) -> None:
    rng = np.random.default_rng(seed)
    draw = {"normal": rng.normal, "uniform": lambda size: rng.uniform(-1.7, 1.7, size)}
    shake = rng.standard_t(3, epochs) / 1.7 if kind == "student" else draw[kind](size=epochs)
    base = falling(epochs, pace=pace, floor=floor)
    reading = read(above * base, np.abs(base * (1 + noise * shake)))
    assert reading.verdict in {Verdict.DONE, Verdict.NOT_DONE, Verdict.GOING_WELL}


@settings(max_examples=100, deadline=None)
@given(seed=seeds, epochs=st.integers(24, 60), pace=st.floats(2, 4), rise=st.floats(0.03, 0.08))
def test_planted_over_fitting_is_found_within_two_epochs(seed: int, epochs: int, pace: float, rise: float) -> None:
    rng = np.random.default_rng(seed)
    validation = planted(epochs, turn=14, pace=pace, rise=rise) + rng.normal(0, 0.005, epochs)
    reading = read(falling(epochs, floor=0.01), validation)
    assert reading.verdict is Verdict.OVER_FITTING
    assert reading.since_epoch is not None and abs(reading.since_epoch - 14) <= 2
    assert {e.code for e in reading.evidence} == {"curves.evidence.validation_rises", "curves.evidence.training_falls"}
    assert "curves.advice.early_stopping" in reading.advice


def test_the_false_alarm_rate_on_wandering_noise_stays_small() -> None:
    """Noise of 10 % that wanders (AR(1), 0.7): the hardest healthy case; under 2 % of the runs."""
    rng, alarms = np.random.default_rng(7), 0
    for _ in range(300):
        epochs = int(rng.integers(10, 80))
        shake = np.zeros(epochs)
        for i in range(1, epochs):
            shake[i] = 0.7 * shake[i - 1] + math.sqrt(0.51) * rng.normal()
        base = falling(epochs, pace=rng.uniform(1, epochs / 2))
        alarms += read(base, base * (1 + 0.1 * shake)).verdict is Verdict.OVER_FITTING
    assert alarms <= 5


def test_still_falling_fast_is_not_done_and_half_way_goes_well() -> None:
    steep = falling(12, pace=15)
    assert read(steep, steep * 1.05).verdict is Verdict.NOT_DONE
    assert read(steep, steep * 1.05, progress=1.0).verdict is Verdict.NOT_DONE
    assert read(steep, steep * 1.05, progress=0.5).verdict is Verdict.GOING_WELL


def test_slowly_falling_goes_well_and_flat_is_done_since_it_lies_flat() -> None:
    assert read(falling(30, pace=5), falling(30, pace=5)).verdict is Verdict.GOING_WELL
    done = read(falling(60, pace=4), falling(60, pace=4))
    assert (
        done.verdict is Verdict.DONE and done.since_epoch is not None and 22 <= done.since_epoch <= 27
    )  # 2 e^(-t/4) < 2 % of 0.3 from t = 23


def test_a_plateau_early_in_a_schedule_is_not_the_end() -> None:
    flat = falling(40, pace=2)
    assert read(flat, flat, progress=0.5).verdict is Verdict.GOING_WELL
    assert read(flat, flat, progress=1.0).verdict is Verdict.DONE


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_training_loss_above_validation_loss_is_normal(noise: float) -> None:
    """Label smoothing and augmentation lift the training loss alone."""
    rng = np.random.default_rng(3)
    validation = falling(50, pace=6, floor=0.2) * (1 + noise * rng.normal(size=50))
    assert read(falling(50, pace=6, floor=0.9), validation).verdict is Verdict.DONE


def test_rising_loss_with_rising_score_is_over_confidence() -> None:
    validation = planted(30, turn=14, pace=3, rise=0.012)
    score = 0.9 - 0.5 * np.exp(-np.arange(30) / 8)
    reading = read(falling(30, floor=0.01), validation, validation_score=tuple(score), progress=1.0)
    assert reading.verdict is Verdict.DONE
    assert "curves.evidence.over_confident" in {e.code for e in reading.evidence}
    falls = tuple(score - 0.01 * np.maximum(0, np.arange(30) - 14))
    assert read(falling(30, floor=0.01), validation, validation_score=falls).verdict is Verdict.OVER_FITTING

    still = tuple(np.full(30, 0.9))
    assert read(falling(30, floor=0.01), validation, validation_score=still).verdict is Verdict.OVER_FITTING
    at_the_end = read(falling(30, floor=0.01), validation, validation_score=still, progress=1.0)
    assert at_the_end.verdict is Verdict.DONE, "a slight rise at the end of a schedule, no accuracy lost"
    steep = planted(30, turn=14, pace=3, rise=0.05)
    assert read(falling(30), steep, validation_score=still, progress=1.0).verdict is Verdict.OVER_FITTING


def test_a_loss_that_both_curves_share_rising_is_not_over_fitting() -> None:
    both = planted(30, turn=14, pace=3, rise=0.01)
    assert read(both, both).verdict is not Verdict.OVER_FITTING


def test_diverging() -> None:
    assert read([2.3, 2.0, 1.7, 5.0, 40.0, 900.0], [2.3, 2.0, 1.8, 4.0, 30.0, 800.0]).verdict is Verdict.DIVERGING
    rising = np.concatenate([falling(10, pace=3), np.linspace(0.4, 1.9, 12)])
    reading = read(rising, rising * 1.1)
    assert reading.verdict is Verdict.DIVERGING and reading.since_epoch in {9, 10, 11}
    lost = read([2.0, 1.0, math.nan], [2.0, 1.0, 1.0])
    assert lost.verdict is Verdict.DIVERGING and lost.since_epoch == 3
    assert read([1.0] * 5, [1.0, math.inf, 1.0, 1.0, 1.0]).since_epoch == 2


def test_one_wild_epoch_changes_nothing() -> None:
    for place in (5, 20, 38, 39):
        training, validation = falling(40, pace=4), falling(40, pace=4, floor=0.4)
        validation[place] *= 4
        assert read(training, validation).verdict is Verdict.DONE, place


def test_too_short_and_empty() -> None:
    assert read([2.0, 1.0], [2.0, 1.5]).verdict is Verdict.TOO_SHORT
    assert read([]).verdict is Verdict.TOO_SHORT


def test_a_loss_stuck_at_chance_is_not_called_done() -> None:
    stuck = np.full(30, math.log(10)) + np.random.default_rng(0).normal(0, 0.003, 30)
    reading = read(stuck, stuck)
    assert reading.verdict is Verdict.NOT_DONE and reading.evidence[0].code == "curves.evidence.hardly_fell"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=30), st.floats(0, 1))
def test_every_curve_gets_a_reading_that_renders_in_both_languages(losses: list[float], progress: float) -> None:
    losses = [x if abs(x) < 1e100 or not math.isfinite(x) else math.copysign(1e100, x) for x in losses]
    reading = read_curves(Curves(tuple(losses), tuple(reversed(losses)), progress=progress))
    try:
        for language in ("en", "ja"):
            set_language(language)
            assert str(reading) and all(str(e) for e in reading.evidence) and all(message(a) for a in reading.advice)
    finally:
        set_language(None)


def test_the_statistics_against_closed_forms() -> None:
    line = 3.0 + 0.5 * np.arange(9)
    assert slope_of(line) == pytest.approx(0.5)
    assert trend_z(line) == pytest.approx((36 - 1) / math.sqrt(9 * 8 * 23 / 18))
    assert trend_z(-line) == -trend_z(line) and noise_of(line) == pytest.approx(0)
    white = np.random.default_rng(0).normal(0, 0.3, 4000)
    assert noise_of(white) == pytest.approx(0.3, rel=0.06) and noise_of(white, 3) == pytest.approx(0.3, rel=0.06)
    assert lowest_turn(np.abs(np.arange(20.0) - 8)).index == 8
    assert str(Evidence("curves.evidence.flat", {"epoch": 3, "level": 0.5}))


def test_a_score_near_0_is_not_told_as_a_percentage() -> None:
    """AP of .001, .002, ... .008 promises "241 % more"; of a score that stands higher the percentage is told."""
    loss = tuple(3.0 - 0.1 * epoch for epoch in range(8))
    young = read_curves(Curves(loss, loss, tuple(0.001 * 2**epoch for epoch in range(8)), progress=1.0))
    older = read_curves(Curves(loss, loss, tuple(0.2 + 0.02 * epoch for epoch in range(8)), progress=1.0))
    assert [r.evidence[0].code.rpartition(".")[2] for r in (young, older)] == ["just_began", "still_falls"]
    assert "%" not in message(young.evidence[0].code, **young.evidence[0].facts)
