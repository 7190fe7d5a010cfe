"""The loop as a person meets it: what it learns, when it stops, what it keeps, how it goes on."""

import json
import math
import os
import signal

import numpy as np
import pytest
import torch
from training_helpers import (
    EVERYTHING,
    SIDE,
    TinyNet,
    patterns,
    small_card,
    small_data,
    small_fit,
)

from manako.errors import ConfigError, DataError, DivergedError, ModelFileError
from manako.tasks.classification import Classification
from manako.training import feed as feed_module
from manako.training.augment import Augmentation
from manako.training.checkpoint import load_checkpoint, load_into
from manako.training.distributed import Processes
from manako.training.feed import TrainingData, make_feed
from manako.training.loop import _Loop

PLAIN = {"how": Augmentation(flip=0.0), "ema": 0.0, "label_smoothing": 0.0, "optimiser": "sgd", "lr": 0.1}


def weights(path):
    return load_checkpoint(path).tensors


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns(tmp_path):
    result = small_fit(tmp_path, epochs=25, lr=0.02)
    assert result.best.score >= 0.9
    assert result.stopped == "done"
    assert result.epochs == 25
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == list(result.history)
    assert lines[-1]["training_loss"] < 0.5 < lines[0]["training_loss"]
    assert lines[-1]["progress"] == 1


def test_the_best_file_gives_the_score_it_promises(tmp_path):
    """Loaded into a fresh network and scored by hand, without the loop's own code."""
    result = small_fit(tmp_path, epochs=12, lr=0.02)
    best = load_checkpoint(tmp_path / "best.safetensors")
    assert not best.state
    model = TinyNet(seed=9)
    load_into(model, best.tensors, file=tmp_path)
    cache = small_data().validation
    with torch.no_grad():
        logits = model.eval()((torch.from_numpy(cache.images).permute(0, 3, 1, 2) / 255.0 - 0.5) / 0.5)["logits"]
    truth = np.array([sample.target.best for sample in cache.samples])
    assert (logits.argmax(1).numpy() == truth).mean() == result.best.score == best.card.scores["accuracy"]
    assert max(line["validation_score"] for line in result.history) == result.best.score
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(truth)).item()
    assert best.card.scores["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    "settings", [{}, EVERYTHING, {"optimiser": "sgd", "batch": "1", "epochs": 2}, {"batch": "all"}]
)
def test_resuming_at_any_step_gives_the_same_bytes(settings, tmp_path, monkeypatch):
    settings = {"epochs": 3} | settings
    whole = small_fit(tmp_path / "whole", **settings)
    stop_after(monkeypatch, 2)
    small_fit(tmp_path / "parts", **settings)
    resumed = 0
    while load_checkpoint(tmp_path / "parts/last.safetensors").state["progress"] < 1:
        stop_after(monkeypatch, 5 if settings.get("batch") != "1" else 41)
        parts = small_fit(tmp_path / "parts", model=TinyNet(seed=5), resume=True, **settings)
        resumed += 1
    assert resumed >= (1 if settings.get("batch") == "all" else 2)
    assert same(weights(tmp_path / "whole/last.safetensors"), weights(tmp_path / "parts/last.safetensors"))
    assert parts.epochs == whole.epochs


def stop_after(monkeypatch, steps):
    """As if Ctrl-C came after so many steps."""
    original, taken = _Loop.__dict__.get("_step"), []
    original = getattr(original, "original", original)

    def step(self, index, progress):
        taken.append(1)
        original(self, index, progress)
        if len(taken) == steps:
            os.kill(os.getpid(), signal.SIGINT)

    step.original = original
    monkeypatch.setattr(_Loop, "_step", step)


