"""Segmentation: masks on disk, the way through network pixels and back, and the metrics against slow ones."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from manako.api import train
from manako.doctor.data import check
from manako.errors import DataError
from manako.figures.regions import mask_colours
from manako.formats import read_dataset
from manako.formats.masks import Writer
from manako.images import Preprocess
from manako.metrics.regions import TOLERANCE, compare_regions, score_regions
from manako.samples.regions import write_binary
from manako.tasks.segmentation import TASK
from manako.training.augment import ANGLE, ASPECT, FLIP, Augmentation, augment, draws
from manako.training.batch import Batch
from manako.training.targets.segmentation import SegmentationTargets, class_counts, collate
from manako.types import IGNORE, Dataset, Frame, Segmentation

Ids = NDArray[np.uint8]


# --- Masks on disk


def put(folder: Path, name: str, mask: Image.Image | Ids, *, size: tuple[int, int] | None = None) -> None:
    """An image and its mask. size: (width, height) of the image where it differs."""
    mask = mask if isinstance(mask, Image.Image) else Image.fromarray(mask)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size or mask.size, (90, 120, 40)).save(folder / "images" / f"{name}.png")
    mask.save(folder / "masks" / f"{name}.png")


def indexed(ids: Ids) -> Image.Image:
    image = Image.fromarray(ids).convert("P")
    image.putdata(ids.ravel().tolist())
    image.putpalette(mask_colours().ravel().tolist())
    return image


def truths(dataset: Dataset) -> list[list[list[int]]]:
    found = [sample.truth for sample in dataset.samples]
    return [truth.class_id.tolist() for truth in found if isinstance(truth, Segmentation)]


def codes(dataset: Dataset) -> set[str]:
    return {problem.code for problem in dataset.problems}


IDS = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


def test_indexed_grey_and_coloured_masks_mean_the_same(tmp_path: Path) -> None:
    coloured = Image.fromarray(mask_colours()[IDS])
    put(tmp_path, "a", indexed(IDS))
    put(tmp_path, "b", IDS)
    put(tmp_path, "c", coloured)  # told by the palette of a
    put(tmp_path, "d", Image.merge("RGB", [Image.fromarray(IDS)] * 3))
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    found = read_dataset(tmp_path)
    assert (found.task, found.format, found.classes) == ("segmentation", "masks", ("ground", "road", "car"))
    assert truths(found) == [IDS.tolist()] * 4 and not found.problems


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("palette.txt", "# r g b name\n10 20 30 ground\n200 0 0 road\n0 0 255 car\n"),
        ("class_dict.csv", "name,r,g,b\nground,10,20,30\nroad, 200, 0, 0\ncar,0,0,255\n"),
        ("labelmap.txt", "# label:color_rgb:parts:actions\nground:10,20,30::\nroad:200,0,0::\ncar:0,0,255::\n"),
    ],
)
def test_a_palette_file_tells_colours(tmp_path: Path, file: str, text: str) -> None:
    colours = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    put(tmp_path, "a", Image.fromarray(colours[[[0, 1, 2], [2, 1, 3]]]))
    (tmp_path / file).write_text(text)
    found = read_dataset(tmp_path)
    assert found.classes == ("ground", "road", "car")
    assert truths(found) == [[[0, 1, 2], [2, 1, IGNORE]]]
    (problem,) = found.problems
    assert problem.code == "masks.unknown_values" and problem.facts["values"] == "#090909 (1 px)"


@pytest.mark.parametrize(
    ("values", "classes", "expected"),
    [
        ([0, 255], ("background", "foreground"), [0, 1]),
        ([0, 1], ("background", "foreground"), [0, 1]),
        ([0, 1, 255], ("background", "foreground"), [0, 1, IGNORE]),
        ([0, 50, 120], ("background", "50", "120"), [0, 1, 2]),
        ([1, 2], ("1", "2"), [0, 1]),
    ],
)
def test_values_without_names(tmp_path: Path, values: list[int], classes: tuple[str, ...], expected: list[int]) -> None:
    put(tmp_path, "a", np.array([values], np.uint8))
    found = read_dataset(tmp_path)
    assert found.classes == classes and truths(found) == [[expected]]


def test_black_and_white_pixels_of_one_bit(tmp_path: Path) -> None:
    put(tmp_path, "a", Image.fromarray(np.array([[0, 255, 255]], np.uint8)).convert("1"))
    assert truths(read_dataset(tmp_path)) == [[[0, 1, 1]]]


def test_parts_endings_and_hidden_pixels(tmp_path: Path) -> None:
    for part in ("train", "test"):
        put(tmp_path / part, "a", np.array([[0, 1, 1]], np.uint8))
        (tmp_path / part / "masks" / "a.png").rename(tmp_path / part / "masks" / "a_mask.png")
        for folder, values in (("fov", [255, 255, 0]), ("ignore", [1, 0, 0])):
            (tmp_path / part / folder).mkdir()
            Image.fromarray(np.array([values], np.uint8)).save(tmp_path / part / folder / "a.png")
    found = read_dataset(tmp_path)
    parts = {(sample.id, sample.split) for sample in found.samples}
    assert parts == {("train/images/a.png", "train"), ("test/images/a.png", "test")}
    assert truths(found) == [[[IGNORE, 1, IGNORE]]] * 2


def test_everything_wrong_is_named(tmp_path: Path) -> None:
    put(tmp_path, "good", np.array([[0, 1, 7]], np.uint8))
    put(tmp_path, "large", np.zeros((2, 3), np.uint8), size=(5, 2))
    put(tmp_path, "empty", np.zeros((2, 3), np.uint8))
    put(tmp_path, "unknown", np.full((2, 3), 255, np.uint8))
    put(tmp_path, "alone", IDS)
    (tmp_path / "masks" / "alone.png").rename(tmp_path / "masks" / "other.png")
    put(tmp_path, "deep", Image.fromarray(np.array([[0, 4000]], np.uint16)))
    put(tmp_path, "cut", IDS)
    data = (tmp_path / "masks" / "cut.png").read_bytes()
    (tmp_path / "masks" / "cut.png").write_bytes(data[:40])
    (tmp_path / "classes.txt").write_text("ground\nroad\n")
    found = read_dataset(tmp_path)
    assert {Path(sample.id).stem for sample in found.samples} == {"good", "empty", "unknown"}
    named = {Path(name).stem: problem.code for problem in found.problems for name in problem.samples}
    assert named == {
        "good": "masks.unknown_values",
        "large": "masks.size",
        "empty": "masks.empty",
        "unknown": "masks.all_ignored",
        "alone": "masks.no_mask",
        "other": "masks.no_image",
        "deep": "masks.deep",
        "cut": "image.damaged",
    }
    values = next(problem for problem in found.problems if problem.code == "masks.unknown_values")
    assert values.facts["values"] == "7 (1 px)"
    size = next(problem for problem in found.problems if problem.code == "masks.size")
    assert (size.facts["width"], size.facts["image_width"]) == (3, 5)


def test_what_can_not_be_used_is_refused_in_words(tmp_path: Path) -> None:
    def refusal(name: str, masks: list[Ids | Image.Image], **files: str) -> DataError:
        for number, mask in enumerate(masks):
            put(tmp_path / name, str(number), mask)
        for file, text in files.items():
            (tmp_path / name / file.replace("_", ".", 1)).write_text(text)
        with pytest.raises(DataError) as caught:
            read_dataset(tmp_path / name, format="masks")
        return caught.value

    colours = refusal("colours", [Image.fromarray(mask_colours()[IDS])])
    assert colours.code == "masks.no_palette" and "230 159 0" in str(colours)
    assert refusal("plain", [np.zeros((2, 2), np.uint8)]).code == "masks.one_value"
    assert refusal("photograph", [np.arange(200, dtype=np.uint8).reshape(10, 20)]).code == "masks.many_values"
    assert refusal("names", [IDS], classes_txt="road\nroad\n").code == "masks.class_names"
    line = refusal("line", [IDS], palette_txt="0 0 0 ground\n300 0 0 road\n")
    assert line.code == "masks.palette_line" and line.facts["line"] == 2
    assert refusal("twice", [IDS], palette_txt="0 0 0 ground\n0 0 0 road\n").code == "masks.palette_twice"


def test_masks_of_one_class_are_refused_before_training(tmp_path: Path) -> None:
    """Nothing but the background in the training part; the validation part alone can't teach the rest."""
    for part, mask in (("train", np.zeros((4, 4), np.uint8)), ("val", IDS)):
        put(tmp_path / part, "a", mask)
    for folder in (tmp_path, tmp_path / "train"):
        (folder / "classes.txt").write_text("ground\nroad\nroof\n")
    report = check(tmp_path, task="segmentation")
    assert not report.usable and report.problems[0].code == "masks.one_class"
    with pytest.raises(DataError) as caught:
        train(tmp_path, task="segmentation", out=tmp_path / "run")
    assert caught.value.code == "masks.one_class" and "ground" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_smoothed_masks_are_told_from_maps_of_values(tmp_path: Path) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (19, 19, 45, 45))
    put(tmp_path, "a", mask)
    mask.save(tmp_path / "masks" / "a.jpg", quality=60)
    (tmp_path / "masks" / "a.png").unlink()
    found = read_dataset(tmp_path)
    assert found.classes == ("background", "foreground") and "masks.smoothed" in codes(found)
    assert np.array(truths(found)[0])[20:44, 20:44].all() and abs(sum(map(sum, truths(found)[0])) - 26 * 26) < 40


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_masks_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    folder = tmp_path_factory.mktemp("written")
    random = np.random.default_rng(seed)
    ids = random.integers(0, count, (random.integers(1, 9), random.integers(1, 9))).astype(np.uint8)
    ids[random.random(ids.shape) < 0.1] = IGNORE
    writer = Writer(folder, [f"class {i}" for i in range(count)])
    writer.add("part/a.jpg", ids.shape[1], ids.shape[0], Segmentation(ids))
    assert writer.finish() == folder / "masks"
    (folder / "images" / "part").mkdir(parents=True)
    Image.new("RGB", ids.shape[::-1]).save(folder / "images" / "part" / "a.jpg")
    found = read_dataset(folder)
    assert found.classes == tuple(f"class {i}" for i in range(count)) and truths(found) == [ids.tolist()]


