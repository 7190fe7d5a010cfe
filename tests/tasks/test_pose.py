"""Matching, metrics and the learning half of poses, against slow references, pycocotools and hand-made cases."""

from __future__ import annotations

import contextlib
import io
import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.blocks.top_down import TopDown
from manako.metrics.poses import THRESHOLDS, OksAp, measure, similarity, subject_scores
from manako.models.heatmap_pose import HeatmapPose
from manako.models.openpose import Openpose, parse_limbs
from manako.skeletons import complete
from manako.tasks import get_task
from manako.tasks._pose_matching import NOBODY, match_limbs
from manako.training.augment import Augmentation, augment, draws
from manako.training.batch import Batch
from manako.training.targets.pose import collate
from manako.types import Frame, Poses, Skeleton

POINTS = ("nose", "left_ear", "right_ear", "tail")
SKELETON = Skeleton(POINTS, ((0, 1), (0, 2), (0, 3)), ((1, 2),), (0.03, 0.05, 0.05, 0.1))


def poses(xy: Any, score: Any = None, area: float = 900.0) -> Poses:
    points = np.asarray(xy, np.float32)
    known = np.ones(points.shape[:2], np.float32) if score is None else np.asarray(score, np.float32)
    low, high = np.nanmin(points, 1), np.nanmax(points, 1)
    return Poses(np.concatenate([low, high], 1), points, known, np.full(len(points), area, np.float32))


def slow_match(seen: Any, strength: Any, limbs: Any, least: float) -> set[frozenset[tuple[int, int]]]:
    """The same rule with sets and nothing else."""
    found = []
    for limb, (start, end) in enumerate(limbs):
        for a, b in itertools.product(range(seen.shape[1]), repeat=2):
            if seen[start, a] and seen[end, b] and strength[limb, a, b] >= least:
                found.append((-float(strength[limb, a, b]), limb, a, b))
    groups = {frozenset([(k, p)]) for k in range(len(seen)) for p in range(seen.shape[1]) if seen[k, p]}
    used = set()
    for _, limb, a, b in sorted(found):
        start, end = limbs[limb]
        if (limb, 0, a) in used or (limb, 1, b) in used:
            continue
        used |= {(limb, 0, a), (limb, 1, b)}
        one = next(g for g in groups if (start, a) in g)
        other = next(g for g in groups if (end, b) in g)
        if one != other and not {k for k, _ in one} & {k for k, _ in other}:
            groups = groups - {one, other} | {one | other}
    return groups


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 5), st.floats(0, 1))
def test_matching_equals_a_slow_reference(seed: int, candidates: int, points: int, least: float) -> None:
    random = np.random.default_rng(seed)
    limbs = [(a, b) for a, b in itertools.combinations(range(points), 2) if random.uniform() < 0.6] or [(0, 1)]
    seen = random.uniform(size=(points, candidates)) < 0.8
    strength = random.integers(-2, 6, (len(limbs), candidates, candidates)).astype(np.float32) / np.float32(5)
    table = match_limbs(seen, strength, limbs, least=least)
    found = {frozenset((k, int(p)) for k, p in enumerate(row) if p != NOBODY) for row in table}
    assert found == slow_match(seen, strength, limbs, least) - {frozenset()}
    assert sum(map(len, found)) == seen.sum()


