"""Finding text: maps and back, scores against counting by hand, the packaged finder against its published graph."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from manako.blocks.text_maps import HIGH, LOW, draw_maps, text_map_loss
from manako.metrics.text_regions import ENOUGH, rates, score_regions
from manako.models import create_model
from manako.polygons import overlap
from manako.samples.text_pages import random_page
from manako.tasks import get_task
from manako.tasks._text_maps import LEAST, THINNEST, regions_of
from manako.types import Frame, TextRegions

cv2 = pytest.importorskip("cv2")
shapely = pytest.importorskip("shapely")
TASK = get_task("text_finding")


def box(left: float, top: float, right: float, bottom: float) -> NDArray[np.float32]:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def slow_regions(probability: NDArray[np.float32], binary: float, confidence: float, unclip: float) -> list[object]:
    """The published steps with OpenCV and shapely: components, their corners' smallest rectangle, an offset."""
    count, names = cv2.connectedComponents((probability >= binary).astype(np.uint8), connectivity=8)
    found = []
    for index in range(1, count):
        rows, columns = np.nonzero(names == index)
        corners = [(x + a, y + b) for y, x in zip(rows, columns, strict=True) for a in (0, 1) for b in (0, 1)]
        core = shapely.Polygon(cv2.boxPoints(cv2.minAreaRect(np.array(corners, np.float32))))
        sides = cv2.minAreaRect(np.array(corners, np.float32))[1]
        score = float(np.mean([probability[y, x] for y, x in zip(rows, columns, strict=True)]))
        if score < confidence or len(rows) < THINNEST**2 or min(sides) < THINNEST:
            continue
        region = core.buffer(core.area * unclip / core.length, join_style="mitre", mitre_limit=10)
        if min(sides) + 2 * core.area * unclip / core.length >= LEAST:
            found.append((region, score))
    return found


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.floats(0.2, 0.6), st.floats(0, 0.7), st.floats(0.5, 2.5))
def test_regions_are_those_of_the_slow_way(seed: int, binary: float, confidence: float, unclip: float) -> None:
    random = np.random.default_rng(seed)
    rough = cv2.GaussianBlur(random.random((48, 64)).astype(np.float32), (0, 0), 3)
    probability = np.clip((rough - rough.min()) / np.ptp(rough) * 1.1, 0, 1)
    quads, scores = regions_of(probability, binary=binary, confidence=confidence, unclip=unclip)
    slow = slow_regions(probability, binary, confidence, unclip)
    assert len(quads) == len(slow)
    for quad, score in zip(quads, scores, strict=True):
        same = [s for region, s in slow if shapely.Polygon(quad).symmetric_difference(region).area < 0.02 * region.area]
        # Where two rectangles of one core are equally small, either may be taken: the score tells which core it is.
        assert any(abs(s - score) < 1e-4 for s in (same or [s for _, s in slow]))


@pytest.mark.parametrize(("shrink", "unclip"), [(0.4, 1.8), (0.6, 1.4), (0.8, 0.45)])
def test_the_map_of_the_truth_gives_the_truth_back(shrink: float, unclip: float) -> None:
    """A drawn map, decoded with the ratio that undoes the shrinking of words, finds each line."""
    random = np.random.default_rng(5)
    pages = [random_page(random) for _ in range(8)]
    for page in pages:
        quads = torch.tensor(np.array(page.quads, np.float32)).reshape(1, -1, 4, 2) * 4
        some = torch.ones(1, quads.shape[1], dtype=torch.bool)
        size = (4 * page.image.height, 4 * page.image.width)
        maps = draw_maps(quads, some, ~some, size, shrink=shrink)
        ratio = {"unclip": unclip, "confidence": 0.9}
        frame = Frame(page.image.height, page.image.width, 4.0, 4.0)
        found = TASK.decode({"probability": maps.core.numpy()}, [frame], ratio)
        truth = TextRegions.truth([quad.astype(np.float32) for quad in page.quads])
        assert TASK.evaluate(found, [truth], ("text",), intervals=False).main.value == 1.0


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.floats(0.3, 0.8))
def test_maps_are_those_of_shapely(seed: int, shrink: float) -> None:
    """Pixel by pixel: in the shrunk polygon, in the border, how far from the outline."""
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 7))
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * random.uniform(6, 15, (7, 1)) + 16
    polygon = shapely.Polygon(points)
    if polygon.area < 60 or not polygon.contains(shapely.Point(16, 16)):
        return
    one = torch.ones(1, 1, dtype=torch.bool)
    maps = draw_maps(torch.tensor(points, dtype=torch.float32)[None, None], one, ~one, (32, 32), shrink=shrink)
    away = polygon.area * (1 - shrink**2) / polygon.length
    for y in range(32):
        for x in range(32):
            middle = shapely.Point(x + 0.5, y + 0.5)
            apart = polygon.exterior.distance(middle)
            if abs(apart - away) < 1e-3:
                continue  # rounding decides
            assert maps.core[0, y, x] == float(polygon.contains(middle) and apart > away)
            assert maps.border[0, y, x] == float(apart < away)
            level = LOW + (HIGH - LOW) * max(0.0, 1 - apart / away)
            assert maps.threshold[0, y, x] == pytest.approx(level, abs=1e-3)


