"""Regions of objects: their scores against pycocotools, their masks against torch, their targets against geometry."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from manako.regions import compress, mask_of_runs, outline_of
from manako.samples.objects import HEIGHT, WIDTH, make_scene
from manako.tasks._paste import pasted, runs_of_part
from manako.tasks.detection import TASK as DETECTION
from manako.tasks.instances import MASK, TASK
from manako.training.targets.instances import collate, tight_boxes
from manako.types import Detections, Frame, Outline

CLASSES = ("circle", "cross", "square", "triangle")


def truth_of(seed: int) -> Detections:
    scene = make_scene(np.random.default_rng(seed), first=seed % 4)
    boxes = np.array([[*o.min(0), *o.max(0)] for o in scene.outlines], np.float32)
    outlines = tuple(Outline((o.astype(np.float32),)) for o in scene.outlines)
    return replace(Detections.truth(boxes, np.array(scene.shapes)), outlines=outlines)


def shaken(truth: Detections, random: np.random.Generator) -> Detections:
    """Answers near the truth, as run lengths."""
    masks = []
    for box in truth.xyxy:
        mask = np.zeros((HEIGHT, WIDTH), bool)
        left, top, right, bottom = (np.maximum(0, box + random.normal(0, 2, 4))).astype(int)
        mask[top:bottom, left : right + 1] = True
        masks.append(outline_of(mask))
    score = random.random(len(truth)).astype(np.float32)
    return Detections(truth.xyxy, truth.class_id, score, outlines=tuple(masks), confidence=0.3)


def rle(outline: Outline) -> dict[str, object]:
    if outline.runs is not None:
        return {"size": [HEIGHT, WIDTH], "counts": compress(outline.runs)}
    flat = [p.astype(float).reshape(-1).tolist() for p in outline.polygons]
    merged = coco_mask.merge(coco_mask.frPyObjects(flat, HEIGHT, WIDTH))
    return {"size": [HEIGHT, WIDTH], "counts": merged["counts"].decode("ascii")}


def as_coco(found: list[Detections], truths: list[Detections]) -> COCOeval:
    annotations, results = [], []
    for image, (answer, truth) in enumerate(zip(found, truths, strict=True), start=1):
        crowd = np.zeros(len(truth), bool) if truth.crowd is None else truth.crowd
        for outline, kind, many in zip(truth.outlines or (), truth.class_id, crowd, strict=True):
            region = rle(outline) if outline else None
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": int(kind) + 1, "iscrowd": int(many)}
            annotations.append(one | {"segmentation": region, "area": float(coco_mask.area(region)), "bbox": [0] * 4})
        for outline, kind, score in zip(answer.outlines or (), answer.class_id, answer.score, strict=True):
            region = rle(outline) if outline else None
            one = {"image_id": image, "category_id": int(kind) + 1, "score": float(score)}
            results.append(one | {"segmentation": region})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1, "height": HEIGHT, "width": WIDTH} for i in range(len(truths))],
            "annotations": annotations,
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        }
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(results), "segm")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run


def test_mask_average_precision_is_that_of_pycocotools() -> None:
    random = np.random.default_rng(3)
    truths = [truth_of(seed) for seed in range(16)]
    truths = [replace(t, crowd=random.random(len(t)) < 0.15) for t in truths]
    found = [shaken(t, random) for t in truths]
    answer, wanted = TASK.evaluate(found, truths, CLASSES, intervals=False), as_coco(found, truths).stats
    for name, value in zip(("ap", "ap50", "ap75", "ap_small", "ap_medium"), wanted[:5].tolist(), strict=True):
        assert 0 < value < 1
        assert answer.metrics[name] == pytest.approx(value, abs=1e-6)
    boxes = DETECTION.evaluate(found, truths, CLASSES, intervals=False)
    assert answer.metrics["box_ap"] == pytest.approx(boxes.metrics["ap"], abs=1e-9)


def test_a_region_without_outline_is_its_box() -> None:
    truth = truth_of(2)
    bare = replace(truth, outlines=None)
    assert TASK.evaluate([bare], [bare], CLASSES, intervals=False).metrics["ap"] == 1.0
    nothing = Detections.truth(np.empty((0, 4), np.float32), np.empty(0, np.int64))
    assert TASK.evaluate([nothing], [truth], CLASSES, intervals=False).main.value == 0.0
    assert TASK.evaluate([truth], [nothing], CLASSES, intervals=False).main.value == 0.0


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(-20, 60)] * 2, *[st.floats(1, 70)] * 2), st.integers(0, 9))
def test_a_mask_is_laid_into_the_image_as_torch_samples_it(place: tuple[float, ...], seed: int) -> None:
    mask = np.random.default_rng(seed).random((MASK, MASK)).astype(np.float32)
    left, top, wide, high = place
    outline = pasted(mask, np.array([left, top, left + wide, top + high]), 48, 64)
    assert outline.runs is not None
    x = (torch.arange(64) + 0.5 - left) / wide * 2 - 1
    y = (torch.arange(48) + 0.5 - top) / high * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None].double()
    source = torch.from_numpy(mask)[None, None].double()
    value = torch.nn.functional.grid_sample(source, grid, align_corners=False)[0, 0].numpy()
    sure = np.abs(value - 0.5) > 1e-4
    inside = (np.abs(grid[0].numpy()) <= 1).all(-1)  # torch's goes on for half a cell beyond the box
    np.testing.assert_array_equal(mask_of_runs(outline.runs, 48, 64)[sure & inside], (value >= 0.5)[sure & inside])
    assert not mask_of_runs(outline.runs, 48, 64)[~inside & sure & (value < 0.5)].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(1, 6)] * 2), st.tuples(*[st.integers(0, 3)] * 4))
def test_runs_of_a_part_are_those_of_the_whole(seed: int, part: tuple[int, ...], margins: tuple[int, ...]) -> None:
    inner = np.random.default_rng(seed).random(part) < 0.6
    left, top, right, bottom = margins
    whole = np.pad(inner, ((top, bottom), (left, right)))
    runs = runs_of_part(inner, left, top, *whole.shape)
    np.testing.assert_array_equal(mask_of_runs(runs, *whole.shape), whole)
    assert (runs[1:-1] > 0).all()


def test_targets_follow_the_objects() -> None:
    truth = truth_of(6)
    frame = Frame(HEIGHT, WIDTH, 0.75, 0.75, 0.0, 12.0)
    targets = collate([truth], [frame], classes=4, size=(96, 96))
    count = len(truth)
    assert targets.objects.valid.all() and targets.mass == count + 1
    boxes, pixels = tight_boxes(targets.regions.class_id, count)
    assert (boxes - targets.objects.boxes).abs().max() <= 1.0
    assert (pixels > 0).all() and targets.masks(0).sum((1, 2)).tolist() == pixels[0].tolist()
    mirror = torch.tensor([[[-1.0, 0, 96], [0, 1, 0]]])
    flipped = targets.warp(mirror, (96, 96))
    assert torch.equal(flipped.regions.class_id, targets.regions.class_id.flip(2))
    assert torch.equal(flipped.objects.boxes[..., 0], 96 - boxes[..., 2])
    away = targets.warp(torch.tensor([[[1.0, 0, 500], [0, 1, 0]]]), (96, 96))
    assert not away.objects.valid.any()
    half = targets.warp(torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]), (48, 48))
    assert half.objects.valid.all() and (half.objects.boxes * 2 - boxes).abs().max() <= 2.0
    runs = replace(truth, outlines=tuple(outline_of(_drawn(o)) for o in truth.outlines or () if o))
    other = collate([runs], [frame], classes=4, size=(96, 96))
    assert (other.regions.class_id != targets.regions.class_id).float().mean() < 0.01


def _drawn(outline: Outline) -> np.ndarray:
    from manako.regions import mask_of

    return mask_of(outline, HEIGHT, WIDTH)


def test_one_pixel_of_a_steep_border_is_no_difference_a_shifted_mask_is() -> None:
    masks = np.zeros((1, 2, 28, 28), np.float32)
    masks[0, 0, 7:21, 7:21] = 1
    boxes = np.array([[[0, 0, 20, 20], [0, 0, 0, 0]]], np.float32)
    before = {"boxes": boxes, "scores": np.array([[0.9, 0]], np.float32), "labels": np.zeros((1, 2), np.int64)}
    rounded, shifted = masks.copy(), np.roll(masks, 1, axis=3)
    rounded[0, 0, 7, 7] -= 1e-3
    assert 0 < TASK.difference({**before, "masks": masks}, {**before, "masks": rounded}) < 1e-5
    assert TASK.difference({**before, "masks": masks}, {**before, "masks": shifted}) > 1e-2
