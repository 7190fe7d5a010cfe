import itertools
import math
from pathlib import Path

import pytest
import torch
from training_helpers import SIDE, TinyNet, small_config, small_data, small_fit

from manako.errors import ConfigError, ModelFileError
from manako.training import hardware as hardware_module
from manako.training.batch import Batch
from manako.training.checkpoint import load_checkpoint
from manako.training.feed import make_feed
from manako.training.hardware import Hardware, choose_device, keep_memory, measure
from manako.training.learning_rate_finder import MARGIN, find_learning_rate
from manako.training.step import Freeze
from manako.training.targets.classification import collate
from manako.types import Labels


def batch(count=16):
    images = torch.randint(0, 256, (count, 1, SIDE, SIDE), dtype=torch.uint8)
    return Batch(images, collate([Labels.truth(i % 3) for i in range(count)], [], classes=3, size=(4, 4)))


def test_measuring_leaves_the_model_as_it_was(monkeypatch):
    monkeypatch.setattr(hardware_module, "TRIAL_SECONDS", 0.01)
    model = TinyNet().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen, speeds = measure(model, batch(), device="cpu")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert chosen.device == "cpu" and len(speeds) >= 2 and min(speeds.values()) > 0
    assert measure(model, batch(), device="cpu", precision="bf16")[0].precision == "bf16"


@pytest.mark.parametrize("fastest", ["fp32 channels-last", "fp32", "bf16 channels-last"])
def test_the_fastest_is_chosen_and_half_must_gain_clearly(fastest, monkeypatch):
    def name(h):
        return f"{h.precision}{' channels-last' if h.channels_last else ''}"

    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(hardware_module, "_seconds", lambda m, b, h: 1.0 if name(h) == fastest else 2.0)
    assert name(measure(TinyNet().train(), batch(), device="cpu")[0]) == fastest
    monkeypatch.setattr(hardware_module, "_seconds", lambda m, b, h: 0.95 if h.precision == "bf16" else 1.0)
    assert measure(TinyNet().train(), batch(), device="cpu")[0].precision == "fp32"
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    assert "bf16 channels-last" not in measure(TinyNet().train(), batch(), device="cpu")[1]


def test_devices(monkeypatch):
    assert choose_device("cpu") == "cpu"
    assert choose_device("auto") in ("cpu", "cuda", "mps")
    for wrong in ("cuda:99", "toaster"):
        with pytest.raises(ConfigError) as error:
            choose_device(wrong)
        assert error.value.code == "hardware.no_device" and "\n" not in str(error.value)
    keep_memory()


def test_hardware_of_a_checkpoint_is_checked():
    good = Hardware("cpu", "bf16", False)
    assert Hardware.from_json(good.as_json(), file=Path("x")) == good
    for change in ({"precision": "int3"}, {"channels_last": 1}, {"device": 3}, {"more": 1}):
        with pytest.raises(ModelFileError):
            Hardware.from_json(good.as_json() | change, file=Path("x"))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_and_resumes(precision, tmp_path):
    """fp16 with its scaling of the loss, whose state must survive; weights byte for byte."""
    options = {
        "lr": 0.02,
        "clip": 1.0,
        "schedule": "constant",
        "warmup": 0.0,
        "hardware": Hardware(precision=precision),
    }
    whole = small_fit(tmp_path / "whole", epochs=20, **options)
    assert whole.best.score > 0.8
    small_fit(tmp_path / "parts", epochs=7, **options)
    small_fit(tmp_path / "parts", epochs=20, resume=True, **options | {"hardware": Hardware()})  # its own counts
    runs = [load_checkpoint(tmp_path / name / "last.safetensors") for name in ("whole", "parts")]
    assert runs[0].state["scaler"] == runs[1].state["scaler"]
    assert bool(runs[0].state["scaler"]) is (precision == "fp16")
    assert runs[1].state["hardware"]["precision"] == precision
    first, second = (run.part("model") for run in runs)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_freezing_holds_weights_and_statistics():
    model = TinyNet()
    model.first[0].weight.requires_grad_(False)  # frozen by the model itself: stays so
    freeze = Freeze(model)
    for on in (True, False):
        freeze.set(on)
        assert model.head.weight.requires_grad
        assert model.second[0].weight.requires_grad is not on
        assert not model.first[0].weight.requires_grad
        assert model.second[1].training is not on
        before = model.second[1].running_mean.clone()
        model(torch.rand(8, 1, SIDE, SIDE))
        assert torch.equal(before, model.second[1].running_mean) is on


def test_only_the_head_learns_while_frozen(tmp_path):
    small_fit(tmp_path / "a", epochs=2, freeze=1.0, ema=0.0)
    learned = load_checkpoint(tmp_path / "a/last.safetensors").part("model")
    start = TinyNet().state_dict()
    changed = {name for name in start if not torch.equal(start[name], learned[name])}
    assert changed == {"head.weight", "head.bias"}


# --- learning-rate finder --------------------------------------------------------------------------------------------


def feed(**changes):
    config = small_config(**{"augment": "none", "optimiser": "sgd"} | changes)
    return config, make_feed(small_data(), task="classification", config=config, classes=3, size=(SIDE, SIDE))


def find(model, **options):
    config, source = feed()
    return find_learning_rate(model, feed=source, config=config, hardware=Hardware(), **options)


def test_the_rate_finder_is_repeatable_and_restores_the_model():
    model = TinyNet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first, second = find(model), find(model)
    assert first == second
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    ratios = [b / a for a, b in itertools.pairwise(first.rates)]
    assert max(ratios) == pytest.approx(min(ratios), rel=1e-6)
    assert first.rates[0] == pytest.approx(1e-5)
    lowest = first.losses.index(min(first.losses))
    assert first.chosen == pytest.approx(first.rates[lowest] / MARGIN)
    assert 0.003 < first.chosen < 1.5


def test_the_rate_finder_stops_when_the_loss_breaks():
    found = find(TinyNet(plain=True), lowest=1e-3, highest=1e6, steps=60)
    assert len(found.rates) < 60
    assert math.isfinite(found.chosen) and found.chosen < 100