def test_ignored_text_is_neither_learnt_nor_scored() -> None:
    quads = torch.tensor(np.array([box(4, 4, 28, 14), box(4, 18, 28, 28)]))[None]
    valid, ignore = torch.ones(1, 2, dtype=torch.bool), torch.tensor([[False, True]])
    maps = draw_maps(quads, valid, ignore, (32, 32), shrink=0.6)
    assert maps.known[0, 19:28, 5:28].sum() == 0 and maps.core[0, 17:].sum() == 0
    logits = torch.full((1, 32, 32), -4.0, requires_grad=True)
    text_map_loss(logits, maps).backward()
    assert logits.grad is not None and logits.grad[0, 19:27, 5:27].abs().sum() == 0
    truth = TextRegions.truth([box(4, 4, 28, 14), box(4, 18, 28, 28)], ["a", "###"], np.array([False, True]))
    found = TextRegions((box(4, 4, 28, 14), box(5, 19, 28, 27)), np.array([0.9, 0.8], np.float32))
    assert score_regions(found, truth).counts == (1, 1, 1)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_counts_are_those_by_hand(seed: int) -> None:
    """True boxes that don't touch: each found one can only belong to one of them."""
    random = np.random.default_rng(seed)
    truth = [box(60 * i, 0, 60 * i + 50, 20) for i in range(5)]
    moved = random.integers(-20, 20, (7, 2))
    found = [truth[i % 5] + moved[i].astype(np.float32) for i in range(7)]
    texts = [str(random.integers(2)) for _ in range(7)]
    read = TextRegions(tuple(found), random.random(7).astype(np.float32), tuple(texts))
    measured = score_regions(read, TextRegions.truth(truth, ["0"] * 5))
    hits = sum(max(overlap(t, f) for f in found) > ENOUGH for t in truth)
    assert measured.counts == (hits, 7, 5)
    hits, precision, recall = measured.hit.sum(), hits / 7, hits / 5
    expected = 2 * precision * recall / (precision + recall) if hits else 0
    assert rates(np.array([measured.counts])) == pytest.approx((precision, recall, expected))
    assert measured.read is not None and measured.read <= hits


def test_end_to_end_needs_place_and_text() -> None:
    truth = TextRegions.truth([box(0, 0, 50, 20), box(0, 30, 50, 50), box(0, 60, 50, 80)], ["Tea 3", "Exit", "えき"])
    found = TextRegions(truth.polygons, truth.score, ("tea3", "Exit", "えさ"))
    metrics = TASK.evaluate([found], [truth], ("text",)).metrics
    assert metrics["h_mean"] == 1
    assert metrics["end_to_end"] == pytest.approx(1 / 3)
    assert metrics["end_to_end_normalised"] == pytest.approx(2 / 3)
    assert "end_to_end" not in TASK.evaluate([TextRegions.truth(truth.polygons)], [truth], ("text",)).metrics


def test_calibration_finds_ratio_and_score() -> None:
    """Cores shrunk as for learning, and specks that score less: the ratio that undoes it, a limit above the specks."""
    truth = [box(10, 10 + 40 * i, 200, 34 + 40 * i) for i in range(4)]
    quads = torch.tensor(np.array(truth))[None]
    some = torch.ones(1, 4, dtype=torch.bool)
    core = draw_maps(quads, some, ~some, (192, 224), shrink=0.6).core.numpy() * 0.9
    core[0, 178:188, 20:100] = 0.45
    frames, truths = [Frame(192, 224)], [TextRegions.truth(truth)]
    settings = TASK.calibrate([({"probability": core}, frames, truths)])
    assert 0.45 < settings["confidence"] <= 0.9 and settings["unclip"] == 1.5  # exactly: 1.396
    found = TASK.decode({"probability": core}, frames, settings)
    assert TASK.evaluate(found, truths, ("text",)).main.value == 1.0


@pytest.mark.skipif(find_spec("rapidocr") is None, reason="carries the weights")
def test_the_packaged_finder_is_the_published_graph() -> None:
    """On an image with text, where the numbers are not all near 0; sides that are no multiples of 32 are padded."""
    import onnxruntime

    spec = find_spec("rapidocr")
    assert spec is not None and spec.submodule_search_locations
    file = Path(spec.submodule_search_locations[0], "models", "PP-OCRv6_det_small.onnx")
    page = random_page(np.random.default_rng(1))
    pixels = np.asarray(page.image.resize((288, 288)), np.float32)[:256, :224]
    model = create_model("ppocr_finder", task="text_finding", classes=1, channels=3, imgsz=256, weights="auto").eval()
    images = model.normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    with torch.inference_mode():
        found = model(images)["probability"].numpy()
        odd = model(images[..., :250, :210])["probability"]
    session = onnxruntime.InferenceSession(str(file))
    (published,) = session.run(None, {"x": images.flip(1).numpy()})
    assert published.max() > 0.9 and odd.shape == (1, 250, 210)
    np.testing.assert_allclose(found, published[:, 0], atol=1e-5)
    assert model.pretrained and all(p.requires_grad for p in model.parameters())
