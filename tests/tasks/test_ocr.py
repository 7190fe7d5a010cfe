"""Reading of lines: decoding, metrics, labels files, the published layout, against independent implementations."""

from __future__ import annotations

import itertools
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from manako.errors import DataError
from manako.formats import read_dataset
from manako.formats.text_lines import Writer
from manako.images import LINE_STEP, Preprocess
from manako.metrics.bootstrap import mean_interval, ratio_interval
from manako.metrics.text import align, edits, measure_line
from manako.models import create_model
from manako.runtime.ahead import of_one_size
from manako.runtime.evaluate import aligned
from manako.tasks.ocr import TASK, best_path
from manako.training.augment import LINE_LEVELS, augmentation
from manako.training.targets.ocr import collate
from manako.types import Dataset, Frame, TextLine

Short = st.text("abc ", max_size=7)


def line(*ids: int) -> TextLine:
    return TextLine.truth(np.array(ids, np.int64))


@given(Short, Short)
def test_edits_are_the_fewest(truth: str, found: str) -> None:
    @cache
    def fewest(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        change = fewest(i - 1, j - 1) + (truth[i - 1] != found[j - 1])
        return min(change, fewest(i - 1, j) + 1, fewest(i, j - 1) + 1)

    counted = edits(truth, found)
    assert counted.count == fewest(len(truth), len(found))
    assert counted.length == len(truth) == counted.same + counted.other + counted.missed
    steps = align(truth, found)
    assert "".join(t for _, t, _ in steps) == truth and "".join(f for _, _, f in steps) == found
    assert all((step == "same") == (t == f) for step, t, f in steps)


def test_normalised_is_without_case_width_and_spaces() -> None:
    errors = measure_line("Ｔotal 5 ｶﾅ", "total5カナ")
    assert errors.characters.count > 0 and errors.words.same == 0
    assert errors.characters_normalised.count == 0 and errors.words_normalised.count > 0


@given(st.text("aB c.", max_size=8), st.text("Ab C.", max_size=8))
def test_normalised_counts_as_upper_case_without_spaces(truth: str, found: str) -> None:
    """As the references of receipts are scored, by the slow definition of the distance."""

    @cache
    def fewest(a: str, b: str) -> int:
        if not a or not b:
            return len(a + b)
        return min(fewest(a[1:], b[1:]) + (a[0] != b[0]), fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1)

    plain, read = truth.upper().replace(" ", ""), found.upper().replace(" ", "")
    errors = measure_line(truth, found).characters_normalised
    assert (errors.count, errors.length) == (fewest(plain, read), len(plain))


def test_rates_are_over_all_lines_together() -> None:
    classes = ("a", "b", " ")
    found = TASK.evaluate([line(0, 1), line(0), line()], [line(0, 0), line(0), line(1, 2, 1)], classes)
    assert found.metrics["cer"] == pytest.approx((1 + 0 + 3) / 6)
    assert found.metrics["wer"] == pytest.approx((1 + 0 + 2) / 4)
    assert found.metrics["word_accuracy"] == pytest.approx(1 / 4)
    assert found.metrics["line_accuracy"] == pytest.approx(1 / 3)
    assert found.worst == (2, 0) and found.main.low <= found.main.value <= found.main.high
    assert found.tables["taken_for"].tolist() == [[0, 1, 1]]


def test_the_interval_of_a_ratio_is_that_of_a_mean_where_lines_are_equally_long() -> None:
    parts = np.random.default_rng(0).integers(0, 2, 200)
    assert ratio_interval(parts * 5, np.full(200, 5)) == pytest.approx(mean_interval(parts))
    assert ratio_interval([0, 0], [3, 4]) == mean_interval([0, 0])
    assert ratio_interval([], []) == (0.0, 1.0)


@given(st.lists(st.integers(0, 3), max_size=8))
def test_repeats_are_one_and_blanks_are_left_out(symbols: list[int]) -> None:
    wanted = [s - 1 for s, _ in itertools.groupby(symbols) if s]
    scores = np.linspace(0.1, 0.9, len(symbols), dtype=np.float32)
    found = best_path(np.array(symbols, np.int64), scores)
    assert found.class_id.tolist() == wanted
    ends = [i for i, s in enumerate(symbols) if s and (i + 1 == len(symbols) or symbols[i + 1] != s)]
    np.testing.assert_array_equal(found.score, scores[ends])  # they rise, so the last step is the surest


def test_the_loss_is_the_probability_of_all_paths_that_read_so() -> None:
    model = create_model("crnn", task="ocr", classes=2, channels=1, imgsz=32, options={"width": 1, "hidden": 1})
    steps, truths = 5, [line(0, 0), line(1), line(0, 1, 0)]
    logs = torch.randn(3, steps, 3, generator=torch.Generator().manual_seed(0)).log_softmax(2)
    total = 0.0
    for row, truth in zip(logs, truths, strict=True):
        paths = itertools.product(range(3), repeat=steps)
        good = [p for p in paths if [s - 1 for s, _ in itertools.groupby(p) if s] == truth.class_id.tolist()]
        total -= math.log(sum(math.exp(sum(float(row[i, s]) for i, s in enumerate(p))) for p in good)) / len(
            truth.score
        )
    targets = collate(truths, [Frame(32, 32)] * 3, classes=2, size=(32, 32))
    assert float(model.loss({"log_probabilities": logs}, targets)) == pytest.approx(total / 3, rel=1e-5)
    assert targets.take(torch.tensor([1])).lengths.tolist() == [1]


def test_the_published_layout_loads_and_reads_alike() -> None:
    """The names and the forward pass of the widespread public CRNN, written out here."""
    torch.manual_seed(0)
    shapes = [(64, 1, 3), (128, 64, 3), (256, 128, 3), (256, 256, 3), (512, 256, 3), (512, 512, 3), (512, 512, 2)]
    state: dict[str, torch.Tensor] = {}
    for i, (outputs, inputs, kernel) in enumerate(shapes):
        state[f"cnn.conv{i}.weight"] = torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel**2)
        state[f"cnn.conv{i}.bias"] = torch.randn(outputs) / 10
        if i in (2, 4, 6):
            for name in ("weight", "bias", "running_mean", "running_var"):
                state[f"cnn.batchnorm{i}.{name}"] = torch.rand(outputs) + 0.5
            state[f"cnn.batchnorm{i}.num_batches_tracked"] = torch.tensor(1)
    layers = []
    for i, (inputs, outputs) in enumerate([(512, 256), (256, 37)]):
        lstm, linear = nn.LSTM(inputs, 256, bidirectional=True), nn.Linear(512, outputs)
        state |= {f"rnn.{i}.rnn.{name}": value for name, value in lstm.state_dict().items()}
        state |= {f"rnn.{i}.embedding.{name}": value for name, value in linear.state_dict().items()}
        layers.append((lstm, linear))
    model = create_model("crnn", task="ocr", classes=36, channels=1, imgsz=100).eval()
    model.load_state_dict(state, strict=True)
    images = torch.randn(2, 1, 32, 100)
    x = images
    for i in range(7):
        x = nn.functional.conv2d(x, state[f"cnn.conv{i}.weight"], state[f"cnn.conv{i}.bias"], padding=int(i < 6))
        if i in (2, 4, 6):
            weight, bias, mean, var = (
                state[f"cnn.batchnorm{i}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
            )
            x = nn.functional.batch_norm(x, mean, var, weight, bias)
        x = x.relu()
        if i in (0, 1):
            x = nn.functional.max_pool2d(x, 2, 2)
        elif i in (3, 5):
            x = nn.functional.max_pool2d(x, (2, 2), (2, 1), (0, 1))
    assert x.shape == (2, 512, 1, 26)
    x = x.squeeze(2).permute(2, 0, 1)
    with torch.no_grad():
        for lstm, linear in layers:
            x = linear(lstm(x)[0])
        found = model(images)
    wanted = x.transpose(0, 1).log_softmax(2)
    torch.testing.assert_close(found["log_probabilities"], wanted, rtol=1e-4, atol=1e-5)
    assert torch.equal(found["symbols"], wanted.topk(8, 2).indices)


@given(st.integers(1, 60), st.integers(1, 400), st.sampled_from(["L", "RGB"]))
def test_a_line_keeps_its_shape_and_has_a_width_of_its_own(height: int, width: int, mode: str) -> None:
    plan = Preprocess(32, 96, "line", channels=1)
    pixels, frame = plan.apply(Image.new(mode, (width, height), 77 if mode == "L" else (77, 77, 77)))
    own = min(96, max(1, width * 32 / height))
    assert pixels.shape[0] == 32 and pixels.shape[1] == plan.width_of(height, width) in (32, 64, 96)
    assert own - 0.5 <= pixels.shape[1] < own + LINE_STEP and (pixels == 77).all()  # filled with the border's colour
    assert frame.scale_y == pytest.approx(32 / height) and (frame.left, frame.top) == (0, 0)
    assert abs(frame.scale_x * width - own) <= 0.5
    right = frame.restore(np.array([[96.0, 32.0]], np.float32))[0]
    assert right.tolist() == pytest.approx([min(width, 96 / frame.scale_x), height], rel=1e-5)


@given(st.lists(st.sampled_from([(48, 32, 3), (48, 64, 3), None]), max_size=30), st.integers(1, 8))
def test_lines_share_a_batch_only_where_they_are_equally_wide(
    shapes: list[tuple[int, int, int] | None], most: int
) -> None:
    parts = of_one_size(shapes, most)
    assert sorted(place for part in parts for place in part) == list(range(len(shapes)))
    for part in parts:
        assert 1 <= len(part) <= most and len({shapes[place] for place in part} - {None}) <= 1


def test_nothing_of_a_line_is_cut_off_or_mirrored() -> None:
    for level in LINE_LEVELS:
        how = augmentation(level, side=320, fit="line")
        assert (how.flip, how.area, how.aspect, how.shift, how.erase) == (0, 1, 1, 0, 0)


def write(folder: Path, content: bytes, names: tuple[str, ...] = ("a.png", "b.png", "c.png")) -> Path:
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("L", (50, 20), 200).save(folder / "images" / name)
    (folder / "labels.tsv").write_bytes(content)
    return folder


def texts(dataset: Dataset) -> list[str]:
    return [s.target.text(dataset.classes) for s in dataset.samples if isinstance(s.target, TextLine)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_labels_in_every_encoding(tmp_path: Path, encoding: str, end: str) -> None:
    rows = ["a.png\t合計 500円", 'b.png\t say "A" ', "images/c.png\tタブ\tも"]
    found = read_dataset(write(tmp_path, end.join(rows).encode(encoding)), task="ocr")
    assert texts(found) == ["合計 500円", 'say "A"', "タブ\tも"]
    assert list(found.classes) == sorted(set("合計 500円" + 'say "A"' + "タブ\tも"))
    assert "ocr.alphabet" in {problem.code for problem in found.problems}


def test_what_is_wrong_is_said_with_its_line(tmp_path: Path) -> None:
    rows = [
        "file\ttext",
        "a.png\tcafe\u0301",
        "a.png\tcafé",
        "b.png\t ",
        "nothing.png\tx",
        "no tab",
        "../x.png\ty",
        "c.png\t1",
    ]
    found = read_dataset(write(tmp_path, "\n".join(rows).encode()))
    assert found.task == "ocr" and texts(found) == ["café", "1"]
    told = {problem.code: problem.facts.get("line") for problem in found.problems}
    wanted = {"ocr.composed": 2, "table.duplicate": 3, "ocr.empty_text": 4, "table.missing": 5, "ocr.no_tab": 6}
    assert wanted.items() <= told.items()
    write(tmp_path, b"a.png\tone\na.png\ttwo\n")
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path, task="ocr")
    assert caught.value.code == "table.contradiction"


def test_folders_of_splits(tmp_path: Path) -> None:
    write(tmp_path / "train", b"a.png\tab\nb.png\tb\n")
    write(tmp_path / "test", b"a.png\tax\n")
    found = read_dataset(tmp_path, task="ocr")
    assert [(s.id, s.split) for s in found.samples] == [
        ("test/images/a.png", "test"), ("train/images/a.png", "train"), ("train/images/b.png", "train"),
    ]  # fmt: skip
    untaught = next(problem for problem in found.problems if problem.code == "ocr.untaught")
    assert untaught.facts["characters"] == "x"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    writer = Writer(write(tmp_path, b""), ("a", "é"))
    for name, found in (("images/a.png", line(0, 1)), ("images/b.png", line())):
        writer.add(name, 50, 20, found)
    writer.finish()
    assert texts(read_dataset(tmp_path)) == ["aé"]


def test_a_character_that_the_alphabet_lacks_is_a_mistake(tmp_path: Path) -> None:
    found = read_dataset(write(tmp_path, b"a.png\tabz\n"), task="ocr")
    (sample,) = aligned(found.samples, found.classes, ("a", "b"))
    assert isinstance(sample.target, TextLine) and sample.target.class_id.tolist() == [0, 1, -1]
    assert TASK.evaluate([line(0, 1)], [sample.target], ("a", "b")).metrics["cer"] == pytest.approx(1 / 3)
    assert collate([sample.target], [Frame(20, 50)], classes=2, size=(32, 96)).symbols.tolist() == [[1, 2]]