def test_generated_binary_masks_are_read(tmp_path: Path) -> None:
    found = read_dataset(write_binary(tmp_path, seed=0, count=3))
    assert found.classes == ("background", "foreground") and len(found.samples) == 3


# --- Into network pixels and back


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.integers(0, 1000))
def test_what_the_letterbox_did_is_undone(height: int, width: int, seed: int) -> None:
    """An image whose pixels are its classes, seen by a network that says them: large blocks come back exactly."""
    random = np.random.default_rng(seed)
    ids = np.kron(random.integers(0, 2, (2, 2)), np.ones((height, width))).astype(np.uint8)
    plan = Preprocess(64, 96, fit="letterbox", channels=1)
    pixels, frame = plan.apply(Image.fromarray(ids * 255))
    score = np.where(pixels[..., 0] >= 128, pixels[..., 0] / 255, 1 - pixels[..., 0] / 255).astype(np.float32)
    outputs = {"class_id": (pixels[None, ..., 0] >= 128).astype(np.uint8), "score": score[None]}
    for threshold in (0.0, 0.5):
        (found,) = TASK.decode(outputs, [frame], {"threshold": threshold})
        assert found.class_id.shape == ids.shape and found.score is not None
        edge = 2 + 2 / min(frame.scale_x, frame.scale_y)
        rows, columns = np.ogrid[: 2 * height, : 2 * width]
        inside = (np.abs(rows + 0.5 - height) > edge) & (np.abs(columns + 0.5 - width) > edge)
        assert np.array_equal(found.class_id[inside], ids[inside])


