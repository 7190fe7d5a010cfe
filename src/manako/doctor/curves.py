"""One rule that reads learning curves: not done, going well, done, over-fitting, diverging. NumPy only.

The course, the report of a run and `manako diagnose curves.csv` all ask `read_curves`. It must not cry wolf:

- A turn of the validation loss is found by unimodal regression: of all curves that fall to one lowest epoch and rise
  after it, the one nearest in least squares (two isotonic regressions by pooling adjacent violators; Barlow et al.,
  "Statistical Inference under Order Restrictions", 1972). Nothing to tune, and one wild epoch can't move it far.
- The rise counts when it is a trend (Kendall's tau since the turn), stands clear of the noise (median absolute second
  difference), matters beside the fall before it, and the training loss did not rise with it.
- Training loss above validation loss is normal (dropout, augmentation, label smoothing): no rule uses that gap.
- A rise of the validation loss while the validation score still rises is over-confidence: no accuracy is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from manako.doctor.trend import Array, Turn, despike, lowest_turn, noise_of, slope_of, trend_z
from manako.messages import message

SHORTEST = 5  # epochs; fewer show no trend
MATTERS = 0.05  # a rise of this share of the fall before it (or of the level) is worth a word
SLIGHT = 0.15  # a rise up to this share of the fall, the score standing, is over-confidence at a schedule's end
FAST, SLOW = 0.10, 0.02  # the fall to come in another quarter of the run, as a share of the level
LEARNED = 0.05  # a loss that fell by less than this share of its start has hardly learned
RUNNING = 0.9  # before this share of the schedule a plateau says little: the learning rate is still high


class Verdict(StrEnum):
    TOO_SHORT = "too_short"
    NOT_DONE = "not_done"
    GOING_WELL = "going_well"
    DONE = "done"
    OVER_FITTING = "over_fitting"
    DIVERGING = "diverging"


@dataclass(frozen=True)
class Curves:
    """One value an epoch. Scores: higher is better. `progress`: 0..1 of the planned schedule, where one is known."""

    training_loss: tuple[float, ...]
    validation_loss: tuple[float, ...] = ()
    validation_score: tuple[float, ...] = ()
    training_score: tuple[float, ...] = ()
    progress: float | None = None


@dataclass(frozen=True)
class Evidence:
    """`code` is a key of the message catalogue, `facts` its fields."""

    code: str
    facts: Mapping[str, float | int] = field(default_factory=dict)

    def __str__(self) -> str:
        return message(self.code, **self.facts)


@dataclass(frozen=True)
class Reading:
    """`since_epoch`, counted from 1: the last at the lowest validation loss (over-fitting), the lowest or the first
    non-finite loss (diverging), the first of the flat end (done); otherwise None. `advice`: keys of the catalogue."""

    verdict: Verdict
    since_epoch: int | None = None
    evidence: tuple[Evidence, ...] = ()
    advice: tuple[str, ...] = ()

    def __str__(self) -> str:
        return message(f"curves.verdict.{self.verdict.value}", since=self.since_epoch)


def read_curves(curves: Curves) -> Reading:
    """What the curves say, and why. Without validation losses the training loss is read, and never over-fits."""
    training = np.asarray(curves.training_loss, dtype=np.float64)
    judged = np.asarray(curves.validation_loss or curves.training_loss, dtype=np.float64)
    wrong = _not_finite(training, judged) or _exploded(training)
    if wrong:
        return wrong
    epochs = min(len(training), len(judged))
    if epochs < SHORTEST:
        short = Evidence("curves.evidence.too_short", {"epochs": epochs, "needed": SHORTEST})
        return Reading(Verdict.TOO_SHORT, None, (short,), ("curves.advice.more_epochs",))
    training, judged = training[:epochs], judged[:epochs]
    score = np.asarray(curves.validation_score, dtype=np.float64)[:epochs]
    score = score if len(score) == epochs and np.isfinite(score).all() else np.empty(0)
    return (
        _unstable(training, judged)
        or _turned(training, judged, score, curves.progress)
        or _settled(training, judged, score, curves.progress)
    )


def _not_finite(*losses: Array) -> Reading | None:
    first = [int(np.argmin(np.isfinite(loss))) + 1 for loss in losses if not np.isfinite(loss).all()]
    if not first:
        return None
    found = Evidence("curves.evidence.not_finite", {"epoch": min(first)})
    return Reading(Verdict.DIVERGING, min(first), (found,), ("curves.advice.lower_rate", "curves.advice.check_inputs"))


def _exploded(training: Array) -> Reading | None:
    """Two last epochs far worse than the very first: no trend has to be waited for."""
    if len(training) < 3:
        return None
    start, best = training[0], training.min()
    limit = start + max(start - best, 0.5 * abs(start)) + 6 * noise_of(training[:-2])
    if training[-2:].min() <= limit:
        return None
    return _diverging(training, int(training.argmin()))


def _diverging(training: Array, lowest: int) -> Reading:
    facts = {"epoch": lowest + 1, "lowest": float(training[lowest]), "last": float(training[-1])}
    advice = ("curves.advice.lower_rate", "curves.advice.clip_gradient", "curves.advice.check_inputs")
    return Reading(Verdict.DIVERGING, lowest + 1, (Evidence("curves.evidence.training_rises", facts),), advice)


def _unstable(training: Array, judged: Array) -> Reading | None:
    """The training loss itself turned for good, and the validation loss did not gain by it."""
    turn = lowest_turn(training)
    if not turn.rises or turn.rise < 0.25 * max(turn.fall, MATTERS * abs(turn.level)):
        return None
    validation_gains = judged[-turn.tail :].mean() < despike(judged)[turn.index]
    return None if validation_gains else _diverging(training, turn.index)


def _turned(training: Array, judged: Array, score: Array, progress: float | None) -> Reading | None:
    """Over-fitting, or a validation loss that rises through over-confidence alone."""
    turn = lowest_turn(judged)
    if not turn.rises or turn.rise < MATTERS * max(turn.fall, abs(turn.level)):
        return None
    learned = despike(training)
    if learned[-turn.tail :].mean() > learned[turn.index] + 2 * noise_of(training):
        return None  # both rise together: a disturbance, such as a change of augmentation, not over-fitting
    facts = {"epoch": turn.index + 1, "lowest": turn.level, "last": turn.level + turn.rise}
    rise = Evidence("curves.evidence.validation_rises", facts)
    if len(score) and _score_holds(score, turn, progress):
        return _over_confident(score, turn, rise, progress)
    fell = {"epoch": turn.index + 1, "then": float(learned[turn.index]), "now": float(training[-1])}
    evidence = (rise, Evidence("curves.evidence.training_falls", fell))
    names = ("early_stopping", "more_data", "augmentation", "dropout", "weight_decay", "smaller_network")
    return Reading(Verdict.OVER_FITTING, turn.index + 1, evidence, tuple(f"curves.advice.{n}" for n in names))


def _score_holds(score: Array, turn: Turn, progress: float | None) -> bool:
    """It still rises; or it stands, at the end of a schedule, beside a slight rise of the loss."""
    around = score[max(0, turn.index - 1) : turn.index + 2].mean()
    gain, noise = score[-turn.tail :].mean() - around, noise_of(score) / np.sqrt(turn.tail)
    rising = bool(gain > noise and trend_z(score[turn.index :]) > 2.3)
    at_the_end = progress is not None and progress >= RUNNING
    slight = turn.rise <= SLIGHT * max(turn.fall, abs(turn.level))
    return rising or bool(at_the_end and slight and gain >= -noise)


def _over_confident(score: Array, turn: Turn, rise: Evidence, progress: float | None) -> Reading:
    facts = {"then": float(score[turn.index]), "now": float(score[-turn.tail :].mean())}
    evidence = (rise, Evidence("curves.evidence.over_confident", facts))
    running = progress is not None and progress < 1
    advice = ("curves.advice.calibrate", "curves.advice.label_smoothing")
    return Reading(Verdict.GOING_WELL if running else Verdict.DONE, None, evidence, advice)


def _settled(training: Array, judged: Array, score: Array, progress: float | None) -> Reading:
    """No turn: does the loss still fall, and does that matter?"""
    window = max(SHORTEST, len(judged) // 4)
    level = max(abs(float(judged[-window:].mean())), MATTERS * abs(float(judged[0])))
    coming = _still_to_gain(judged, window, level)
    if len(score):
        coming = max(coming, _still_to_gain(-score, window, abs(float(score[-window:].mean()))))
    # A score that has just left 0 more than doubles: a percentage of next to nothing says nothing.
    told = "curves.evidence.just_began" if coming >= 1 else "curves.evidence.still_falls"
    share = Evidence(told, {"percent": 100 * coming})
    running = progress is not None and progress < 1
    if coming >= (SLOW if running or progress is None else FAST):
        if running or coming < FAST:
            return Reading(Verdict.GOING_WELL, None, (share,), ("curves.advice.go_on",))
        return Reading(Verdict.NOT_DONE, None, (share,), ("curves.advice.more_epochs", "curves.advice.higher_rate"))
    if _hardly_learned(training) and _hardly_learned(judged):
        hardly = Evidence("curves.evidence.hardly_fell", {"first": float(judged[0]), "last": float(judged[-1])})
        advice = ("curves.advice.change_rate", "curves.advice.check_labels", "curves.advice.larger_network")
        return Reading(Verdict.NOT_DONE, None, (hardly,), advice)
    since = _flat_since(judged, window, level)
    flat = Evidence("curves.evidence.flat", {"epoch": since, "level": float(judged[-window:].mean())})
    if progress is not None and progress < RUNNING:
        return Reading(Verdict.GOING_WELL, None, (flat,), ("curves.advice.go_on",))
    return Reading(Verdict.DONE, since, (flat,), ("curves.advice.done",))


def _still_to_gain(losses: Array, window: int, level: float) -> float:
    """The fall to expect in as many epochs again as the window has, as a share of the level; 0 without a trend."""
    recent = losses[-window:]
    if trend_z(recent) > -1.64 or level == 0:
        return 0.0
    return max(0.0, -slope_of(recent) * window / level)


def _hardly_learned(losses: Array) -> bool:
    return bool(losses[0] - np.median(losses[-3:]) < LEARNED * abs(losses[0]))


def _flat_since(losses: Array, window: int, level: float) -> int:
    """The first epoch at which the smoothed loss is as low as the run ends."""
    smooth = despike(losses)
    low = smooth <= smooth[-window:].mean() + SLOW * level + 2 * noise_of(smooth)
    return min(int(np.argmax(low)), len(losses) - window) + 1
