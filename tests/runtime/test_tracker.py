"""Numbers that stay with their objects: generated motions whose truth is known exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.runtime.tracker import Tracker
from manako.tasks.detection import DOUBTFUL
from manako.types import Detections

Moment = tuple[Detections, np.ndarray]  # what a detector finds, and which object each is


def boxes(centres: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([centres - size / 2, centres + size / 2], axis=1).astype(np.float32)


def crossing(seed: int, *, count: int = 12, pictures: int = 120, noise: float = 1.0) -> Iterator[Moment]:
    """Objects on straight lines that cross each other's ways. One that is half hidden by a nearer one (a later one in
    the list) is found doubtfully, one that is nearly hidden isn't; now and then one is missed, or found where nothing
    is."""
    random = np.random.default_rng(seed)
    size = random.uniform(40, 60, (count, 2))
    begin = random.uniform(0, 800, (count, 2))
    speed = random.uniform(-5, 5, (count, 2))
    for time in range(pictures):
        xyxy = boxes(begin + time * speed, size)
        hidden = np.array(
            [max([covered(xyxy[i], other) for other in xyxy[i + 1 :]], default=0.0) for i in range(count)]
        )
        score = np.where(hidden > 0.4, 0.3, 0.9).astype(np.float32)
        there = np.flatnonzero((hidden < 0.75) & (random.random(count) > 0.03))
        noisy = xyxy[there] + random.normal(0, noise, (len(there), 4)).astype(np.float32)
        truth = there.astype(np.int64)
        if random.random() < 0.1:
            false = boxes(random.uniform(900, 1500, (1, 2)), np.full((1, 2), 50))
            noisy, truth = np.concatenate([noisy, false]), np.append(truth, -1)
            score = np.append(score[there], np.float32(0.8))
        else:
            score = score[there]
        yield Detections(noisy.astype(np.float32), np.zeros(len(truth), np.int64), score, confidence=0.5), truth


def covered(mine: np.ndarray, other: np.ndarray) -> float:
    low, high = np.maximum(mine[:2], other[:2]), np.minimum(mine[2:], other[2:])
    return float(np.clip(high - low, 0, None).prod() / (mine[2:] - mine[:2]).prod())


def switches(moments: list[Moment], tracker: Tracker) -> tuple[int, int, int]:
    """How often an object's number changed; how many sure and how many doubtful sightings had none."""
    last: dict[int, int] = {}
    changed = 0
    without = [0, 0]
    for found, truth in moments:
        followed = tracker.follow(found)
        assert followed.track is not None
        number_at = {tuple(b): n for b, n in zip(followed.xyxy.tolist(), followed.track.tolist(), strict=True)}
        for box, score, who in zip(found.xyxy.tolist(), found.score, truth.tolist(), strict=True):
            number = number_at.get(tuple(box), 0)
            if who < 0:
                continue
            if not number:
                without[int(score < 0.5)] += 1
                continue
            changed += last.get(who, number) != number
            last[who] = number
    return changed, without[0], without[1]


def test_objects_that_cross_keep_their_numbers() -> None:
    """Twelve objects cross in each of six scenes of 120 pictures: some 8,000 sightings, 136 of them doubtful."""
    scenes = [list(crossing(seed)) for seed in range(6)]
    doubtful = sum(int((found.score < 0.5).sum()) for scene in scenes for found, _ in scene)
    changed, sure_without, doubtful_without = np.sum([switches(s, Tracker()) for s in scenes], axis=0)
    assert doubtful > 100
    assert changed <= 3
    assert sure_without <= 6 * 12  # the first sighting of each
    assert doubtful_without < 0.3 * doubtful
    # The measure has teeth: without memory of what is hidden, numbers change all the time.
    assert np.sum([switches(s, Tracker(memory=0)) for s in scenes], axis=0)[0] > 100


def test_two_objects_that_meet_and_pass() -> None:
    """Exactly: one goes right, one left, on the same line; for 4 pictures neither is found."""
    tracker, size = Tracker(), np.full((2, 2), 40)
    seen = []
    for time in range(60):
        centres = np.array([[100.0 + 6 * time, 100], [460.0 - 6 * time, 108]])
        found = Detections.truth(boxes(centres, size), np.zeros(2, np.int64))
        found = found.take(np.array([], np.int64)) if 29 <= time <= 32 else found
        followed = tracker.follow(found)
        assert followed.track is not None
        seen.append(followed.track.tolist())
    assert all(numbers in ([1, 2], []) for numbers in seen) and seen[-1] == [1, 2]


