"""Eyes, heads and trembling points, against geometry done by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import UsageError
from manako.runtime.ahead import Picture
from manako.runtime.drowsiness import Drowsiness, new_drowsiness
from manako.runtime.face import HEAD, FacePoints, eye_aspect_ratio, eyes_open, head_angles
from manako.runtime.predictor import Result
from manako.runtime.sequences import Moment
from manako.runtime.smoothing import OneEuro, PoseSmoother, smoothed
from manako.types import Poses

EYES = tuple(f"{side}_eye_{i}" for side in ("right", "left") for i in range(1, 7))
HEAD_POINTS = ("nose_tip", "chin", "mouth_right", "mouth_left")
NAMES = (*EYES, *HEAD_POINTS)


def eye(left: float, height: float) -> list[tuple[float, float]]:
    """30 wide, `height` high: the aspect ratio is height / 30."""
    half = height / 2
    return [
        (left, 50), (left + 10, 50 - half), (left + 20, 50 - half), (left + 30, 50),
        (left + 20, 50 + half), (left + 10, 50 + half),
    ]  # fmt: skip


def face(ratio: float | None) -> Poses:
    """None: the eyes are not found."""
    height = 30 * (ratio or 0)
    xy = np.array([[*eye(10, height), *eye(60, height), (50, 80), (50, 110), (35, 95), (65, 95)]], np.float32)
    if ratio is None:
        xy[:, :12] = np.nan
    box = np.array([[0, 0, 100, 120]], np.float32)
    return Poses(box, xy, np.ones(xy.shape[:2], np.float32), np.full(1, 12_000, np.float32))


def watched(
    states: Sequence[tuple[float, float | None]], **thresholds: float
) -> tuple[Drowsiness, list[dict[str, object]]]:
    """states: (seconds, aspect ratio) of each picture."""
    watch = new_drowsiness(NAMES, **thresholds)()
    lines = []
    for number, (seconds, ratio) in enumerate(states):
        found = watch.see(Moment("v.mp4", number, seconds), Result("v.mp4", "v.mp4", 100, 120, face(ratio)))
        lines.append(found["drowsiness"])
    return watch, lines  # type: ignore[return-value]


def test_aspect_ratio_by_hand() -> None:
    assert eye_aspect_ratio(np.array(eye(0, 9))) == pytest.approx(0.3)
    assert eye_aspect_ratio(np.array([(0, 0), (1, -2), (3, -1), (4, 0), (3, 1), (1, 2)], float)) == pytest.approx(6 / 8)
    assert math.isnan(eye_aspect_ratio(np.zeros((6, 2))))
    known = FacePoints.of(NAMES)
    one = face(0.3).xy[0].astype(float)
    one[:6] = np.nan
    assert eyes_open(one, known) == pytest.approx(0.3) and math.isnan(eyes_open(face(None).xy[0], known))


def test_points_of_a_face_are_known_by_name_or_by_place_among_68() -> None:
    known = FacePoints.of([str(i) for i in range(68)])
    assert known.eyes[0] == tuple(range(36, 42)) and known.head[0] == 30
    assert FacePoints.of([n.replace("_", " ").title() for n in NAMES]).eyes == FacePoints.of(NAMES).eyes
    assert FacePoints.of(("nose", "tail")) == FacePoints((), ())
    with pytest.raises(UsageError) as caught:
        new_drowsiness(("nose", "tail"))
    assert caught.value.code == "drowsiness.no_eyes"


def turn(axis: str, degrees: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Right-handed: x to the right, y down, z away from the camera."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]]}
    return np.array(rows.get(axis, [[c, -s, 0], [s, c, 0], [0, 0, 1]]))


@settings(max_examples=60, deadline=None)
@given(st.floats(-70, 70), st.floats(-60, 60), st.floats(-80, 80), st.floats(0.2, 20))
def test_head_angles_of_a_turned_head(yaw: float, pitch: float, roll: float, scale: float) -> None:
    seen = scale * (HEAD @ (turn("z", roll) @ turn("y", -yaw) @ turn("x", -pitch)).T)[:, :2] + [320, 240]
    found = head_angles(seen, FacePoints((), tuple(range(6))))
    assert found is not None
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((yaw, pitch, roll), abs=1e-4)


def test_signs_of_head_angles() -> None:
    """Nose to the image's right is the person's left; nose up is up; the chin to the image's left is clockwise."""
    known = FacePoints((), tuple(range(6)))
    for point, shift, name in ((0, (10, 0), "yaw"), (0, (0, -10), "pitch")):
        seen = HEAD[:, :2].copy()
        seen[point] += shift
        found = head_angles(seen, known)
        assert found is not None and getattr(found, name) > 5
    found = head_angles((HEAD @ turn("z", 15).T)[:, :2], known)
    assert found is not None and found.roll == pytest.approx(15)
    assert head_angles(np.full((6, 2), np.nan), known) is None
    assert head_angles(np.outer(np.arange(6.0), [1, 1]), known) is None


