"""Scores of found objects against pycocotools, torchvision, and what can be said without either."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from manako.metrics.average_precision import best_confidence, curve, interval, pool, resampled
from manako.metrics.boxes import overlaps, suppress
from manako.metrics.matching import MOST
from manako.tasks.detection import TASK
from manako.types import Detections, Evaluation, Frame

CLASSES = ("a", "b", "c")


def scene(random: np.random.Generator, count: int, *, crowds: bool = True) -> tuple[Detections, Detections]:
    """Random truth, and answers near to it, elsewhere, of another class, doubled; some scores are equal."""
    corner = random.uniform(0, 150, (count, 2))
    side = random.choice([12, 40, 80, 130], (count, 1)) * random.uniform(0.7, 1.3, (count, 2))
    boxes = np.concatenate([corner, corner + side], 1).astype(np.float32)
    kinds = random.integers(0, len(CLASSES), count)
    crowd = random.random(count) < (0.15 if crowds else 0)
    truth = Detections(boxes, kinds, np.ones(count, np.float32), crowd=crowd)
    near = np.concatenate([boxes + random.normal(0, s, boxes.shape).astype(np.float32) for s in (1, 4, 9)])
    near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
    classes = np.where(random.random(len(near)) < 0.2, random.integers(0, len(CLASSES), len(near)), np.tile(kinds, 3))
    score = (random.integers(1, 30, len(near)) / 30).astype(np.float32)
    keep = random.random(len(near)) < 0.6
    return Detections(near[keep], classes[keep], score[keep], confidence=0.3), truth


def many_scenes(seed: int, images: int, most: int) -> tuple[list[Detections], list[Detections]]:
    random = np.random.default_rng(seed)
    pairs = [scene(random, int(random.integers(0, most))) for _ in range(images)]
    return [found for found, _ in pairs], [truth for _, truth in pairs]


def as_coco(found: list[Detections], truths: list[Detections]) -> COCOeval:
    def box(xyxy: np.ndarray) -> list[float]:
        left, top, right, bottom = (float(v) for v in xyxy)
        return [left, top, right - left, bottom - top]

    annotations, results = [], []
    for image, (answer, truth) in enumerate(zip(found, truths, strict=True), start=1):
        assert truth.crowd is not None
        for b, k, c in zip(truth.xyxy, truth.class_id, truth.crowd, strict=True):
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": int(k) + 1, "bbox": box(b)}
            annotations.append(one | {"area": box(b)[2] * box(b)[3], "iscrowd": int(c)})
        for b, k, s in zip(answer.xyxy, answer.class_id, answer.score, strict=True):
            results.append({"image_id": image, "category_id": int(k) + 1, "bbox": box(b), "score": float(s)})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(len(truths))],
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def check_equal(found: Evaluation, run: COCOeval) -> None:
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    for name, value in zip(names, run.stats[:6].tolist(), strict=True):
        assert found.metrics[name] == pytest.approx(value, abs=1e-6), name
    precision = run.eval["precision"][..., 0, 2]  # overlaps, recalls, classes
    for kind, name in enumerate(CLASSES):
        assert found.per_class[name]["ap"] == pytest.approx(precision[:, :, kind].mean(), abs=1e-6)
        np.testing.assert_allclose(found.tables["precision"][kind], precision[0, :, kind], atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed: int) -> None:
    found, truths = many_scenes(seed, images=12, most=14)
    check_equal(TASK.evaluate(found, truths, CLASSES, intervals=False), as_coco(found, truths))


def test_of_one_class_the_hundred_best_in_an_image_are_scored() -> None:
    random = np.random.default_rng(7)
    pairs = [scene(random, 120) for _ in range(2)]
    found, truths = [f for f, _ in pairs], [t for _, t in pairs]
    one = [Detections(f.xyxy, f.class_id * 0, f.score) for f in found]
    assert all(len(f) > MOST for f in one)
    truths = [Detections(t.xyxy, t.class_id * 0, t.score, crowd=t.crowd) for t in truths]
    answer = TASK.evaluate(one, truths, CLASSES, intervals=False)
    assert answer.metrics["ap"] == pytest.approx(as_coco(one, truths).stats[0], abs=1e-6)


def test_a_resampled_score_is_that_of_the_resampled_images() -> None:
    found, truths = many_scenes(5, images=8, most=8)
    random = np.random.default_rng(2)  # no equal scores, whose order would matter
    found = [replace(f, score=random.random(len(f)).astype(np.float32)) for f in found]
    pooled = pool([TASK.measure(f, t, CLASSES).matches for f, t in zip(found, truths, strict=True)], len(CLASSES))
    drawn = np.random.default_rng(1).multinomial(8, np.full(8, 1 / 8), 6)
    for times, score in zip(drawn, resampled(pooled, drawn).tolist(), strict=True):
        rows = np.repeat(np.arange(8), times)
        again = TASK.evaluate([found[i] for i in rows], [truths[i] for i in rows], CLASSES, intervals=False)
        assert score == pytest.approx(again.main.value, abs=1e-9)


def test_intervals_hold_the_score_and_shrink_with_more_images() -> None:
    widths = []
    for images in (10, 80):
        found, truths = many_scenes(3, images=images, most=8)
        main = TASK.evaluate(found, truths, CLASSES).main
        assert main.low <= main.value <= main.high
        assert main == TASK.evaluate(found, truths, CLASSES).main
        widths.append(main.high - main.low)
    assert widths[1] < widths[0] / 2
    nothing = pool([], 2)
    assert interval(nothing, 5, 0.0)[0] == 0.0
    assert np.isnan(curve(nothing[0])).all()


def test_images_without_objects_count_as_images() -> None:
    empty = Detections.truth(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    answer = TASK.evaluate([empty, empty], [empty, empty], CLASSES)
    assert (answer.main.value, answer.count, answer.worst) == (0.0, 2, ())
    box = np.array([[0, 0, 9, 9]], np.float32)
    false = Detections(box, np.zeros(1, np.int64), np.full(1, 0.9, np.float32))
    answer = TASK.evaluate([false, empty], [empty, Detections.truth(box, np.zeros(1, np.int64))], CLASSES)
    assert answer.main.value == 0.0 and set(answer.worst) == {0, 1}


def test_each_kind_of_mistake() -> None:
    boxes = [[0, 0, 20, 20], [50, 50, 80, 80], [100, 0, 130, 30], [0, 100, 40, 140]]
    truth = Detections.truth(np.array(boxes, np.float32), np.array([0, 1, 2, 0]))
    answers = [
        ([0, 0, 20, 20], 0, 0.9),  # right
        ([1, 1, 20, 20], 0, 0.8),  # again
        ([50, 50, 80, 80], 2, 0.7),  # another class
        ([115, 0, 145, 30], 2, 0.6),  # a third of it
        ([200, 200, 220, 220], 1, 0.5),  # nothing there
        ([0, 100, 40, 140], 0, 0.1),  # not sure enough
    ]
    found = Detections(
        np.array([a[0] for a in answers], np.float32),
        np.array([a[1] for a in answers]),
        np.array([a[2] for a in answers], np.float32),
        confidence=0.3,
    )
    measured = TASK.measure(found, truth, CLASSES)
    assert measured.mistakes.kinds == {"missed": 1, "invented": 1, "wrong_class": 1, "misplaced": 1, "double": 1}
    table = TASK.summarise([measured], CLASSES, intervals=False).tables["confusion"]
    assert table.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 1, 0]]


def test_the_best_confidence_lies_between_right_and_wrong() -> None:
    box = np.array([[0, 0, 9, 9]], np.float32)
    truth = Detections.truth(box, np.zeros(1, np.int64))
    right = Detections(box, np.zeros(1, np.int64), np.full(1, 0.8, np.float32))
    wrong = Detections(box + 50, np.zeros(1, np.int64), np.full(1, 0.4, np.float32))
    nothing = Detections.truth(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    pooled = pool([TASK.measure(f, t, ()).matches for f, t in ((right, truth), (wrong, nothing))], 1)
    assert best_confidence(pooled, 0.25) == pytest.approx(0.605, abs=0.011)
    assert best_confidence(pool([], 1), 0.25) == 0.25


def test_a_row_of_a_table_holds_the_box_and_the_number_of_who_is_followed() -> None:
    box = np.array([[1, 2, 30, 40], [5, 6, 7, 8]], np.float32)
    found = Detections(box, np.array([1, 0]), np.array([0.75, 0.2], np.float32), track=np.array([7, 8]), confidence=0.5)
    rows = TASK.as_rows(found, ("nut", "bolt"))
    assert [[row[column] for column in TASK.columns] for row in rows] == [["bolt", 0.75, 1, 2, 30, 40, 7]]
    assert TASK.as_rows(replace(found, track=None), ("nut", "bolt"))[0]["track"] == ""


Box = st.tuples(*[st.integers(0, 24)] * 2, *[st.integers(1, 12)] * 2)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(Box, st.integers(0, 2), st.integers(1, 9)), max_size=40), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_is_that_of_torchvision(objects: list[tuple[tuple[int, ...], int, int]], iou: float) -> None:
    order = sorted(range(len(objects)), key=lambda i: -objects[i][2])
    rows = [objects[i] for i in order]
    boxes = np.array([(x, y, x + w, y + h) for (x, y, w, h), _, _ in rows], np.float32).reshape(-1, 4)
    kinds = np.array([k for _, k, _ in rows], np.int64)
    scores = torch.tensor([float(s) for _, _, s in rows])
    wanted = [
        torch.from_numpy(np.flatnonzero(kinds == k))[
            torchvision.ops.nms(torch.from_numpy(boxes[kinds == k]), scores[torch.from_numpy(kinds == k)], iou)
        ]
        for k in range(3)
    ]
    assert suppress(boxes, kinds, iou=iou, limit=100).tolist() == sorted(torch.cat(wanted).tolist())


@settings(max_examples=50, deadline=None)
@given(st.lists(Box, min_size=1, max_size=8), st.lists(Box, min_size=1, max_size=8))
def test_overlaps_are_those_of_torchvision(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    one, other = (np.array([(x, y, x + w, y + h) for x, y, w, h in part], np.float32) for part in (first, second))
    wanted = torchvision.ops.box_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()
    np.testing.assert_allclose(overlaps(one, other), wanted, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), confidence=st.floats(0.01, 0.9))
def test_what_is_left_out_for_people_changes_nothing_that_they_see(seed: int, confidence: float) -> None:
    random = np.random.default_rng(seed)
    corner, side = random.uniform(0, 60, (1, 80, 2)), random.uniform(5, 40, (1, 80, 2))
    outputs = {
        "boxes": np.concatenate([corner, corner + side], 2).astype(np.float32),
        "scores": random.uniform(0, 1, (1, 80)).astype(np.float32) ** 2,
        "labels": random.integers(0, 2, (1, 80)),
    }
    chosen = {"confidence": confidence, "iou": 0.5}
    (whole,), (quick,) = (TASK.decode(outputs, [Frame(100, 100)], s) for s in (chosen, TASK.to_show(chosen)))
    assert len(quick) <= len(whole) and TASK.as_json(quick, ("a", "b")) == TASK.as_json(whole, ("a", "b"))
