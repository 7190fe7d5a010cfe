"""Large images through windows: every pixel once, every object once and whole, in little memory."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from simple_engines import COLOURS, BlockEngine, Blocks, FilterEngine, Greys

from manako.errors import UsageError
from manako.images import Preprocess
from manako.regions import mask_of, runs_of
from manako.runtime.predictor import Predictor
from manako.runtime.tiles import Tiling, predict_tiled
from manako.tasks._join_boxes import _runs, _spans, join_boxes
from manako.tasks.classification import TASK as CLASSIFICATION
from manako.types import Detections, Outline, Segmentation, Window


@given(
    size=st.tuples(st.integers(1, 5000), st.integers(1, 5000)),
    net=st.tuples(st.integers(2, 24), st.integers(2, 24)),
    tile=st.one_of(st.just("auto"), st.integers(32, 3000)),
    part=st.floats(0, 0.5),
)
def test_windows_cover_every_pixel_and_overlap(
    size: tuple[int, int], net: tuple[int, int], tile: int | str, part: float
) -> None:
    plan = Preprocess(32 * net[0], 32 * net[1], "letterbox")
    longer = max(plan.height, plan.width)
    shorter = round(min(plan.height, plan.width) / longer * (longer if tile == "auto" else int(tile)))
    overlap = int(part * (shorter // 2))
    tiling = Tiling.of(plan, tile, overlap)  # type: ignore[arg-type]
    windows = tiling.windows(*size)
    columns = sorted({(w.left, w.right) for w in windows})
    rows = sorted({(w.top, w.bottom) for w in windows})
    assert [(w.top, w.left) for w in windows] == [(t, left) for t, _ in rows for left, _ in columns]
    for length, spans, side in ((size[0], rows, tiling.height), (size[1], columns, tiling.width)):
        assert spans[0][0] == 0 and spans[-1][1] == length
        for (_, stop), (start, _) in pairwise(spans):
            assert stop - start >= min(overlap, side - tiling.grid) and start % tiling.grid == 0
        assert (
            all(b - a == side for a, b in spans[:-1]) and spans[-1][1] - spans[-1][0] > min(length, side) - tiling.grid
        )
        fewest = -(-(length - overlap) // max(1, side - overlap)) if length > side else 1
        assert len(spans) <= 2 * fewest + 1
    if tile == "auto":
        assert tiling.scale == 1 and tiling.grid == 32


def test_sizes_that_can_not_be_are_refused() -> None:
    plan = Preprocess(320, 640, "letterbox")
    with pytest.raises(UsageError, match="32"):
        Tiling.of(plan, 31)
    with pytest.raises(UsageError, match="160"):
        Tiling.of(plan, "auto", 161)
    with pytest.raises(UsageError, match="classification"):
        predict_tiled(Predictor(FilterEngine(64, 64), CLASSIFICATION), [])


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    """Grey levels that change slowly, so that no place is like another."""
    rough = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16), np.uint8)
    return Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize(("height", "width"), [(700, 901), (256, 1000), (300, 300)])
def test_regions_equal_those_of_the_whole_image(height: int, width: int) -> None:
    image = smooth(height, width)
    engine = FilterEngine(256, 256)
    (tiled,) = predict_tiled(Predictor(engine, Greys()), [image], batch=4)
    assert max(engine.batches) <= 4
    high, wide = -(-height // 32) * 32, -(-width // 32) * 32
    canvas = Image.new("L", (wide, high), 114)  # the same surroundings, in one piece
    canvas.paste(image)
    (whole,) = Predictor(FilterEngine(high, wide), Greys()).predict(canvas)
    assert isinstance(tiled.prediction, Segmentation) and isinstance(whole.prediction, Segmentation)
    assert tiled.prediction.score is not None and whole.prediction.score is not None
    assert tiled.prediction.class_id.shape == (height, width)
    same = tiled.prediction.class_id == whole.prediction.class_id[:height, :width]
    difference = np.abs(tiled.prediction.score - whole.prediction.score[:height, :width])
    # A level of exactly a half may fall on either side.
    assert (same | (tiled.prediction.score < 0.501)).all() and difference.max() < 1e-3


def test_regions_at_another_scale_have_no_seams() -> None:
    """Twice the pixels in each window, and a step that is no multiple of the network's."""
    image = smooth(1000, 1100)
    (tiled,) = predict_tiled(Predictor(FilterEngine(192, 192), Greys()), [image], tile=400, overlap=90)
    (whole,) = Predictor(FilterEngine(480, 528), Greys()).predict(image)
    assert isinstance(tiled.prediction, Segmentation) and isinstance(whole.prediction, Segmentation)
    assert tiled.prediction.score is not None and whole.prediction.score is not None
    inner = (slice(10, -10), slice(10, -10))
    level, truth = (
        np.where(p.class_id, p.score, 1 - p.score)[inner]
        for p in (tiled.prediction, whole.prediction)
        if p.score is not None
    )
    assert np.abs(level - truth).max() < 0.02  # grey levels are rounded once more
    assert np.abs(np.diff(level, axis=1)).max() < 1.1 * np.abs(np.diff(truth, axis=1)).max()