def test_network_pixels_are_the_original_ones_where_nothing_was_scaled() -> None:
    random = np.random.default_rng(0)
    ids, score = random.integers(0, 4, (1, 8, 9)).astype(np.uint8), random.random((1, 8, 9)).astype(np.float32)
    (found,) = TASK.decode({"class_id": ids, "score": score}, [Frame(6, 5, left=2, top=1)], {})
    assert np.array_equal(found.class_id, ids[0, 1:7, 2:7]) and found.score is not None
    assert np.array_equal(found.score, score[0, 1:7, 2:7])


def test_the_threshold_is_that_of_the_rarer_class() -> None:
    """Planted: what is above .7 is right. With both names exchanged, the best threshold is its counterpart."""
    random = np.random.default_rng(0)
    probability = random.random((1, 50, 60)).astype(np.float32)
    truth = (probability[0] > 0.7).astype(np.uint8)
    frames = [Frame(50, 60)]

    def calibrated(second: NDArray[np.float32], truth: Ids) -> float:
        ids = (second >= 0.5).astype(np.uint8)
        outputs = {"class_id": ids, "score": np.where(ids == 1, second, 1 - second).astype(np.float32)}
        found = TASK.calibrate([(outputs, frames, [Segmentation(truth)])])
        (answer,) = TASK.decode(outputs, frames, found)
        assert (answer.class_id == truth).mean() > 0.99
        return found["threshold"]

    assert calibrated(probability, truth) == pytest.approx(0.7, abs=0.011)
    assert calibrated(1 - probability, 1 - truth) == pytest.approx(0.3, abs=0.011)
    three = {"class_id": np.full((1, 50, 60), 2, np.uint8), "score": probability}
    assert TASK.calibrate([(three, frames, [Segmentation(truth)])]) == {"threshold": 0.0}
    nothing = Segmentation(np.zeros((50, 60), np.uint8))
    assert TASK.calibrate([(three | {"class_id": np.zeros((1, 50, 60), np.uint8)}, frames, [nothing])]) == {
        "threshold": 0.0
    }


