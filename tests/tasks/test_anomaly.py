"""Anomaly detection: metrics against plain references, thresholds, places, layouts, words for bad data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score

from manako.errors import DataError, LabelError, UsageError
from manako.formats import read_dataset
from manako.images import Preprocess
from manako.metrics.anomaly import BINS, Areas, measure_image
from manako.metrics.drift import Drift
from manako.samples.defects import DEFECTS, add_defect, write_defects
from manako.splits import split_dataset
from manako.tasks._regions import regions_above
from manako.tasks.anomaly import TASK
from manako.types import Anomaly, Frame

CLASSES = ("normal", "defect")
seeds = st.integers(0, 2**32 - 1)


def some_images(seed: int, count: int = 6) -> tuple[list[Anomaly], list[Anomaly]]:
    """Predictions and truths; scores in the middles of bins, where counting in bins is exact."""
    random = np.random.default_rng(seed)
    predictions, truths = [], []
    for number in range(count):
        steps = random.integers(0, 30, (12, 15)) * (BINS // 32)
        heat = ((steps + 0.5) / BINS).astype(np.float32)
        marked = random.random((12, 15)) > 0.85
        defect = number % 2 == 0
        kind = f"kind{number % 4}" if defect else ""
        truths.append(Anomaly(float(defect), marked.astype(np.float32) if defect else None, kind))
        predictions.append(Anomaly(float(random.integers(0, 5)) / 5, heat))
    return predictions, truths


def slow_aupro(predictions: list[Anomaly], truths: list[Anomaly], limit: float) -> float:
    """Every threshold by itself, every region by itself (Bergmann et al. 2019)."""
    heats = [p.heatmap for p in predictions]
    marks = [
        np.zeros(h.shape, bool) if t.heatmap is None else t.heatmap > 0.5 for h, t in zip(heats, truths, strict=True)
    ]
    curve = [(0.0, 0.0)]
    for threshold in np.unique(np.concatenate([h.ravel() for h in heats]))[::-1]:
        wrong = sum(int(((h >= threshold) & ~m).sum()) for h, m in zip(heats, marks, strict=True))
        free = sum(int((~m).sum()) for m in marks)
        shares = []
        for heat, mark in zip(heats, marks, strict=True):
            regions, count = label(mark, np.ones((3, 3)))
            shares += [float((heat[regions == i] >= threshold).mean()) for i in range(1, count + 1)]
        curve.append((wrong / free, float(np.mean(shares))))
    rate, overlap = map(np.array, zip(*curve, strict=True))
    inside = rate < limit
    at = float(np.interp(limit, rate, overlap))
    return float(np.trapezoid([*overlap[inside], at], [*rate[inside], limit]) / limit)


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_areas_equal_plain_references(seed: int) -> None:
    predictions, truths = some_images(seed)
    areas = Areas([measure_image(p, t) for p, t in zip(predictions, truths, strict=True)])
    defect = [t.score > 0.5 for t in truths]
    assert areas.image_auroc()[0] == pytest.approx(roc_auc_score(defect, [p.score for p in predictions]), abs=1e-12)
    marks = np.concatenate(
        [(p.heatmap * 0 if t.heatmap is None else t.heatmap).ravel() for p, t in zip(predictions, truths, strict=True)]
    )
    pixel, pro = areas.pixels()
    heats = np.concatenate([p.heatmap.ravel() for p in predictions])
    assert pixel[0] == pytest.approx(roc_auc_score(marks > 0.5, heats), abs=1e-9)
    assert pro[0] == pytest.approx(slow_aupro(predictions, truths, 0.3), abs=1e-6)


def test_drawing_an_image_twice_is_having_it_twice() -> None:
    predictions, truths = some_images(3)
    measures = [measure_image(p, t) for p, t in zip(predictions, truths, strict=True)]
    weights = np.array([[2.0, 1, 0, 1, 1, 1]])
    twice = Areas([measures[i] for i in (0, 0, 1, 3, 4, 5)])
    weighted = Areas(measures)
    assert weighted.image_auroc(weights)[0] == pytest.approx(twice.image_auroc()[0])
    assert np.allclose(weighted.pixels(weights), twice.pixels())
    ends = weighted.intervals(seed=1)
    assert (ends[:, 0] <= ends[:, 1]).all() and np.isfinite(ends).all()


def test_what_a_threshold_gives_by_hand() -> None:
    scores = [0.1, 0.2, 0.6, 0.4, 0.7, 0.9]
    truths = [Anomaly(0.0), Anomaly(0.0), Anomaly(0.0), *(Anomaly(1.0, None, kind) for kind in ("a", "b", "b"))]
    found = TASK.evaluate([Anomaly(s) for s in scores], truths, CLASSES)
    assert found.main.value == pytest.approx(8 / 9)
    at_threshold = [found.metrics[f"threshold_{name}"] for name in ("precision", "recall", "f1")]
    assert at_threshold == [pytest.approx(2 / 3)] * 3
    assert found.metrics["false_alarm_rate"] == found.metrics["false_alarms_at_99_recall"] == pytest.approx(1 / 3)
    assert found.per_class["a"] == {"image_auroc": pytest.approx(2 / 3), "recall": 0.0, "support": 1.0}
    assert found.per_class["b"]["image_auroc"] == 1.0
    assert set(found.worst) == {2, 3} and "pixel_auroc" not in found.metrics


def test_normal_images_alone_have_no_score() -> None:
    found = TASK.evaluate([Anomaly(0.2), Anomaly(0.6)], [Anomaly(0.0)] * 2, CLASSES)
    assert np.isnan(found.main.value) and found.main.as_json()["value"] is None
    assert found.metrics == {"false_alarm_rate": 0.5}
    assert set(TASK.figures(found, CLASSES)) == {"scores"}


def raw(values: list[float], side: int = 4) -> dict[str, np.ndarray]:
    return {"map": np.array([np.full((side, side), v) for v in values], np.float32)}


def test_the_threshold_keeps_its_promise() -> None:
    """Of new images from the same source as many are over the threshold as was said, on average."""
    random = np.random.default_rng(0)
    over, said = [], 0.0
    for _ in range(300):
        held, new = random.normal(5, 1, 19).tolist(), random.normal(5, 1, 200)
        found = TASK.calibrate([(raw(held, 1), [Frame(1, 1)] * 19, [Anomaly(0.0)] * 19)])
        over.append((new > found["threshold"]).mean())
        said = found["false_alarms"]
    assert said == 1 / 20 and np.mean(over) == pytest.approx(said, abs=0.01)
    many = random.normal(5, 1, 999).tolist()
    found = TASK.calibrate([(raw(many, 1), [Frame(1, 1)] * 999, [Anomaly(0.0)] * 999)])
    assert found["false_alarms"] == pytest.approx(0.01)


def test_labelled_defects_set_the_threshold_between_the_two() -> None:
    truths = [Anomaly(float(v > 5)) for v in (1.0, 2, 3, 8, 9)]
    found = TASK.calibrate([(raw([1.0, 2, 3, 8, 9]), [Frame(4, 4)] * 5, truths)])
    assert 3 < found["threshold"] < 8
    assert TASK.promise(found) == ("anomaly.promise", {"expected_false_alarms": 0.25})
    scores = [p.score for p in TASK.decode(raw([2.0, found["threshold"], 50]), [Frame(4, 4)] * 3, found)]
    assert scores[:2] == pytest.approx([0.25, 0.5], abs=1e-6) and 0.9 < scores[2] < 1


def test_no_held_out_images_and_equal_scores_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert TASK.calibrate([]) == dict(TASK.settings) and TASK.promise(TASK.settings) is None
    assert "held out" in capsys.readouterr().err
    alone = TASK.calibrate([(raw([2.0]), [Frame(4, 4)], [Anomaly(0.0)])])
    assert alone["false_alarms"] == 0.5 and "same score" not in capsys.readouterr().err
    found = TASK.calibrate([(raw([2.0] * 5), [Frame(4, 4)] * 5, [Anomaly(0.0)] * 5)])
    assert all(np.isfinite(value) for value in found.values()) and found["spread"] > 0
    assert "same score" in capsys.readouterr().err


@given(st.integers(20, 300), st.integers(20, 300), st.integers(0, 10), st.integers(0, 10), st.sampled_from([1, 4]))
@example(83, 20, 1, 0, 1)  # the ground is a pixel wider on the right
@settings(max_examples=60, deadline=None)
def test_a_hot_place_is_shown_where_it_is(height: int, width: int, row: int, column: int, step: int) -> None:
    """Through the letterbox and back, for maps of any coarseness; what lies beside the image doesn't count."""
    network = 64
    _, frame = Preprocess(network, network, fit="letterbox").apply(Image.new("RGB", (width, height)))
    x, y = (column + 0.5) / 11 * width, (row + 0.5) / 11 * height
    found = np.zeros((1, network // step, network // step), np.float32)
    across = int((x * frame.scale_x + frame.left) / step)
    down = int((y * frame.scale_y + frame.top) / step)
    found[0, down, across] = 5
    if frame.top >= step:
        found[0, 0] = 100  # the ground beside the image
    (shown,) = TASK.decode({"map": found}, [frame], TASK.settings)
    assert shown.heatmap is not None and shown.heatmap.shape == (height, width)
    inside = np.unravel_index(shown.heatmap[1:-1, 1:-1].argmax(), (height - 2, width - 2))
    reach = step / min(frame.scale_x, frame.scale_y) + 2
    assert abs(inside[0] + 1 - y) <= reach and abs(inside[1] + 1 - x) <= reach
    assert shown.score < 0.95  # 100 would give .995


@given(seeds, st.floats(0.1, 0.9))
@settings(max_examples=50, deadline=None)
def test_regions_are_those_of_scipy(seed: int, limit: float) -> None:
    values = np.random.default_rng(seed).random((9, 13)).astype(np.float32)
    marks, count = label(values > limit, np.ones((3, 3)))
    found = regions_above(values, limit)
    assert len(found) == count and sum(r.area for r in found) == (values > limit).sum()
    expected = sorted((int((marks == i).sum()), float(values[marks == i].max())) for i in range(1, count + 1))
    assert sorted((r.area, r.value) for r in found) == expected
    for region in found:
        left, top, right, bottom = region.xyxy
        inner = marks[top:bottom, left:right]
        assert any((inner == i).sum() == region.area for i in np.unique(inner[inner > 0]))


def test_drift_is_told_and_only_drift() -> None:
    random = np.random.default_rng(0)
    steady, moved = Drift(), Drift()
    for _ in range(150):
        value = float(random.random() / 2)  # half of them over 0.25
        steady.see(Anomaly(value))
        moved.see(Anomaly(min(0.5, value / 2 + 0.22)))
        moved.see(Anomaly(0.9))  # defects say nothing of the normal parts
    assert steady.note() is None
    note = moved.note()
    assert note and note[0] == "anomaly.drift" and note[1]["count"] == 150


@pytest.mark.parametrize("kind", list(DEFECTS))
def test_a_defect_changes_its_own_pixels_alone(kind: str) -> None:
    image = np.random.default_rng(1).uniform(90, 160, (80, 60, 3))
    changed, mask = add_defect(image, kind, np.random.default_rng(2))
    moved = np.abs(changed - image).sum(2)
    near = np.asarray(Image.fromarray(mask).convert("L").resize((60, 80))) > 0
    grown = sum(np.roll(near, (dy, dx), (0, 1)) for dy in range(-8, 9) for dx in range(-8, 9)) > 0
    assert mask.sum() >= 4 and moved[mask].mean() > 5 and (moved[~grown] < 1e-6).all()


def picture(path: Path, value: int = 90, size: tuple[int, int] = (20, 30), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path)) + value).integers(0, 60, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels + np.uint8(value)).convert(mode).save(path)