def test_ctrl_c_keeps_the_best(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    stop_after(monkeypatch, 6)
    result = small_fit(tmp_path, epochs=1000)
    assert result.stopped == "asked"
    assert load_checkpoint(tmp_path / "last.safetensors").state["step"] == 6
    assert load_checkpoint(tmp_path / "best.safetensors").card.scores["accuracy"] == result.best.score
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once(tmp_path, monkeypatch):
    original = _Loop._step

    def step(self, index, progress):
        original(self, index, progress)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_Loop, "_step", step)
    with pytest.raises(KeyboardInterrupt):
        small_fit(tmp_path, epochs=1000)


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"lr": 0.02}, ConfigError, "lr"),
        ({"batch": "8"}, ConfigError, "batch"),
        ({"seed": 3}, ConfigError, "seed"),
        ({"epochs": 1}, ConfigError, "epochs"),
        ({"card": small_card(data="other")}, DataError, ""),
        ({"card": small_card(task="detection")}, None, ""),
    ],
)
def test_resume_refuses_another_run_and_names_the_difference(changes, error, told, tmp_path):
    small_fit(tmp_path, epochs=2)
    before = (tmp_path / "last.safetensors").read_bytes()
    if error is None:  # the card of the checkpoint counts, not the caller's
        small_fit(tmp_path, epochs=2, resume=True)
        return
    with pytest.raises(error) as caught:
        small_fit(tmp_path, resume=True, **{"epochs": 2} | changes)
    assert caught.value.facts.get("field", "") == told
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_a_finished_run_can_be_given_more_epochs(tmp_path):
    small_fit(tmp_path, epochs=2, schedule="constant", warmup=0.0)
    more = small_fit(tmp_path, epochs=4, schedule="constant", warmup=0.0, resume=True, patience=50)
    assert more.epochs == 4
    at_once = small_fit(tmp_path / "at_once", epochs=4, schedule="constant", warmup=0.0)
    here, there = (load_checkpoint(p / "last.safetensors") for p in (tmp_path, tmp_path / "at_once"))
    assert same(here.part("model"), there.part("model"))  # without a schedule, the same weights
    for name, value in there.part("average").items():  # and nearly the same average
        assert torch.allclose(here.part("average")[name], value, atol=0.05), name
    assert more.best.loss == pytest.approx(at_once.best.loss, abs=0.05)
    assert len({line["step"] for line in more.history}) == len(more.history)


def test_best_weights_alone_can_not_be_resumed(tmp_path):
    small_fit(tmp_path, epochs=1)
    (tmp_path / "best.safetensors").replace(tmp_path / "last.safetensors")
    with pytest.raises(ModelFileError) as error:
        small_fit(tmp_path, epochs=1, resume=True)
    assert error.value.code == "resume.no_state"


def test_a_cut_off_line_of_the_history_is_left_out(tmp_path):
    whole = small_fit(tmp_path, epochs=2)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2.')
    resumed = small_fit(tmp_path, epochs=2, resume=True)
    assert resumed.history == whole.history


def test_divergence_keeps_the_last_good_state(tmp_path):
    small_fit(tmp_path, epochs=1, schedule="constant", **PLAIN | {"lr": 0.1})
    before = (tmp_path / "last.safetensors").read_bytes()
    model = TinyNet()
    loss = TinyNet.loss
    calls = []

    def bad(self, outputs, targets):
        calls.append(1)
        return loss(self, outputs, targets) * (math.nan if len(calls) > 2 else 1)

    TinyNet.loss = bad
    try:
        with pytest.raises(DivergedError) as error:
            small_fit(tmp_path, model=model, epochs=3, schedule="constant", resume=True, **PLAIN | {"lr": 0.1})
    finally:
        TinyNet.loss = loss
    assert "--lr" in str(error.value)
    assert "\n" not in str(error.value)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_a_rate_that_explodes_ends_with_our_error(tmp_path):
    with pytest.raises(DivergedError):
        small_fit(tmp_path, model=TinyNet(plain=True), epochs=50, weight_decay=10.0, **PLAIN | {"lr": 90.0})
    assert all(torch.isfinite(t).all() for t in weights(tmp_path / "last.safetensors").values())


def test_patience(tmp_path):
    result = small_fit(tmp_path, epochs=200, patience=3, schedule="constant", **PLAIN | {"lr": 0.0})
    assert result.stopped == "patience"
    highest_since = result.history[0]["epoch"]  # nothing changes at rate 0
    assert 3 <= result.epochs - highest_since < 5  # it looks every second epoch


def test_an_alarm_of_the_task_ends_the_run_and_keeps_the_best(tmp_path, monkeypatch):
    said = ("generation.collapsed", {"share": 3.0})
    monkeypatch.setattr(Classification, "alarm", lambda self, looks: said if len(looks) == 3 else None)
    result = small_fit(tmp_path, epochs=40)
    assert (result.stopped, result.alarm, len(result.history)) == ("alarm", said, 3)
    best = load_checkpoint(tmp_path / "best.safetensors", task="classification")
    assert best.card.scores["accuracy"] == max(line["validation_score"] for line in result.history)