def test_targets_lie_where_the_pixels_lie() -> None:
    """The pixels of an image that shows its classes, against the classes placed by its frame."""
    ids = np.kron(np.array([[0, 1, 2], [2, 0, 1]]), np.ones((20, 20))).astype(np.uint8)
    plan = Preprocess(64, 96, fit="letterbox", channels=1)
    pixels, frame = plan.apply(Image.fromarray(ids * 100))
    (placed,) = collate([Segmentation(ids)], [frame], classes=3, size=(64, 96)).class_id.numpy()
    inside = placed != IGNORE
    assert inside.sum() == 64 * 96 and (np.abs(placed * 100.0 - pixels[..., 0])[inside] < 30).mean() > 0.9
    narrow = collate([Segmentation(ids[:, :20])], [Frame(40, 20, 1.6, 1.6, 32, 0)], classes=2, size=(64, 96)).class_id[
        0
    ]
    assert (narrow[:, :32] == IGNORE).all() and (narrow[:, 64:] == IGNORE).all()
    assert (narrow[:32, 32:64] == 0).all() and (narrow[32:, 32:64] == IGNORE).all()  # 2 is no class of these


def test_classes_are_counted_by_their_known_pixels(tmp_path: Path) -> None:
    put(tmp_path, "a", np.array([[0, 1, 1, 255]], np.uint8))
    put(tmp_path, "b", np.array([[2, 2, 2, 0]], np.uint8))
    targets = [sample.target for sample in read_dataset(tmp_path).samples]
    assert class_counts([*targets, Segmentation(np.ones((2, 2), np.uint8))], classes=3).tolist() == [2, 6, 3]