def mask(path: Path, size: tuple[int, int] = (20, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0]), np.uint8)
    pixels[3:6, 4:9] = 255
    Image.fromarray(pixels).save(path)


def test_mvtec_layout_with_all_that_can_be_wrong(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"train/good/{number}.png", number)
    picture(tmp_path / "test/good/a.png", 50)
    picture(tmp_path / "test/crack/b.png", 60)
    picture(tmp_path / "test/crack/c.png", 70)
    picture(tmp_path / "test/hole/d.png", 80)
    mask(tmp_path / "ground_truth/crack/b_mask.png")
    mask(tmp_path / "ground_truth/hole/d.png", (10, 10))
    mask(tmp_path / "ground_truth/crack/gone_mask.png")
    found = read_dataset(tmp_path)  # recognised without being told the task
    assert (found.format, found.task, found.classes) == ("mvtec", "anomaly", CLASSES)
    codes = {problem.code: problem for problem in found.problems}
    assert codes["mvtec.mask_without_image"].facts["names"] == "ground_truth/crack/gone_mask.png"
    assert codes["mvtec.without_masks"].facts == {"kind": "crack", "count": 1}
    by_id = {sample.id: sample for sample in found.samples}
    truth = by_id["test/crack/b.png"].truth
    assert isinstance(truth, Anomaly) and truth.kind == "crack" and truth.heatmap is not None
    assert truth.heatmap.sum() == 15 and truth.heatmap[3:6, 4:9].all()
    assert by_id["test/crack/c.png"].truth.heatmap is None  # type: ignore[union-attr]
    with pytest.raises(LabelError) as caught:
        _ = by_id["test/hole/d.png"].truth
    assert "d.png" in str(caught.value) and "10 x 10" in str(caught.value)