def test_spans_and_perclos_with_a_varying_rate() -> None:
    """Closed from 2 to 4 and from 7 to 7.5 of 10 seconds, whatever the pictures' distances."""
    times = [0, 0.5, 1.5, 2, 2.25, 3, 3.9, 4, 5, 6, 7, 7.5, 8, 9, 10]
    closed = [2 <= t < 4 or 7 <= t < 7.5 for t in times]
    watch, lines = watched([(t, 0.1 if c else 0.3) for t, c in zip(times, closed, strict=True)])
    found = watch.summary()["drowsiness"]
    assert found["closed"] == [[2, 4], [7, 7.5]] and found["longest"] == 2  # type: ignore[index]
    assert found["perclos"] == pytest.approx(0.25) and found["seconds"] == 10  # type: ignore[index]
    assert [line["closed"] for line in lines] == closed
    assert found["alarms"] == [  # type: ignore[index]
        {"seconds": 3.9, "reason": "closed"},
        {"seconds": 10, "reason": "perclos"},
    ]


def test_perclos_looks_back_a_minute_and_needs_some_seconds() -> None:
    states = [(t / 2, 0.1 if t % 4 == 0 else 0.3) for t in range(2 * 60)]  # a quarter of the time
    states += [(60 + t / 2, 0.3) for t in range(2 * 70)]
    watch, lines = watched(states)
    assert lines[10]["alarm"] is None and lines[30]["alarm"] == "perclos"
    assert lines[-1]["perclos"] == 0 and lines[-1]["alarm"] is None
    summary = watch.summary()["drowsiness"]
    assert 0.25 <= summary["highest_perclos"] < 0.3  # type: ignore[index]
    assert len(summary["alarms"]) == 1  # type: ignore[index]
    assert not watched(states, alarm=0.5)[0].summary()["drowsiness"]["alarms"]  # type: ignore[index]
    assert watched(states, closed=0.05)[0].summary()["drowsiness"]["perclos"] == 0  # type: ignore[index]


def test_pauses_and_missing_eyes_are_not_counted() -> None:
    watch, lines = watched([(0, 0.1), (0.5, 0.1), (1, None), (1.5, 0.3), (30, 0.1), (30.5, 0.1)])
    found = watch.summary()["drowsiness"]
    assert found["closed"] == [[0, 1], [30, 30.5]]  # type: ignore[index]
    assert found["seconds"] == 1.5 and found["seconds_without_eyes"] == 29  # type: ignore[index]
    assert lines[2]["eyes"] is None and lines[2]["closed"] is None and "head" not in lines[2]
    empty = new_drowsiness(NAMES)().summary()["drowsiness"]
    assert empty["perclos"] is None and not empty["closed"]  # type: ignore[index]


def test_the_alarm_is_drawn() -> None:
    picture = Image.new("RGB", (320, 240))
    watch, _ = watched([(0, 0.1), (0.9, 0.1), (1.8, 0.1)])
    drawn = watch.draw(picture.copy(), 1.0)
    assert drawn.size == picture.size and (240, 128, 60) in {c for _, c in drawn.getcolors(1 << 20) or []}


def test_one_euro_rests_and_follows() -> None:
    """Trembling of a resting point is damped; a fast point is not left behind; a late picture counts for its time."""
    random = np.random.default_rng(0)
    still = OneEuro(rest=1.0, speed=0.05)
    noisy = [50 + random.normal(0, 1, 1) for _ in range(200)]
    steady = [still(v, i / 30) for i, v in enumerate(noisy)]
    assert np.std(steady[60:]) < 0.45 * np.std(noisy[60:])
    moving = OneEuro(rest=1.0, speed=0.05)
    lag = [300 * i / 30 - moving(np.array([300 * i / 30]), i / 30)[0] for i in range(60)]
    assert abs(lag[-1]) < 6
    first = OneEuro(rest=1.0, speed=0.0)
    first(np.array([0.0]), 0.0)
    assert first(np.array([1.0]), 0.5)[0] == pytest.approx(1 / (1 + 1 / (2 * math.pi * 0.5)))


def test_subjects_are_steadied_apart_and_missing_points_begin_anew() -> None:
    smoother = PoseSmoother()

    def two(shift: float, hole: bool = False) -> Poses:
        xy = np.array([[[10, 10], [20, 20]], [[110, 10], [120, 20]]], np.float32) + np.float32(shift)
        if hole:
            xy[0, 0] = np.nan
        boxes = np.array([[0, 0, 30, 30], [100, 0, 130, 30]], np.float32)
        return Poses(boxes, xy, np.ones((2, 2), np.float32), np.full(2, 900, np.float32))

    smoother(two(0), 0.0)
    swapped = two(1)
    order = [1, 0]
    second = smoother(Poses(swapped.xyxy[order], swapped.xy[order], swapped.score, swapped.area), 1 / 30)
    assert 110 < second.xy[0, 0, 0] < 111 and 10 < second.xy[1, 0, 0] < 11
    third = smoother(two(2, hole=True), 2 / 30)
    assert np.isnan(third.xy[0, 0]).all() and not np.isnan(third.xy[0, 1]).any()
    assert smoother(two(3), 3 / 30).xy[0, 0, 0] == 13


def test_each_video_has_its_own_filter() -> None:
    def results() -> Iterator[Result]:
        for video in "ab":
            for number in range(3):
                picture = Picture(video, number, number / 30, 30.0, Image.new("RGB", (8, 8)))
                yield Result(picture, video, 100, 120, face(0.2 + 0.05 * number + (0.1 if video == "b" else 0)))

    found = [r.prediction for r in smoothed(results())]
    raw = [r.prediction for r in results()]
    assert all(isinstance(p, Poses) for p in found)
    np.testing.assert_allclose(found[3].xy, raw[3].xy)  # type: ignore[union-attr]
    assert np.abs(found[2].xy - raw[2].xy).max() > 0.3  # type: ignore[union-attr]