def test_one_number_each_first_seen_twice() -> None:
    tracker = Tracker(memory=3)
    one = Detections.truth(np.array([[0, 0, 50, 50]], np.float32), np.array([1]))
    two = Detections.truth(np.array([[0, 0, 50, 50], [200, 0, 250, 50]], np.float32), np.array([1, 0]))
    nothing = one.take(np.array([], np.int64))
    doubtful = replace(two, score=np.array([0.9, 0.2], np.float32), confidence=0.4)

    def numbers(found: Detections) -> list[int]:
        track = tracker.follow(found).track
        assert track is not None
        return track.tolist()

    assert numbers(one) == [1]  # what the first picture shows was there before
    assert numbers(doubtful) == [1]  # a doubtful one that nobody knows isn't shown
    assert numbers(two) == [1] and numbers(two) == [1, 2]
    assert numbers(doubtful) == [1, 2]
    assert numbers(replace(doubtful, confidence=0.6)) == [1]  # far below the confidence
    assert numbers(nothing) == [] and numbers(nothing) == [] and numbers(two) == [1, 2]
    for _ in range(4):
        assert numbers(nothing) == []
    assert numbers(two) == [] and numbers(two) == [3, 4]  # forgotten


def test_pictures_left_out_are_counted() -> None:
    """At every third picture, with the time told, the foreseen places are right."""
    for elapsed in (1, 3):
        tracker = Tracker()
        for step in range(20):
            x = 100 + 5 * step * elapsed
            found = Detections.truth(np.array([[x, 0, x + 60, 60]], np.float32), np.zeros(1, np.int64))
            track = tracker.follow(found, elapsed).track
            assert track is not None and track.tolist() == [1]
        assert tracker._tracks.speed[0, 0] == pytest.approx(5, abs=0.3)


def test_the_filter_equals_one_with_matrices() -> None:
    """Predict and correct as textbooks write them (Kalman 1960), for one coordinate of one object."""
    random = np.random.default_rng(3)
    tracker = Tracker()
    seen = 100 + 3.0 * np.arange(30) + random.normal(0, 1.5, 30)
    mean, covariance = np.zeros(2), np.eye(2)
    for step, x in enumerate(seen):
        box = np.array([[x - 20, 30, x + 20, 90]], np.float32)
        tracker.follow(Detections.truth(box, np.zeros(1, np.int64)))
        if step == 0:
            mean = np.array([float(box[0, 0] + box[0, 2]) / 2, 0])
            covariance = np.diag([(2 * 40 / 20) ** 2, (10 * 40 / 160) ** 2])
            continue
        width = tracker._tracks.place[0, 2]
        move, look = np.array([[1, 1], [0, 1]]), np.array([[1, 0]])
        mean = move @ mean
        covariance = move @ covariance @ move.T + np.diag([(40 / 20) ** 2, (40 / 160) ** 2])
        gain = covariance @ look.T / (look @ covariance @ look.T + (40 / 20) ** 2)
        mean = mean + gain[:, 0] * (x - mean[0])
        covariance = covariance - gain @ look @ covariance
        assert width == pytest.approx(40, abs=1e-3)
    tracks = tracker._tracks
    assert (tracks.place[0, 0], tracks.speed[0, 0]) == pytest.approx(tuple(mean), abs=1e-3)
    found = (tracks.var_place[0, 0], tracks.covariance[0, 0], tracks.var_speed[0, 0])
    assert found == pytest.approx((covariance[0, 0], covariance[0, 1], covariance[1, 1]), rel=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 2**31), max_size=6))
def test_whatever_comes_nothing_is_doubled_or_made_up(seeds: list[int]) -> None:
    tracker = Tracker()
    for seed in seeds:
        random = np.random.default_rng(seed)
        count = int(random.integers(0, 8))
        low = random.uniform(-50, 50, (count, 2))
        xyxy = np.concatenate([low, low + random.uniform(0, 60, (count, 2))], axis=1).astype(np.float32)
        found = Detections(xyxy, random.integers(0, 2, count), random.random(count).astype(np.float32), confidence=0.5)
        followed = tracker.follow(found, float(random.uniform(0.2, 4)))
        assert set(map(tuple, followed.xyxy.tolist())) <= set(map(tuple, found.xyxy.tolist()))
        assert (followed.score >= 0.5 * DOUBTFUL).all() and followed.track is not None
        assert len(followed) == len(set(followed.track.tolist())) and (followed.track > 0).all()


def test_one_place_holds_one_object() -> None:
    """What is taken for two classes at once is followed as the surer one; a change of class keeps the number."""
    tracker = Tracker()
    box = np.array([[0, 0, 50, 50], [1, 0, 50, 51], [30, 0, 80, 50]], np.float32)
    for first, second in ((0.6, 0.9), (0.8, 0.7)):
        score = np.array([first, second, 0.5], np.float32)
        followed = tracker.follow(Detections(box, np.array([0, 1, 0]), score))
        assert followed.track is not None and followed.track.tolist() == [1, 2]
        assert followed.class_id.tolist() == [int(second > first), 0]
