"""The parts of the one-stage detector against slow implementations written from the papers, and torchvision's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import box_iou, complete_box_iou_loss

from manako.blocks.assignment import task_aligned
from manako.blocks.box_loss import distribution_focal_loss, expected_distance, quality_loss
from manako.blocks.boxes import complete_iou, inside, iou
from manako.models import create_model
from manako.models.yolo import CANDIDATES, best_candidates, sides_to_boxes
from manako.tasks.detection import TASK
from manako.training.suppressed import MOST, Suppressed
from manako.training.targets.detection import DetectionTargets
from manako.types import Frame

Array = NDArray[np.float64]
SEEDS = st.integers(0, 2**31)


def some_boxes(generator: torch.Generator, *shape: int, size: float = 64.0) -> Tensor:
    start = torch.rand(*shape, 2, generator=generator) * size * 0.8
    sides = torch.rand(*shape, 2, generator=generator) * size * 0.5 + 1
    return torch.cat([start, start + sides], -1)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_overlaps_are_torchvisions(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = some_boxes(generator, 7), some_boxes(generator, 7)
    torch.testing.assert_close(iou(first[:, None], second), box_iou(first, second))
    torch.testing.assert_close(1 - complete_iou(first, second), complete_box_iou_loss(first, second), atol=1e-5, rtol=0)


def test_complete_iou_leads_boxes_apart_together() -> None:
    """Where nothing overlaps, IoU is flat; this one still points towards the other box."""
    box = torch.tensor([[0.0, 0, 10, 10]], requires_grad=True)
    complete_iou(box, torch.tensor([[30.0, 40, 40, 50]])).sum().backward()  # type: ignore[no-untyped-call]
    assert box.grad is not None and (box.grad[0, 2:] > 0).all()
    same = torch.tensor([[3.0, 4, 9, 8]])
    assert complete_iou(same, same).item() == pytest.approx(1, abs=1e-5)


def test_a_side_between_two_distances_is_learnt_as_a_mixture_of_both() -> None:
    """The loss is smallest, with the entropy of the mixture, where the distribution is that mixture."""
    distance = torch.tensor([2.25])
    logits = torch.full((1, 5), -30.0)
    logits[0, 2:4] = torch.tensor([0.75, 0.25]).log()
    logits.requires_grad_()
    loss = distribution_focal_loss(logits, distance)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)), abs=1e-5)
    assert logits.grad is not None and logits.grad.abs().max() < 1e-5
    assert expected_distance(logits).item() == pytest.approx(2.25, abs=1e-5)
    assert distribution_focal_loss(logits, torch.tensor([9.0])).isfinite().all()  # farther than any cell can say


def test_scores_are_pulled_to_their_quality() -> None:
    quality = torch.tensor([0.0, 0.3, 1.0])
    for gamma in (0.0, 2.0):
        logits = torch.tensor([2.0, -2.0, 0.0], requires_grad=True)
        quality_loss(logits, quality, gamma).sum().backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        assert (logits.grad.sign() == torch.tensor([1.0, -1.0, -1.0])).all()
    logits = torch.tensor([2.0, -2.0, 0.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: quality_loss(x, quality.double()), logits)


def slow_assignment(
    scores: Array, boxes: Array, points: Array, truth: Array, labels: NDArray[np.int64], *, top: int
) -> dict[int, tuple[int, float]]:
    """One image, in plain loops: cell -> (object, quality)."""

    def overlap(a: Array, b: Array) -> float:
        wide, high = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
        both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
        return float(wide * high / (both - wide * high))

    wanted: dict[int, list[int]] = {}
    for m, box in enumerate(truth):
        within = [a for a, (x, y) in enumerate(points) if box[0] < x < box[2] and box[1] < y < box[3]]
        align = {a: scores[a, labels[m]] * overlap(boxes[a], box) ** 6 for a in within}
        for a in sorted(within, key=lambda a: -align[a])[:top]:
            wanted.setdefault(a, []).append(m)
    owner = {a: max(ms, key=lambda m: overlap(boxes[a], truth[m])) for a, ms in wanted.items()}
    found = {}
    for a, m in owner.items():
        mine = [b for b, other in owner.items() if other == m]
        align = {b: scores[b, labels[m]] * overlap(boxes[b], truth[m]) ** 6 for b in mine}
        best = max(overlap(boxes[b], truth[m]) for b in mine)
        found[a] = (m, align[a] / max(align.values()) * best if max(align.values()) > 0 else 0.0)
    return found


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.integers(1, 6), st.integers(1, 13))
def test_cells_are_assigned_as_the_paper_says(seed: int, objects: int, top: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    side = (torch.arange(8) + 0.5) * 8
    points = torch.cartesian_prod(side, side)
    half = torch.rand(64, 2, generator=generator) * 20 + 2
    centre = points + torch.randn(64, 2, generator=generator)
    boxes = torch.cat([centre - half, centre + half], 1)
    scores = torch.rand(64, 3, generator=generator) * 0.9 + 0.05
    truth = some_boxes(generator, objects)
    labels = torch.randint(3, (objects,), generator=generator)
    padded = torch.cat([truth, torch.tensor([[0.0, 0, 64, 64]])])  # a row that only fills up
    on = torch.arange(objects + 1) < objects
    found = task_aligned(
        scores[None].double(),
        boxes[None].double(),
        points.double(),
        truth=padded[None].double(),
        labels=torch.cat([labels, torch.zeros(1, dtype=torch.int64)])[None],
        valid=on[None],
        ignore=torch.zeros(1, objects + 1, dtype=torch.bool),
        top=top,
    )
    double = [value.double().numpy() for value in (scores, boxes, points, truth)]
    expected = slow_assignment(double[0], double[1], double[2], double[3], labels.numpy(), top=top)
    positive = found.positive[0].nonzero().flatten().tolist()
    alive = {a: pair for a, pair in expected.items() if pair[1] > 0}  # among cells of no overlap any may be taken
    assert set(alive) <= set(positive)
    for a, (m, quality) in alive.items():
        assert found.owner[0, a].item() == m
        assert found.quality[0, a].item() == pytest.approx(quality, rel=1e-6, abs=1e-9)
    for a in set(positive) - set(alive):
        assert found.quality[0, a].item() == 0
    assert not found.ignored.any()


def test_crowds_count_neither_way() -> None:
    points = torch.tensor([[4.0, 4], [12, 4], [20, 4]])
    boxes = torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [16, 0, 24, 8]])[None]
    found = task_aligned(
        torch.full((1, 3, 1), 0.5),
        boxes,
        points,
        truth=torch.tensor([[[0.0, 0, 8, 8], [0, 0, 16, 8]]]),
        labels=torch.zeros(1, 2, dtype=torch.int64),
        valid=torch.ones(1, 2, dtype=torch.bool),
        ignore=torch.tensor([[False, True]]),
    )
    assert found.positive.tolist() == [[True, False, False]]
    assert found.ignored.tolist() == [[False, True, False]]
    assert inside(points, torch.tensor([[8.0, 0, 16, 8]])).tolist() == [[False, True, False]]


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.sampled_from([(5, 3), (40, 30)]))
def test_candidates_are_the_best_pairs_of_cell_and_class(seed: int, shape: tuple[int, int]) -> None:
    cells, kinds = shape
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randn(2, cells, kinds, generator=generator)
    distances = torch.randn(2, cells, 64, generator=generator)
    grid = torch.rand(cells, 3, generator=generator) * 30
    found = best_candidates(classes, distances, grid)
    boxes = sides_to_boxes(distances, grid)
    for n in range(2):
        pairs = sorted(((classes[n, a, k].item(), a, k) for a in range(cells) for k in range(kinds)), reverse=True)
        for i, (logit, a, k) in enumerate(pairs[:CANDIDATES]):
            assert found["scores"][n, i].item() == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)
            assert found["labels"][n, i].item() == k
            torch.testing.assert_close(found["boxes"][n, i], boxes[n, a])
    assert found["scores"].shape[1] == min(CANDIDATES, cells * kinds)


def test_parts_of_a_batch_add_up_to_its_loss() -> None:
    """The loss divides by `mass`, so that parts weighed by it give the whole."""
    torch.manual_seed(0)
    model = create_model("yolo_nano", task="detection", classes=2, channels=1, imgsz=64).eval()
    valid = torch.tensor([[True, True], [True, False], [False, False]])
    corner = torch.rand(3, 2, 2) * 30
    targets = DetectionTargets(
        torch.cat([corner, corner + 20], 2), torch.randint(2, (3, 2)), valid, torch.zeros_like(valid)
    )
    images = torch.randn(3, 1, 64, 64)
    with torch.no_grad():
        whole = model.loss(model(images), targets)
        parts = [torch.tensor([0]), torch.tensor([1, 2])]
        each = [(model.loss(model(images[p]), targets.take(p)), targets.take(p).mass) for p in parts]
    assert sum(float(loss) * mass for loss, mass in each) / targets.mass == pytest.approx(float(whole), rel=1e-5)


def test_small_objects_are_learnt_from_the_first_step() -> None:
    """Before anything is learned a box of ten pixels has cells that should score what they overlap, however little."""
    torch.manual_seed(0)
    model = create_model("yolo_nano", task="detection", classes=2, channels=1, imgsz=64).eval()
    with torch.no_grad():
        found = model(torch.zeros(1, 1, 64, 64))
    boxes = sides_to_boxes(found["distances"], found["cells"])
    truth = torch.tensor([[[24.0, 24, 34, 34]]])
    one = torch.ones(1, 1, dtype=torch.bool)
    given = task_aligned(
        found["classes"].sigmoid(), boxes, found["cells"][:, :2], truth=truth, labels=one.long(), valid=one, ignore=~one
    )
    assert given.quality.max().item() == pytest.approx(iou(truth, boxes)[given.positive].max().item(), rel=1e-4)
    assert given.quality.max() > 0.04


class _Given(nn.Module):
    """Answers what it was given."""

    def __init__(self, outputs: dict[str, Tensor]) -> None:
        super().__init__()
        self.outputs = outputs
        self.normalise = nn.Identity()

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return self.outputs


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), limit=st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_within_the_graph_is_that_of_the_runtime(seed: int, limit: float) -> None:
    """Also of boxes that lie partly outside of the image, and of several images and classes."""
    random = np.random.default_rng(seed)
    corner, side = random.uniform(-60, 100, (2, 400, 2)), random.uniform(5, 60, (2, 400, 2))
    score = random.permutation(800).reshape(2, 400) / 800 + 1e-3  # no two alike
    outputs = {
        "boxes": np.concatenate([corner, corner + side], 2).astype(np.float32),
        "scores": score.astype(np.float32),
        "labels": random.integers(0, 3, (2, 400)),
    }
    network = Suppressed(_Given({k: torch.from_numpy(v) for k, v in outputs.items()}), limit)  # type: ignore[arg-type]
    made = {key: value.numpy() for key, value in network(torch.zeros(2, 3, 64, 64)).items()}
    assert made["scores"].shape == (2, MOST)
    frames = [Frame(200, 200, left=0, top=0)] * 2
    for one, other in zip(*(TASK.decode(o, frames, {"iou": limit}) for o in (outputs, made)), strict=True):
        np.testing.assert_array_equal(one.xyxy, other.xyxy)
        np.testing.assert_array_equal(one.class_id, other.class_id)
