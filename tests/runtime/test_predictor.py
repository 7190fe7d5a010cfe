"""From files to predictions: order, errors, equal answers, bounded memory."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from runtime_helpers import NAMES, MeanEngine, write_digit_files

from manako.errors import ImageError, UsageError
from manako.runtime.ahead import Source
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.predictor import Predictor
from manako.tasks.detection import TASK as DETECTION
from manako.training.export import ExportResult
from manako.types import Frame, Sample


def grey(level: int) -> Image.Image:
    return Image.new("L", (10, 10), level)


def test_one_bad_image_in_a_batch_of_32_harms_no_other(
    exported: ExportResult, samples: list[Sample], tmp_path: Path
) -> None:
    predictor = Predictor(OnnxEngine(exported.path))
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(samples[0].image.read_bytes()[:90])
    sources = [s.image for s in samples[:16]] + [bad] + [s.image for s in samples[16:31]]
    results = list(predictor.predict(sources, batch=32))
    assert [r.image for r in results] == [str(s) for s in sources]
    assert [i for i, r in enumerate(results) if r.error] == [16]
    assert isinstance(results[16].error, ImageError) and results[16].prediction is None
    for source, result in zip(sources, results, strict=True):
        (alone,) = predictor.predict([source])
        if result.prediction is None:
            assert alone.error and result.error and alone.error.code == result.error.code
            continue
        assert alone.prediction and result.prediction.class_id.tolist() == alone.prediction.class_id.tolist()
        np.testing.assert_allclose(result.prediction.score, alone.prediction.score, atol=1e-5)
        assert (result.width, result.height) == (24, 20)


def test_every_kind_of_source_gives_the_same_answer(exported: ExportResult, samples: list[Sample]) -> None:
    sample = samples[5]
    image = Image.open(sample.image)
    kinds: list[Source] = [sample.image, str(sample.image), sample.image.read_bytes(), sample]
    kinds += [image, image.convert("RGBA")]
    results = list(Predictor(OnnxEngine(exported.path)).predict(kinds, batch=4))
    answers = [r.prediction for r in results]
    for answer in answers:
        assert answer and answers[0]
        np.testing.assert_allclose(answer.score, answers[0].score, atol=1e-5)
    (alone,) = Predictor(OnnxEngine(exported.path)).predict(str(sample.image))  # one source needs no list
    assert alone.image == str(sample.image) and alone.prediction
    assert [r.image for r in results][2:] == ["<bytes>", sample.id, "<image>", "<image>"]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_order_and_batches(batch: int) -> None:
    engine = MeanEngine()
    levels = [25 * (i % 10) for i in range(20)]
    results = list(Predictor(engine).predict(map(grey, levels), batch=batch, workers=3))
    assert [r.prediction.best for r in results if r.prediction] == [i % 10 for i in range(20)]
    assert sum(engine.batches) == 20 and max(engine.batches) == min(batch, 20)


def test_settings_of_the_task_can_be_chosen() -> None:
    predictor = Predictor(MeanEngine(), DETECTION)
    assert predictor.with_settings(confidence=0.9, iou=None).settings == {**predictor.settings, "confidence": 0.9}
    with pytest.raises(UsageError) as caught:
        Predictor(MeanEngine()).with_settings(confidence=0.9)
    assert caught.value.code == "predict.no_setting"


def test_a_network_without_finite_numbers_is_an_error_of_that_image() -> None:
    results = list(Predictor(MeanEngine()).predict(map(grey, [50, 255, 75]), batch=3))
    assert [r.prediction.best if r.prediction else None for r in results] == [2, None, 3]
    assert results[1].error and results[1].error.code == "predict.not_finite"
    predictor = Predictor(MeanEngine())
    assert set(predictor.as_json(results[1])) == {"image", "error", "message"}
    assert predictor.as_json(results[0])["predictions"][0]["class"] == NAMES[2]  # type: ignore[index]


def test_only_broken_images_run_no_network() -> None:
    engine = MeanEngine()
    results = list(Predictor(engine).predict([b"", "/nowhere", b"GIF89a"], batch=2))
    assert all(r.error for r in results) and not engine.batches


def test_sources_are_taken_only_a_few_batches_ahead() -> None:
    """However many images there are, no more than three batches are in hand."""
    taken = 0

    def endless() -> Iterator[Image.Image]:
        nonlocal taken
        while True:
            taken += 1
            yield grey(taken % 250)

    results = Predictor(MeanEngine()).predict(endless(), batch=8)
    ahead = []
    for number in range(400):
        next(results)
        ahead.append(taken - number)
    assert max(ahead) <= 3 * 8 + 1
    results.close()  # type: ignore[attr-defined]
    assert not [t for t in threading.enumerate() if t.name.startswith("manako-open")]


def test_ten_times_the_images_take_the_same_memory(tmp_path: Path) -> None:
    (sample,) = write_digit_files(tmp_path, 1)

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in Predictor(MeanEngine()).predict((sample.image for _ in range(count)), batch=16, workers=1):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(50)  # imports and caches
    assert peak(2000) < 1.2 * peak(200) + 100_000


@given(seed=st.integers(0, 10_000), confidence=st.floats(0.002, 0.9))
@settings(deadline=None, max_examples=30)
def test_what_people_are_shown_is_the_same_without_the_rest(seed: int, confidence: float) -> None:
    """Detection leaves out what is far below the confidence; what is left is equal."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 80, (1, 200, 2))
    boxes = np.concatenate([low, low + random.uniform(5, 40, (1, 200, 2))], axis=2).astype(np.float32)
    scores = (random.random((1, 200)) ** 3).astype(np.float32)
    outputs = {"boxes": boxes, "scores": scores, "labels": random.integers(0, 3, (1, 200))}
    chosen = {"confidence": confidence, "iou": 0.5}
    (full,) = DETECTION.decode(outputs, [Frame(120, 120)], chosen)
    (short,) = DETECTION.decode(outputs, [Frame(120, 120)], DETECTION.to_show(chosen))
    assert len(short) <= len(full) and DETECTION.as_json(short, "abc") == DETECTION.as_json(full, "abc")