@pytest.mark.parametrize(
    "how",
    [
        Augmentation(flip=0.5, area=0.4, aspect=1.3, rotate=25),
        Augmentation(flip=0.5, window=True, zoom=1.3, rotate=10),
        Augmentation(flip=0.5, shift=0.1),
    ],
)
def test_classes_follow_the_pixels(how: Augmentation) -> None:
    random = torch.Generator().manual_seed(0)
    ids = torch.kron(torch.randint(0, 4, (6, 5, 6), generator=random), torch.ones(1, 8, 8)).to(torch.uint8)
    size = (40, 48) if how.shift else (24, 32)
    made = augment(Batch((ids * 60)[:, None], SegmentationTargets(ids)), how, draws(6, random), size=size)
    assert isinstance(made.targets, SegmentationTargets)
    known = made.targets.class_id != IGNORE
    near = (made.images[:, 0].float() - made.targets.class_id * 60.0).abs() < 31
    assert known.float().mean() > 0.7 and near[known].float().mean() > 0.93
    assert near.float().mean() <= 1.0 and made.targets.class_id.shape == (6, *size)


def test_a_window_shows_the_image_at_its_own_scale() -> None:
    image = torch.arange(40 * 48).reshape(1, 1, 40, 48) % 251
    chance = torch.full((1, 14), 0.5)
    chance[:, FLIP] = 0.9
    chance[:, [ASPECT, ANGLE]] = 0.5
    how = Augmentation(flip=0.5, window=True, zoom=1.0)
    targets = SegmentationTargets(image[:, 0].to(torch.uint8))
    made = augment(Batch(image.to(torch.uint8), targets), how, chance, size=(20, 24))
    torch.testing.assert_close(made.images[0, 0], image[0, 0, 10:30, 12:36].float(), atol=1e-3, rtol=0)
    assert isinstance(made.targets, SegmentationTargets)
    assert torch.equal(made.targets.class_id[0], image[0, 0, 10:30, 12:36].to(torch.uint8))


# --- Metrics


def two_maps(seed: int, classes: int) -> tuple[Ids, Ids]:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(4, 14, 2))
    truth = random.integers(0, classes, shape).astype(np.uint8)
    answer = np.where(random.random(shape) < 0.6, truth, random.integers(0, classes, shape)).astype(np.uint8)
    truth[random.random(shape) < 0.15] = IGNORE
    return answer, truth


def slow_border(ids: Ids, known: NDArray[np.bool_], class_id: int) -> list[tuple[int, int]]:
    height, width = ids.shape
    places = []
    for i, j in np.argwhere((ids == class_id) & known).tolist():
        around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
        if any(0 <= a < height and 0 <= b < width and known[a, b] and ids[a, b] != class_id for a, b in around):
            places.append((i, j))
    return places


def slow_border_f1(answer: Ids, truth: Ids, class_id: int) -> float:
    known = truth != IGNORE
    found, true = slow_border(answer, known, class_id), slow_border(truth, known, class_id)
    if not found and not true:
        return math.nan
    reach = max(1, round(TOLERANCE * math.hypot(*truth.shape)))

    def near(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        return sum(any(math.dist(a, b) <= reach for b in others) for a in some) / max(1, len(some))

    precision, recall = near(found, true), near(true, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 4))