def test_defects_are_never_for_training(tmp_path: Path) -> None:
    for number in range(40):
        picture(tmp_path / f"OK_front/{number}.png", number)
        picture(tmp_path / f"scratched/{number}.png", number + 80)
    found = split_dataset(read_dataset(tmp_path, task="anomaly"), seed=0)
    parts = {split: [sample.truth.score for sample in found.of(split)] for split in ("train", "val", "test")}  # type: ignore[union-attr, arg-type]
    assert set(parts["train"]) == set(parts["val"]) == {0.0}
    assert parts["test"].count(1.0) == 40 and parts["test"].count(0.0) >= 4


def test_defects_in_the_training_folder_are_told_and_tested_with(tmp_path: Path) -> None:
    for number in range(5):
        picture(tmp_path / f"train/good/{number}.png", number)
        picture(tmp_path / f"train/dent/{number}.png", number + 40)
    found = read_dataset(tmp_path, task="anomaly")
    assert {s.split for s in found.samples if s.id.startswith("train/dent")} == {"test"}
    assert "mvtec.defects_in_train" in {problem.code for problem in found.problems}


def test_normal_images_alone_are_enough(tmp_path: Path) -> None:
    for number in range(20):
        picture(tmp_path / f"{number}.png", number * 3)
    found = split_dataset(read_dataset(tmp_path, task="anomaly"), seed=0)
    assert found.of("val") and found.of("train")
    assert {problem.code for problem in found.problems} == {"mvtec.no_defects"}