def test_maps_without_scores_change_in_the_middle_of_the_overlap() -> None:
    windows = [Window(0, 0, 60, 50), Window(40, 0, 100, 50), Window(0, 30, 60, 80), Window(40, 30, 100, 80)]
    parts = [(w, Segmentation(np.full((50, 60), i, np.uint8))) for i, w in enumerate(windows)]
    joined = Greys().join(parts, 80, 100)
    truth = np.zeros((80, 100), np.uint8)
    truth[:, 50:] += 1
    truth[40:] += 2
    assert (joined.class_id == truth).all() and joined.score is None


class Scene:
    """Blocks that don't touch: (left, top, right, bottom), colour."""

    def __init__(self, seed: int, height: int, width: int, largest: int) -> None:
        random = np.random.default_rng(seed)
        self.taken = np.zeros((height + 2, width + 2), bool)
        self.pixels = np.full((height, width, 3), 114, np.uint8)
        self.boxes: list[tuple[int, ...]] = []
        for _ in range(40):
            w, h = np.minimum(random.integers(12, largest, 2), (width, height))
            left, top = int(random.integers(0, width - w + 1)), int(random.integers(0, height - h + 1))
            if self.taken[top : top + h + 2, left : left + w + 2].any():
                continue
            colour = int(random.integers(len(COLOURS)))
            self.taken[top + 1 : top + h + 1, left + 1 : left + w + 1] = True
            self.pixels[top : top + h, left : left + w] = COLOURS[colour]
            self.boxes.append((left, top, left + int(w), top + int(h), colour))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), largest=st.sampled_from([40, 150, 600]), overlap=st.sampled_from([16, 40, 64]))
def test_every_object_once_and_whole(seed: int, largest: int, overlap: int) -> None:
    """Also those that are larger than the overlap, or than a window."""
    scene = Scene(seed, 500, 700, largest)
    predictor = Predictor(BlockEngine(160, 192), Blocks())
    (result,) = predict_tiled(predictor, [Image.fromarray(scene.pixels)], overlap=overlap)
    found = result.prediction
    assert isinstance(found, Detections)
    rows = sorted((*map(round, box), c) for box, c in zip(found.xyxy.tolist(), found.class_id.tolist(), strict=True))
    assert rows == sorted(scene.boxes)
    assert (np.diff(found.score) <= 0).all()


@settings(deadline=None, max_examples=60)
@given(
    box=st.tuples(st.integers(0, 240), st.integers(0, 140), st.integers(30, 300), st.integers(30, 200)),
    overlap=st.sampled_from([0, 2, 6, 20]),
    seed=st.integers(0, 1000),
)
def test_parts_of_one_object_are_joined_over_thin_seams(
    box: tuple[int, int, int, int], overlap: int, seed: int
) -> None:
    """Each window sees its part of one object, a pixel off at each side, at its own confidence; parts too small to be
    seen are not."""
    left, top = box[:2]
    truth = np.array([left, top, min(left + box[2], 300), min(top + box[3], 200)], np.float32)
    random, parts = np.random.default_rng(seed), []
    for window in Tiling(100, 100, overlap, 1.0, grid=1).windows(200, 300):
        part = np.clip(truth - np.tile((window.left, window.top), 2), 0, 100) + random.uniform(-1, 1, 4)
        part = np.clip(part, 0, 100).astype(np.float32)
        count = int((part[2:] - part[:2]).min() >= 10)
        score = random.uniform(0.3, 1, count).astype(np.float32)
        parts.append((window, Detections(part[None][:count], np.zeros(count, np.int64), score)))
    joined = join_boxes(parts, 200, 300)
    assert len(joined) == 1
    assert np.abs(joined.xyxy[0] - truth).max() <= 10 + 1 + overlap