def many(random: np.random.Generator, images: int) -> tuple[list[Poses], list[Poses]]:
    """True subjects with hidden, unlabelled and unnamed ones; predictions near them, far from them, missing some."""
    truths, found = [], []
    for _ in range(images):
        count = int(random.integers(0, 4))
        xy = random.uniform(10, 200, (count, 4, 2)).astype(np.float32)
        score = random.choice([0, 0.5, 1], (count, 4)).astype(np.float32)
        score[random.uniform(size=count) < 0.2] = 0
        xy[score == 0] = np.nan
        low = random.uniform(0, 100, (count, 2)).astype(np.float32)
        boxes = np.concatenate([low, low + random.uniform(20, 90, (count, 2)).astype(np.float32)], 1)
        crowd = random.uniform(size=count) < 0.15  # regions that are neither hit nor missed: without points
        xy[crowd], score[crowd] = np.nan, 0
        truths.append(Poses(boxes, xy, score, random.uniform(200, 4000, count).astype(np.float32), crowd))
        guess = np.nan_to_num(xy, nan=50) + random.normal(0, random.uniform(0, 6), xy.shape)
        guess = np.concatenate([guess, random.uniform(0, 200, (int(random.integers(0, 3)), 4, 2))])
        keep = random.uniform(size=len(guess)) < 0.9
        points = guess[keep].astype(np.float32)
        confidence = random.uniform(0.01, 1, points.shape[:2]).astype(np.float32)
        found.append(poses(points, confidence) if len(points) else EMPTY)
    return found, truths


EMPTY = Poses(
    np.zeros((0, 4), np.float32), np.zeros((0, 4, 2), np.float32), *(np.zeros(s, np.float32) for s in ((0, 4), 0))
)


def coco_scores(found: list[Poses], truths: list[Poses]) -> tuple[float, float, float]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": i + 1, "width": 300, "height": 300} for i in range(len(truths))]
    true: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, truth in enumerate(truths, 1):
        assert truth.crowd is not None
        fields = (truth.xyxy.tolist(), truth.xy, truth.score, truth.area.tolist(), truth.crowd.tolist())
        for box, xy, score, area, crowd in zip(*fields, strict=True):
            flat = [v for p, s in zip(np.nan_to_num(xy).tolist(), (score * 2).tolist(), strict=True) for v in (*p, s)]
            bbox = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            entry = {
                "image_id": image,
                "category_id": 1,
                "iscrowd": int(crowd),
                "keypoints": flat,
                "bbox": bbox,
                "area": area,
            }
            true.append({"id": len(true) + 1, "num_keypoints": int((score > 0).sum()), **entry})
    for image, guess in enumerate(found, 1):
        for xy, rank in zip(guess.xy, subject_scores(guess).tolist(), strict=True):
            flat = [v for p in xy.tolist() for v in (*p, 1)]
            results.append({"image_id": image, "category_id": 1, "keypoints": flat, "score": rank})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": true, "categories": [{"id": 1}]}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(results), "keypoints")
        judge.params.kpt_oks_sigmas = np.array(SKELETON.sigmas)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return tuple(judge.stats[:3])


@pytest.mark.parametrize("seed", range(6))
def test_oks_ap_is_pycocotools(seed: int) -> None:
    found, truths = many(np.random.default_rng(seed), 25)
    evaluation = get_task("pose").of(SKELETON).evaluate(found, truths, POINTS, intervals=False)
    ours = [evaluation.metrics[name] for name in ("oks_ap", "oks_ap50", "oks_ap75")]
    np.testing.assert_allclose(ours, coco_scores(found, truths), atol=1e-6)
    assert 0 < ours[0] < 1


def test_images_that_count_twice_are_images_given_twice() -> None:
    found, truths = many(np.random.default_rng(9), 12)
    measures = [measure(p, t, SKELETON.sigmas) for p, t in zip(found, truths, strict=True)]
    times = np.random.default_rng(1).integers(0, 3, 12)
    again = OksAp.of([m for m, n in zip(measures, times, strict=True) for _ in range(n)])
    np.testing.assert_allclose(OksAp.of(measures)(times), again(np.ones(times.sum(), np.int64)), atol=1e-12)


def test_similarity_by_hand() -> None:
    truth = poses([[[10, 10], [20, 10], [10, 20], [np.nan, np.nan]]], [[1, 0.5, 1, 0]], area=400)
    guess = poses([[[13, 14], [20, 10], [10, 20], [0, 0]]])
    first = math.exp(-25 / (2 * 400 * 0.06**2))
    assert similarity(guess, truth, SKELETON.sigmas)[0, 0] == pytest.approx((first + 2) / 3)


