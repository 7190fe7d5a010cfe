"""Scores of a finished model: classes by name, skipped images, calibration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from runtime_helpers import NAMES, DigitNet, MeanEngine, card_for, write_digit_files

from manako.errors import DataError
from manako.runtime.evaluate import aligned, calibrate, evaluate
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.predictor import Predictor
from manako.training.engine import TorchEngine
from manako.training.export import ExportResult
from manako.types import Labels, Sample


def test_classes_are_matched_by_name(exported: ExportResult, samples: list[Sample]) -> None:
    predictor = Predictor(OnnxEngine(exported.path))
    plain = evaluate(predictor, samples, NAMES, intervals=False)
    shuffled = ("other", *reversed(NAMES))
    moved = [replace(s, target=Labels.truth(10 - s.target.best)) for s in samples if isinstance(s.target, Labels)]
    again = evaluate(predictor, moved, shuffled, intervals=False)
    assert plain.evaluation.main == again.evaluation.main and plain.evaluation.main.value > 0.8
    assert [t.best for _, t in plain.shown.values()] == [t.best for _, t in again.shown.values()]
    value = plain.evaluation.main.value
    assert plain.as_json()["main"] == {"name": "accuracy", **dict.fromkeys(("value", "low", "high"), value)}


def test_a_class_that_the_model_was_not_taught_is_named(samples: list[Sample]) -> None:
    strange = [replace(samples[0], target=Labels.truth(1))]
    with pytest.raises(DataError, match="snow leopard"):
        list(aligned(strange, ("零", "snow leopard"), NAMES))
    assert list(aligned([replace(samples[0], target=None)], ("snow leopard",), NAMES)) == []


def test_unreadable_images_are_counted_not_scored(
    exported: ExportResult, samples: list[Sample], tmp_path: Path
) -> None:
    bad = Sample("bad.png", tmp_path / "bad.png", Labels.truth(0))
    found = evaluate(Predictor(OnnxEngine(exported.path)), [bad, *samples[:5], bad], NAMES, batch=2)
    assert [s.id for s in found.samples] == [s.id for s in samples[:5]]
    assert found.evaluation.count == 5 and len(found.skipped) == 2
    assert found.as_json()["skipped"] == 2
    with pytest.raises(DataError) as caught:
        evaluate(Predictor(OnnxEngine(exported.path)), [bad], NAMES)
    assert caught.value.code == "evaluate.nothing"


def test_calibration_lowers_the_loss_on_new_images(net: DigitNet, tmp_path: Path) -> None:
    new = write_digit_files(tmp_path, 300, first=700)
    validation, test = new[::2], new[1::2]
    hot = DigitNet().eval()
    hot.load_state_dict(net.state_dict())
    hot.last.weight.data *= 10
    hot.last.bias.data *= 10
    card = card_for(hot)
    found = calibrate(Predictor(TorchEngine(hot, card)), validation, NAMES)
    assert found["temperature"] > 5
    before, after = (
        evaluate(Predictor(TorchEngine(hot, replace(card, settings=s))), test, NAMES, intervals=False).evaluation
        for s in ({}, found)
    )
    assert after.metrics["nll"] < 0.8 * before.metrics["nll"] and after.metrics["ece"] < before.metrics["ece"]
    assert after.main == before.main


def test_nothing_to_calibrate_with_gives_the_neutral_settings() -> None:
    assert calibrate(Predictor(MeanEngine()), [], NAMES) == {"temperature": 1.0}