def test_neighbours_that_end_at_a_seam_are_not_joined() -> None:
    """Two objects beside each other, of other heights or not at the border; windows that only touch."""
    left, right = Window(0, 0, 100, 100), Window(100, 0, 200, 100)
    one = Detections.truth(np.array([[60, 10, 100, 40], [50, 60, 90, 90]], np.float32), np.zeros(2, np.int64))
    two = Detections.truth(np.array([[0, 35, 50, 80], [3, 60, 40, 90]], np.float32), np.zeros(2, np.int64))
    assert len(join_boxes([(left, one), (right, two)], 100, 200)) == 4


def test_what_a_window_sees_badly_is_taken_from_its_neighbour() -> None:
    """A box whose hidden part is guessed wrongly, a small object in front of a large one, another class."""
    left, right = Window(0, 0, 200, 200), Window(140, 0, 340, 200)
    one = Detections(
        np.array([[120, 50, 199, 90], [20, 20, 190, 180]], np.float32),
        np.array([0, 1]),
        np.array([0.6, 0.8], np.float32),
    )
    two = Detections(
        np.array([[0, 52, 130, 92], [2, 60, 40, 80], [0, 50, 100, 88]], np.float32),
        np.array([0, 0, 2]),
        np.array([0.9, 0.5, 0.4], np.float32),
    )
    joined = join_boxes([(left, one), (right, two)], 200, 340)
    rows = dict(zip(map(tuple, joined.xyxy.tolist()), joined.class_id.tolist(), strict=True))
    assert rows == {(120, 52, 270, 92): 0, (20, 20, 190, 180): 1, (142, 60, 180, 80): 0, (140, 50, 240, 88): 2}
    assert len(join_boxes([], 10, 10)) == 0


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11), st.integers(1, 5)), max_size=5), st.integers(0, 1))
def test_runs_move_and_unite_as_masks_do(strokes: list[tuple[int, int, int]], seed: int) -> None:
    """Against masks painted pixel by pixel."""
    windows = [Window(0, 0, 12, 9), Window(6, 4, 18, 13)]
    truth = np.zeros((13, 18), bool)
    parts = []
    for window in windows:
        mask = np.zeros((9, 12), bool)
        for x, y, length in strokes:
            mask[y : y + length, x : x + 1 + seed] = True
        mask[0, 0] |= not mask.any()
        runs = runs_of(mask)
        assert _runs(_spans(runs), mask.size).tolist() == runs.tolist()
        truth[window.top : window.bottom, window.left : window.right] |= mask
        # One object for both: the boxes agree.
        box = np.array([[6 - window.left, 4 - window.top, 12 - window.left, 9 - window.top]], np.float32)
        outline = Outline(runs=runs, size=(9, 12))
        found = Detections.truth(box, np.zeros(1, np.int64))
        parts.append((window, Detections(found.xyxy, found.class_id, found.score, outlines=(outline,))))
    joined = join_boxes(parts, 13, 18)
    assert len(joined) == 1 and joined.outlines and joined.outlines[0]
    assert joined.outlines[0].runs is not None and joined.outlines[0].size == (13, 18)
    assert (mask_of(joined.outlines[0], 13, 18) == truth).all()


def test_a_broken_image_harms_no_other(tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.png", tmp_path / "good.png"
    bad.write_bytes(b"nothing")
    smooth(400, 400).save(good)
    results = list(predict_tiled(Predictor(FilterEngine(128, 128), Greys()), [bad, good, tmp_path / "none.png"]))
    assert [r.error.code if r.error else None for r in results] == ["image.not_an_image", None, "image.missing"]
    assert (results[1].width, results[1].height) == (400, 400)
    (small,) = predict_tiled(Predictor(FilterEngine(640, 640), Greys()), [good])  # needs no windows
    assert isinstance(small.prediction, Segmentation) and small.prediction.class_id.shape == (400, 400)


_LARGE = """
import sys
sys.path.insert(0, sys.argv[2])
from peak_memory import peak_kilobytes
from simple_engines import FilterEngine, Greys
from manako.runtime.predictor import Predictor
from manako.runtime.tiles import predict_tiled
(result,) = predict_tiled(Predictor(FilterEngine(1024, 1024), Greys()), [sys.argv[1]], batch=2)
assert result.prediction.class_id.shape == (10_000, 10_000), result.error
print(peak_kilobytes())
"""


def test_a_hundred_megapixels_in_little_memory(tmp_path: Path) -> None:
    """10,000 x 10,000 pixels, in colour, under 1.5 GB with Python and all."""
    path = tmp_path / "large.png"
    Image.linear_gradient("L").resize((10_000, 10_000)).convert("RGB").save(path, compress_level=1)
    command = [sys.executable, "-c", _LARGE, str(path), str(Path(__file__).parent)]
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    assert output.returncode == 0, output.stderr
    assert int(output.stdout) < 1_500_000