def test_distances_by_hand() -> None:
    truth = poses([[[0, 0], [10, 0], [0, 10], [10, 10]], [[100, 0], [110, 0], [100, 10], [110, 10]]], area=64)
    guess = poses([[[103, 4], [110, 0], [100, 10], [np.nan, np.nan]]])
    result = get_task("pose").of(SKELETON).evaluate([guess], [truth], POINTS, intervals=False)
    assert result.metrics["pixel_error"] == pytest.approx((5 + 0 + 0 + 8 + 4 * 8) / 8)  # not found: root of the area
    assert result.metrics["found"] == pytest.approx(3 / 8) and result.metrics["pck"] == pytest.approx(2 / 8)
    assert result.per_class["nose"]["pixel_error"] == pytest.approx((5 + 8) / 2) and result.worst == (0,)


def test_intervals_hold_the_value_and_narrow_with_images() -> None:
    found, truths = many(np.random.default_rng(3), 20)
    task = get_task("pose").of(SKELETON)
    few = task.evaluate(found, truths, POINTS)
    more = task.evaluate(found * 9, truths * 9, POINTS)
    for one in (few, more):
        assert one.main.low <= one.main.value <= one.main.high
        assert one.metrics["pixel_error_low"] <= one.metrics["pixel_error"] <= one.metrics["pixel_error_high"]
    assert more.main.high - more.main.low < few.main.high - few.main.low
    assert task.evaluate(found, truths, POINTS).metrics == few.metrics


def test_truth_of_other_data_is_matched_by_name() -> None:
    """Data that know fewer points, in another order."""
    task = get_task("pose").of(SKELETON)
    guess = poses([[[1, 2], [3, 4], [5, 6], [7, 8]]])
    truth = poses([[[5, 6], [1, 2]]]).relabel(np.array([2, 0]))
    found = task.evaluate([guess], [truth], POINTS, intervals=False)
    assert found.metrics["pixel_error"] == 0 and set(found.per_class) == {"nose", "right_ear"}


def test_nothing_labelled_is_no_score() -> None:
    result = get_task("pose").of(SKELETON).evaluate([EMPTY], [EMPTY], POINTS)
    assert math.isnan(result.main.value) and not result.metrics


def test_decode_joins_candidates_and_restores_pixels() -> None:
    """Two subjects whose candidates come in different orders; a weak point and a weak limb are left alone."""
    peaks = np.zeros((1, 4, 3, 3), np.float32)
    for point, order in enumerate(([0, 1], [1, 0], [0, 1], [1, 0])):
        for place, subject in enumerate(order):
            peaks[0, point, place] = (20 + 40 * subject + point, 30, 0.9 - 0.3 * subject)
    peaks[0, 0, 2] = (5, 5, 0.02)
    limbs = np.full((1, 3, 3, 3), 0.02, np.float32)
    for limb, swapped in enumerate((True, False, True)):
        for place in (0, 1):
            limbs[0, limb, place, 1 - place if swapped else place] = 0.8
    task = get_task("pose").of(SKELETON)
    (found,) = task.decode({"peaks": peaks, "limbs": limbs}, [Frame(100, 200, 2.0, 2.0, 4.0, 10.0)], task.settings)
    assert len(found) == 2 and not np.isnan(found.xy).any()
    np.testing.assert_allclose(found.xy[0], [[(20 + p - 4) / 2, 10] for p in range(4)])
    np.testing.assert_allclose(found.score[:, 0], [0.9, 0.6])
    (loose,) = task.decode({"peaks": peaks, "limbs": limbs * 0}, [Frame(100, 200)], task.settings)
    assert len(loose) == 8 and (~np.isnan(loose.xy[..., 0])).sum() == 8