def test_parts_of_the_loss_are_curves(tmp_path):
    class InParts(TinyNet):
        def loss(self, outputs, targets):
            loss = super().loss(outputs, targets)
            if self.training:
                self.parts = {"generator": loss.detach() / 4, "discriminator": loss.detach() * 3 / 4}
            return loss

    for line in small_fit(tmp_path, model=InParts(), epochs=2).history:
        assert line["loss_generator"] + line["loss_discriminator"] == pytest.approx(line["training_loss"])


def test_a_budget_of_minutes_is_kept_and_used(tmp_path):
    result = small_fit(tmp_path, epochs=None, minutes=0.05)
    assert 2.4 < result.seconds < 4.5
    assert result.history[-1]["progress"] > 0.98
    assert result.history[-1]["lr"] < 0.0005
    again = small_fit(tmp_path, epochs=None, minutes=0.05, resume=True)
    assert again.history == result.history
    longer = small_fit(tmp_path, epochs=None, minutes=0.06, resume=True)
    assert len(longer.history) > len(result.history)
    assert longer.seconds < 5.0


# --- batches ---------------------------------------------------------------------------------------------------------


def test_a_full_batch_in_parts_equals_one_large_batch(tmp_path, monkeypatch):
    """Exact without batch norm, class weights and mixup included; one step an epoch."""
    settings = PLAIN | {"epochs": 5, "class_weights": "balanced", "mixup": 0.5, "how": Augmentation(flip=0.5)}
    data = TrainingData(patterns(47, seed=1), patterns(24, seed=2))
    small_fit(tmp_path / "whole", model=TinyNet(plain=True), data=data, batch="47", **settings)
    monkeypatch.setattr(feed_module, "CHUNK_PIXELS", 10 * SIDE * SIDE)
    result = small_fit(tmp_path / "parts", model=TinyNet(plain=True), data=data, batch="all", **settings)
    assert load_checkpoint(tmp_path / "parts/last.safetensors").state["step"] == 5 == result.epochs
    whole, parts = weights(tmp_path / "whole/best.safetensors"), weights(tmp_path / "parts/best.safetensors")
    assert all(torch.allclose(whole[name], parts[name], atol=1e-6) for name in whole)


def test_two_shares_of_a_batch_are_the_batch():
    """Each process sees its own images, varied and mixed exactly as one process alone would have."""
    from training_helpers import small_config

    options = {
        "task": "classification",
        "config": small_config(batch="13", mixup=0.4, augment="strong", class_weights="balanced"),
        "classes": 3,
        "size": (SIDE, SIDE),
    }
    alone = make_feed(small_data(), **options)
    index = alone.order(0)[1]
    (whole, share), *none = alone.parts(index, epoch=0, number=1)
    assert share == 1 and not none
    parts = []
    for rank in range(2):
        feed = make_feed(small_data(), processes=Processes(rank, 2), **options)
        parts += list(feed.parts(index, epoch=0, number=1))
    assert torch.equal(torch.cat([batch.images for batch, _ in parts]), whole.images)
    assert torch.equal(torch.cat([b.targets.probabilities for b, _ in parts]), whole.targets.probabilities)
    assert sum(part for _, part in parts) == pytest.approx(1)
    assert parts[0][1] == pytest.approx(parts[0][0].targets.mass / whole.targets.mass)


def test_a_batch_that_is_too_small_for_the_processes_is_refused():
    from training_helpers import small_config

    with pytest.raises(ConfigError) as error:
        make_feed(
            small_data(),
            task="classification",
            config=small_config(batch="2"),
            classes=3,
            size=(SIDE, SIDE),
            processes=Processes(0, 2),
        )
    assert error.value.code == "training.batch_too_small"


def test_settings_that_are_still_open_are_named(tmp_path):
    for field, value in (("lr", None), ("batch", "auto"), ("augment", "auto")):
        with pytest.raises(ConfigError) as error:
            small_fit(tmp_path, **{field: value})
        assert error.value.facts["field"] == field