@pytest.mark.parametrize(("names", "code"), [((), "mvtec.no_normal"), (("train/good/a.png",), "mvtec.few_normal")])
def test_too_few_normal_images_are_told(tmp_path: Path, names: tuple[str, ...], code: str) -> None:
    picture(tmp_path / "test/crack/z.png")
    (tmp_path / "train").mkdir()
    for name in names:
        picture(tmp_path / name)
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path, task="anomaly")
    assert caught.value.code == code


def test_generated_surfaces_have_exact_masks(tmp_path: Path) -> None:
    write_defects(tmp_path, seed=2, count=24)
    found = read_dataset(tmp_path)
    truths = [sample.truth for sample in found.samples]
    kinds = {t.kind for t in truths if isinstance(t, Anomaly) and t.score}
    assert kinds == set(DEFECTS)
    assert all(t.heatmap is not None and t.heatmap.sum() >= 4 for t in truths if isinstance(t, Anomaly) and t.score)


def test_a_person_may_choose_the_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    """Scores stay; what is called a defect, and the regions, follow. What was promised is not said of another one."""
    found = TASK.calibrate([(raw([1.0, 2, 3, 4]), [Frame(4, 4)] * 4, [Anomaly(0.0)] * 4)])
    maps, frames = raw([found["threshold"] + 0.5]), [Frame(4, 4)]
    for chosen, said in ((0.5, "defect"), (0.9, "normal"), (0.51, "defect")):
        settings = TASK.choose(found, {"threshold": chosen})
        (one,) = TASK.decode(maps, frames, settings)
        (entry,) = TASK.as_json(one, CLASSES)
        assert (entry["class"], entry["threshold"]) == (said, chosen)
        assert bool(entry["regions"]) == (said == "defect")
        assert one.score == TASK.decode(maps, frames, found)[0].score
        assert (TASK.promise(settings) is None) == (chosen != 0.5)
    with pytest.raises(UsageError) as caught:
        TASK.choose(TASK.calibrate([]), {"threshold": 0.4})
    assert caught.value.code == "anomaly.no_threshold" and "held out" in str(caught.value)
    capsys.readouterr()


@given(seeds, st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_images_of_mixed_sizes_are_one_set(seed: int, count: int) -> None:
    """Each through its own frame: a heat map always has the size of its own image."""
    random = np.random.default_rng(seed)
    frames, maps = [], []
    for _ in range(count):
        width, height = (int(v) for v in random.integers(9, 200, 2))
        _, frame = Preprocess(64, 64, fit="letterbox").apply(Image.new("RGB", (width, height)))
        frames.append(frame)
        maps.append(random.random((16, 16)))
    shown = TASK.decode({"map": np.array(maps, np.float32)}, frames, TASK.settings)
    assert [p.heatmap.shape for p in shown if p.heatmap is not None] == [(f.height, f.width) for f in frames]