def test_calibration_finds_thresholds_that_score() -> None:
    """Candidates that are noise have scores up to 0.2: those of true points are kept, subjects of noise are not."""
    random = np.random.default_rng(0)
    truths = [poses(random.uniform(10, 90, (1, 4, 2))) for _ in range(12)]
    peaks = np.zeros((12, 4, 3, 3), np.float32)
    peaks[..., :2] = random.uniform(10, 90, (12, 4, 3, 2))
    peaks[..., 2] = random.uniform(0.1, 0.19, (12, 4, 3))
    peaks[:, :, 0, :2] = [t.xy[0] for t in truths]
    peaks[:, :, 0, 2] = 0.9
    limbs = np.full((12, 3, 3, 3), 0.5, np.float32)
    batches = [({"peaks": peaks, "limbs": limbs}, [Frame(100, 100)] * 12, truths)]
    task = get_task("pose").of(SKELETON)
    settings = task.calibrate(batches)
    assert set(settings) == set(task.settings)
    decoded = task.decode(batches[0][0], batches[0][1], settings)
    assert task.evaluate(decoded, truths, POINTS, intervals=False).metrics["oks_ap"] == 1
    assert [len(found) for found in decoded] == [1] * 12


def corner_image(xy: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(1, 3, H, W): a bright 3 x 3 dot at each of the first three points, one a colour."""
    image = torch.zeros(1, 3, *size)
    for channel, (x, y) in enumerate(xy[:3].long().tolist()):
        image[0, channel, y - 1 : y + 2, x - 1 : x + 2] = 255
    return image


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_points_follow_the_pixels(seed: int) -> None:
    """The middle of a drawn dot is where the target says, after crop, turn and mirror; pairs change places."""
    xy = np.array([[[40.5, 30.5], [60.5, 34.5], [44.5, 56.5], [np.nan, np.nan]]], np.float32)
    targets = collate([poses(xy, [[1, 1, 0.5, 0]])], [Frame(80, 100)], classes=4, size=(80, 100), skeleton=SKELETON)
    batch = Batch(corner_image(targets.xy[0, 0], (80, 100)).to(torch.uint8), targets)
    how = Augmentation(area=0.6, aspect=1.2, rotate=20)
    chance = draws(1, torch.Generator().manual_seed(seed))
    done: Any = augment(batch, how, chance, size=(80, 100))
    mirrored = bool(chance[0, 0] < how.flip)
    for point, channel in enumerate([0, 2, 1, 3] if mirrored else range(4)):
        if done.targets.known[0, 0, point]:
            x, y = done.targets.xy[0, 0, point].tolist()
            mass = done.images[0, channel].float()
            mass = mass * (mass > mass.max() / 4)
            across, down = mass.sum(0), mass.sum(1)
            middle = [float((m * (torch.arange(len(m)) + 0.5)).sum() / m.sum()) for m in (across, down)]
            if 4 < x < 96 and 4 < y < 76:  # a dot at the border is mirrored there
                assert middle == pytest.approx([x, y], abs=0.7)
    assert not done.targets.known[0, 0, 3]


@settings(max_examples=50, deadline=None)
@given(st.floats(18, 76), st.floats(18, 60), st.floats(0.7, 2))
def test_peaks_are_found_between_cells(x: float, y: float, spread: float) -> None:
    """Maps that are exactly as the loss wants them are decoded to where the point is."""
    model = HeatmapPose(classes=1, channels=3, imgsz=96, stride=4, spread=spread).eval()
    across, down = (model._target(torch.tensor([[v]]), cells) for v, cells in ((x, 24), (y, 20)))
    logits = (down.unsqueeze(-1) * across.unsqueeze(-2)).clamp_min(1e-30).log()
    found = model.peaks(logits)[0, 0, 0]
    assert found[:2].tolist() == pytest.approx([x, y], abs=0.35)
    assert 0.75 < found[2] <= 1.0001


@pytest.fixture(scope="module")
def openpose() -> Openpose:
    return Openpose(classes=4, channels=3, imgsz=96, limbs="0-1 1-2 2-3", subjects=4).eval()


def test_exact_maps_and_fields_give_back_the_subjects(openpose: Openpose) -> None:
    """What the loss takes for perfect is decoded to the truth: two subjects whose limbs cross."""
    truth = poses(
        [
            [[20.3, 20.1], [40.2, 22.4], [50.7, 50.9], [30.1, 70.2]],
            [[62.3, 21.7], [41.1, 40.3], [20.9, 61.2], [70.4, 80.3]],
        ]
    )
    targets = collate([truth], [Frame(96, 96)], classes=4, size=(96, 96))
    logits, fields = torch.zeros(1, 4, 24, 24), torch.zeros(1, 6, 24, 24)
    maps, (vectors, on) = openpose._true_points(targets, logits), openpose._true_fields(targets, fields)
    assert maps.max() <= 1 and on.max() == 1
    lengths = vectors.view(1, 3, 2, 24, 24).norm(dim=2)
    assert lengths[0, 0][on[0, 0] > 0].max() <= 1 + 1e-5 and not lengths[on == 0].any()
    peaks = openpose.peaks(torch.logit(maps.clamp(1e-6, 1 - 1e-6)))
    outputs = {"peaks": peaks.numpy(), "limbs": openpose.joined(vectors, peaks).numpy()}
    task = get_task("pose").of(Skeleton(POINTS, openpose.limbs, (), (0.05,) * 4))
    (found,) = task.decode(outputs, [Frame(96, 96)], task.settings)
    assert len(found) == 2
    order = np.argsort(found.xy[:, 0, 0])
    np.testing.assert_allclose(found.xy[order], truth.xy, atol=0.2)
    perfect = {"logits": torch.logit(maps.clamp(1e-4, 1 - 1e-4)).unsqueeze(1), "fields": vectors.unsqueeze(1)}
    worse = {"logits": perfect["logits"] * 0.5, "fields": -perfect["fields"]}
    assert openpose.loss(perfect, targets) < 0.01 < openpose.loss(worse, targets)


def test_crowds_are_left_out_of_the_loss(openpose: Openpose) -> None:
    region = poses([[[30, 30], [60, 30], [30, 60], [60, 60]]])
    unlabelled = Poses(region.xyxy, np.full_like(region.xy, np.nan), np.zeros((1, 4), np.float32), region.area)
    logits = torch.full((1, 1, 4, 24, 24), -20.0)
    logits[..., 8:15, 8:15] = 5.0
    outputs = {"logits": logits, "fields": torch.zeros(1, 1, 6, 24, 24)}
    losses = [
        float(openpose.loss(outputs, collate([some], [Frame(96, 96)], classes=4, size=(96, 96))))
        for some in (unlabelled, EMPTY)
    ]
    assert losses[0] < 1e-3 < losses[1]


def test_options_of_limbs() -> None:
    from manako.errors import ConfigError

    assert parse_limbs("", 3) == ((0, 1), (1, 2)) and parse_limbs("0-2 2-1", 3) == ((0, 2), (2, 1))
    for wrong in ("0-3", "1", "a-b", "0,1"):
        with pytest.raises(ConfigError):
            parse_limbs(wrong, 3)


def test_top_down_reaches_its_stride_at_odd_sizes() -> None:
    maps = [torch.randn(1, c, *size) for c, size in ((8, (21, 13)), (16, (11, 7)), (32, (6, 4)))]
    found = TopDown((8, 16, 32), (4, 8, 16), stride=4, width=12).eval()(maps)
    assert found.shape == (1, 12, 21, 13)


def test_a_skeleton_travels_with_the_model() -> None:
    from manako.errors import ModelFileError
    from manako.images import Preprocess
    from manako.runtime.card import ModelCard

    card = ModelCard("pose", "openpose", POINTS, Preprocess(64, 64, "letterbox"), (0.5,), (0.5,), skeleton=SKELETON)
    assert ModelCard.loads(card.dumps(), file="x").skeleton == SKELETON
    broken = card.dumps().replace("[0, 3]", "[0, 9]")
    with pytest.raises(ModelFileError) as caught:
        ModelCard.loads(broken, file="x")
    assert caught.value.facts["field"] == "skeleton"


def test_thresholds_are_cocos() -> None:
    assert THRESHOLDS.tolist() == pytest.approx([0.5 + 0.05 * i for i in range(10)])
    assert complete(POINTS, facts={})[0].flips == ((1, 2),)
