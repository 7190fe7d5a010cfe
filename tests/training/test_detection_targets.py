"""Targets of boxes: where they lie in the network's pixels, and how they follow the images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.config import RunConfig
from manako.errors import ConfigError
from manako.models import create_model
from manako.run_folder import RunFolder
from manako.tasks import get_task
from manako.training.augment import Augmentation, augment, draws
from manako.training.batch import Batch
from manako.training.mosaic import crops, mosaic
from manako.training.plan import make_plan
from manako.training.sampler import generator
from manako.training.targets import classification
from manako.training.targets.detection import LEAST_PART, LEAST_SIDE, DetectionTargets, collate
from manako.training.train import _from_nothing
from manako.types import Detections, Frame, Labels

SIZE = (48, 64)


def targets_of(*boxes: tuple[float, float, float, float]) -> DetectionTargets:
    """One image of these objects, each of a class of its own."""
    return collate(
        [Detections.truth(np.array(boxes, np.float32), np.arange(len(boxes)))],
        [Frame(*SIZE)],
        classes=len(boxes),
        size=SIZE,
    )


def test_objects_of_different_numbers_are_padded_and_moved_into_the_networks_pixels() -> None:
    crowd = np.array([False, True])
    first = Detections(
        np.array([[10, 20, 30, 60], [0, 0, 100, 80]], np.float32), np.array([2, 0]), np.ones(2, np.float32), crowd
    )
    none = Detections.truth(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    frames = [Frame(80, 100, 0.5, 0.25, left=3, top=4), Frame(80, 100)]
    found = collate([first, none], frames, classes=3, size=SIZE)
    assert found.boxes[0].tolist() == [[8, 9, 18, 19], [3, 4, 53, 24]]
    assert found.labels[0].tolist() == [2, 0]
    assert found.valid.tolist() == [[True, True], [False, False]]
    assert found.ignore.tolist() == [[False, True], [False, False]]
    assert found.mass == 1 + 2  # one object and two images
    assert collate([none], frames[1:], classes=3, size=SIZE).boxes.shape == (1, 0, 4)


boxes = st.tuples(
    st.floats(0, 60, width=32), st.floats(0, 44, width=32), st.floats(2, 40, width=32), st.floats(2, 40, width=32)
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))


@settings(max_examples=60, deadline=None)
@given(
    box=boxes,
    angle=st.floats(-3, 3),
    scale=st.floats(0.3, 2),
    mirror=st.booleans(),
    move=st.tuples(st.floats(-40, 40), st.floats(-40, 40)),
)
def test_a_box_becomes_the_hull_of_its_corners_cut_off_at_the_border(
    box: tuple[float, float, float, float], angle: float, scale: float, mirror: bool, move: tuple[float, float]
) -> None:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    side = -1 if mirror else 1
    matrix = np.array([[side * cos, -sin, move[0]], [side * sin, cos, move[1]]])
    found = targets_of(box).warp(torch.from_numpy(matrix)[None].float(), SIZE)
    corners = [matrix @ (x, y, 1) for x in box[::2] for y in box[1::2]]
    xs, ys = [c[0] for c in corners], [c[1] for c in corners]
    hull = (max(xs) - min(xs)) * (max(ys) - min(ys))
    expected = [
        min(max(v, 0), limit) for v, limit in zip((min(xs), min(ys), max(xs), max(ys)), (64, 48) * 2, strict=True)
    ]
    assert found.boxes[0, 0].tolist() == pytest.approx(expected, abs=1e-3)
    wide, high = expected[2] - expected[0], expected[3] - expected[1]
    if min(abs(wide - LEAST_SIDE), abs(high - LEAST_SIDE)) > 1e-3 and abs(wide * high / hull - LEAST_PART) > 1e-3:
        assert bool(found.valid) == (min(wide, high) >= LEAST_SIDE and wide * high >= LEAST_PART * hull)


@pytest.mark.parametrize(
    "how",
    [Augmentation(flip=1.0), Augmentation(flip=0.5, shift=0.2), Augmentation(flip=0.5, area=0.5, aspect=1.3)],
    ids=["mirrored", "shifted", "cropped"],
)
def test_boxes_stay_on_their_objects_when_images_are_varied(how: Augmentation) -> None:
    """Oracle: the white pixels themselves."""
    images = torch.zeros(16, 1, *SIZE, dtype=torch.uint8)
    images[:, :, 16:30, 24:44] = 255
    targets = targets_of((24, 16, 44, 30)).take(torch.zeros(16, dtype=torch.int64))
    chance = draws(16, torch.Generator().manual_seed(0))
    found = augment(Batch(images, targets), how, chance, size=SIZE)
    assert isinstance(found.targets, DetectionTargets)
    for image, box, valid in zip(found.images, found.targets.boxes, found.targets.valid, strict=True):
        rows, columns = (image[0].float() > 127).nonzero(as_tuple=True)
        if not valid or min(rows.min(), columns.min()) == 0 or rows.max() == 47 or columns.max() == 63:
            continue  # mirrored at the border, the object is there twice
        seen = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
        assert box[0].tolist() == pytest.approx(seen, abs=1.01)
    assert found.targets.valid.sum() >= 8


def test_blended_images_have_the_objects_of_both() -> None:
    both = collate(
        [Detections.truth(np.full((n, 4), 8 * n, np.float32), np.full(n, n)) for n in (1, 2)],
        [Frame(*SIZE)] * 2,
        classes=3,
        size=SIZE,
    )
    mixed = both.mix(torch.tensor([1, 0]), torch.full((2,), 0.5))
    assert [sorted(mixed.labels[i][mixed.valid[i]].tolist()) for i in range(2)] == [[1, 2, 2], [1, 2, 2]]


def test_four_images_lie_in_one_picture_with_their_objects() -> None:
    """Oracle: each image has its own grey, and its object lies on pixels of that grey."""
    images = (torch.arange(5, dtype=torch.uint8) * 40 + 20)[:, None, None, None].expand(5, 1, *SIZE).contiguous()
    truths = [Detections.truth(np.array([[8, 8, 24, 20]], np.float32), np.array([i])) for i in range(5)]
    batch = Batch(images, collate(truths, [Frame(*SIZE)] * 5, classes=5, size=SIZE))
    whole = mosaic(batch)
    assert whole.images.shape == (5, 1, 96, 128)
    for varied in (whole, augment(whole, crops(Augmentation(area=0.5)), draws(5, generator(0, "test")), size=SIZE)):
        targets = varied.targets
        assert isinstance(targets, DetectionTargets) and 0 < targets.valid.sum() <= 20
        for image, boxes, labels, valid in zip(
            varied.images, targets.boxes, targets.labels, targets.valid, strict=True
        ):
            for box, label in zip(boxes[valid].round().int().tolist(), labels[valid].tolist(), strict=True):
                seen = image[0, box[1] + 1 : box[3] - 1, box[0] + 1 : box[2] - 1].float()
                assert seen.numel() == 0 or (seen - (label * 40 + 20)).abs().max() <= 1


def test_other_tasks_have_no_mosaics() -> None:
    labels = classification.collate([Labels.truth(0)], [], classes=2, size=SIZE)
    with pytest.raises(ConfigError, match="mosaic"):
        mosaic(Batch(torch.zeros(1, 1, *SIZE), labels))


def test_each_detector_has_a_rate_that_suits_it(tmp_path: Path) -> None:
    dataset = get_task("detection").synthetic(tmp_path / "scenes", seed=0, count=4)

    def plan(model: str, **given: Any) -> RunConfig:
        return make_plan(RunConfig(data=str(dataset.root), model=model, **given), dataset)[0]

    yolo, two_stage, plain = plan("yolo"), plan("fasterrcnn_lite0_fpn"), plan("ssd300_vgg16")
    assert yolo.lr and two_stage.lr and plain.lr and yolo.lr > two_stage.lr > plain.lr
    assert not yolo.clip and two_stage.clip and plain.clip
    assert plan("ssd300_vgg16", lr=0.002).lr == 0.002


def test_a_network_that_starts_from_nothing_learns_as_a_whole(tmp_path: Path) -> None:
    """Random lower stages held still, or slowed down 0.8 ** 17 times, would never become useful."""
    config = RunConfig(frozen_stages=1, layer_decay=0.8)
    for pretrained, wanted in ((True, (1, 0.8)), (False, (0, 1.0))):
        model = create_model("yolo_nano", task="detection", classes=2, channels=3, imgsz=64, weights="none", options={})
        model.pretrained = pretrained
        found = _from_nothing(config, model, RunFolder(tmp_path), tell=True)
        assert (found.frozen_stages, found.layer_decay) == wanted
    assert RunConfig.read(tmp_path / "config.yaml") == found
