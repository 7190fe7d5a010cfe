"""Drawn faces: their truth is what a face's geometry says, and a watcher of blinks finds the blinks that were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from manako.formats import read_dataset
from manako.images import Preprocess
from manako.runtime.card import ModelCard
from manako.runtime.face import FacePoints, eyes_open, head_angles
from manako.runtime.options import PredictOptions
from manako.runtime.pipeline import predict_sources
from manako.runtime.predictor import Predictor
from manako.runtime.video import VideoFile
from manako.runtime.writer import write_results
from manako.samples.faces import FLIPS, LID, LIMBS, NAMES, SIGMA, Pose, face_video, new_look, points, write_faces
from manako.types import Poses, Skeleton

FACE = FacePoints.of(NAMES)
RATE, SECONDS = 20.0, 12.0
BLINKS = ((1.0, 1.3), (3.0, 3.5), (6.0, 8.2))


def test_the_points_of_a_face_say_how_it_was_drawn() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        yaw, pitch, roll = random.uniform(-30, 30, 3)
        xy = points(Pose(yaw, pitch, roll, 60, 70, 0.3), random.uniform(0.5, 3))
        found = head_angles(xy, FACE)
        assert found is not None and [found.yaw, found.pitch, found.roll] == pytest.approx([yaw, pitch, roll])
    for eyes in (0.06, 0.2, 0.35):
        assert eyes_open(points(Pose(0, 0, 0, 60, 70, eyes), 1.0), FACE) == pytest.approx(eyes, rel=0.01)
    mirrored = points(Pose(20, 5, 0, 0, 0, 0.3), 1.0)
    order = np.arange(len(NAMES))
    for a, b in FLIPS:
        order[[a, b]] = order[[b, a]]
    turned = points(Pose(-20, 5, 0, 0, 0, 0.3), 1.0)
    np.testing.assert_allclose(mirrored[order] * [-1, 1], turned, atol=1e-9)


def test_faces_are_read_as_labelled_points(tmp_path: Path) -> None:
    dataset = read_dataset(write_faces(tmp_path, seed=2, count=6))
    assert dataset.classes == NAMES and dataset.skeleton is not None
    assert all(problem.severity == "note" for problem in dataset.problems)
    assert sorted(dataset.skeleton.flips) == sorted(FLIPS) and dataset.skeleton.limbs[: len(LIMBS)] == LIMBS
    for sample in dataset.samples:
        assert isinstance(sample.target, Poses) and (sample.target.score == 1).all()


class Knows:
    """An engine that knows where the points of each picture are."""

    def __init__(self, places: list[NDArray[np.float64]], size: int) -> None:
        skeleton = Skeleton(NAMES, LIMBS, FLIPS, (SIGMA,) * len(NAMES))
        plan = Preprocess(size, size, "letterbox")
        self.card = ModelCard("pose", "none", NAMES, plan, (0.5,), (0.5,), skeleton=skeleton)
        self._places = iter(places)

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        peaks = np.ones((len(images), len(NAMES), 1, 3), np.float32)
        peaks[:, :, 0, :2] = [next(self._places) for _ in images]
        return {"peaks": peaks, "limbs": np.ones((len(images), len(LIMBS), 1, 1), np.float32)}


def test_blinks_of_a_video_are_found_with_their_times_and_the_alarm(tmp_path: Path) -> None:
    """The true points of a drawn video through the whole line of prediction; lids cross the threshold within LID."""
    video, places = VideoFile(tmp_path / "v.mp4", rate=RATE), []
    for number, (picture, xy) in enumerate(
        face_video(seed=5, seconds=SECONDS, blinks=BLINKS, rate=RATE, size=(96, 96))
    ):
        video.add(picture, number / RATE)
        places.append(xy)
    video.finish()
    predictor = Predictor(Knows(places, 96))
    job = predict_sources(predictor, [tmp_path / "v.mp4"], PredictOptions(watch="drowsiness"))
    out = tmp_path / "out"
    written = write_results(job.results, predictor, out=out, root=tmp_path, draw=True, readings=job.readings)
    (record,) = written.sequences
    found = record["drowsiness"]
    assert isinstance(found, dict)
    spans = np.array(found["closed"])
    assert spans.shape == (3, 2) and np.abs(spans - BLINKS).max() <= LID + 1 / RATE
    assert found["alarms"] == [{"seconds": pytest.approx(6 + 1.5, abs=0.15), "reason": "closed"}, *found["alarms"][1:]]
    assert found["perclos"] == pytest.approx(3.0 / SECONDS, abs=0.03)
    assert (out / "pictures" / "v.mp4").stat().st_size > 1000


def test_the_same_seed_gives_the_same_pictures() -> None:
    one, two = (next(iter(face_video(seed=1, seconds=1, blinks=()))) for _ in range(2))
    assert np.array_equal(np.asarray(one[0]), np.asarray(two[0])) and isinstance(one[0], Image.Image)
    assert new_look(np.random.default_rng(1), (64, 64)) != new_look(np.random.default_rng(2), (64, 64))