def test_metrics_against_one_pixel_at_a_time(seed: int, classes: int, count: int) -> None:
    maps = [two_maps(seed + i, classes) for i in range(count)]
    foreground = list(range(1, classes))
    scores = score_regions(
        [compare_regions(a, t, classes=classes) for a, t in maps], classes=classes, foreground=foreground
    )
    pooled = np.zeros((classes, 3))
    dice, borders, right, total = [], [], 0, 0
    for answer, truth in maps:
        own = np.zeros((classes, 3))
        for place in np.ndindex(*truth.shape):
            if truth[place] != IGNORE:
                own[truth[place]] += (truth[place] == answer[place], 0, 1)
                own[answer[place], 1] += 1
                right, total = right + int(truth[place] == answer[place]), total + 1
        pooled += own
        dice.append(np.nanmean([2 * a / (b + c) if b + c else np.nan for a, b, c in own[1:]] or [np.nan]))
        borders.append(np.nanmean([slow_border_f1(answer, truth, k) for k in foreground] or [np.nan]))
    iou = [a / (b + c - a) for a, b, c in pooled if b + c]
    expected = {
        "mean_iou": np.mean(iou),
        "dice": np.nanmean(dice),
        "pooled_dice": np.mean([2 * a / (b + c) for a, b, c in pooled[1:] if b + c]),
        "boundary_f1": np.nanmean(borders),
        "pixel_accuracy": right / total,
    }
    for name, value in expected.items():
        assert scores.metrics[name] == pytest.approx(value, abs=1e-9), name
    low, high = scores.interval
    assert 0 <= low <= high <= 1 and (count > 1 or low == high == pytest.approx(expected["mean_iou"]))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_unknown_pixels_don_t_count_in_any_metric(seed: int) -> None:
    answer, truth = two_maps(seed, 3)
    random = np.random.default_rng(seed + 1)
    spoiled = np.where(truth == IGNORE, random.integers(0, 3, truth.shape), answer).astype(np.uint8)
    both = [
        score_regions([compare_regions(a, truth, classes=3)], classes=3, foreground=[1, 2]) for a in (answer, spoiled)
    ]
    assert both[0].metrics == both[1].metrics
    np.testing.assert_array_equal(both[0].per_class, both[1].per_class)


def test_a_case_done_by_hand() -> None:
    truth = Segmentation(np.array([[0, 0, 1, 1], [0, 0, 1, IGNORE]], np.uint8))
    answer = Segmentation(np.array([[0, 1, 1, 0], [0, 0, 1, 0]], np.uint8))
    found = TASK.evaluate([answer, truth], [truth, truth], ("background", "vessel"))
    # Image 1: 1 of both 2, answered 3, true 3; image 2: all 3.
    assert found.metrics["dice"] == pytest.approx((4 / 6 + 1) / 2)
    assert found.metrics["pooled_dice"] == pytest.approx(10 / 12)
    assert found.metrics["mean_iou"] == found.main.value == pytest.approx((7 / 9 + 5 / 7) / 2)
    assert found.metrics["pixel_accuracy"] == pytest.approx(12 / 14)
    row = found.per_class["vessel"]  # by the same names as the metrics: images' mean, and all pixels together
    assert (row["dice"], row["pooled_dice"]) == (pytest.approx((4 / 6 + 1) / 2), pytest.approx(10 / 12))
    assert row["recall"] == pytest.approx(5 / 6)
    assert found.worst == (0,) and found.main.low < found.main.value < found.main.high
    assert found.tables["confusion"].tolist() == [[7, 1], [1, 5]]


def test_an_image_without_anything_to_find() -> None:
    """Nothing there and nothing answered is no mistake; a false answer is one."""
    plain = Segmentation(np.zeros((4, 4), np.uint8))
    false = Segmentation(np.eye(4, dtype=np.uint8))
    classes = ("background", "crack")
    assert TASK.evaluate([plain], [plain], classes).metrics["dice"] == 1.0
    assert TASK.evaluate([false], [plain], classes).metrics["dice"] == 0.0


def test_regions_are_counted_and_measured() -> None:
    ids = np.zeros((6, 10), np.uint8)
    ids[1:3, 1:3], ids[3, 3], ids[5, 8:] = 1, 1, 1  # the first two touch at a corner
    ids[0, 9] = 2
    entries = TASK.as_json(Segmentation(ids), ("background", "cell", "dirt"))
    assert entries[1] == {"class": "cell", "pixels": 7, "share": round(7 / 60, 6), "regions": 2}
    assert [entry["class"] for entry in entries] == ["background", "cell", "dirt"]
    assert TASK.describe(Segmentation(ids), ("background", "cell", "dirt")) == "cell 11.7 %, dirt 1.7 %"
    json.dumps(entries)
