"""Orders of the data, early stopping, the three ways measured, and the designed learning curves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from manako.doctor.curves import Verdict, read_curves
from manako.errors import ConfigError, DataError
from manako.learn import autoencoder, cnn
from manako.learn.dense import Dense
from manako.learn.digits import digits
from manako.learn.experiments import EXPERIMENTS, Outcome, run, run_experiment
from manako.learn.losses import CategoricalCrossEntropy, MeanSquaredError
from manako.learn.network import Network
from manako.learn.optimisers import SGD
from manako.learn.training import accuracy, batches, train
from manako.learn.ways_to_learn import Comparison, compare


def test_every_order_holds_every_datum_once() -> None:
    labels = np.repeat(np.arange(5), [40, 30, 20, 7, 3])
    for order in ("shuffled", "sorted", "stratified"):
        parts = list(batches(labels, 16, order, np.random.default_rng(0)))
        assert [len(p) for p in parts] == [16] * 6 + [4]
        assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert (np.diff(labels[np.concatenate(list(batches(labels, 16, "sorted", np.random.default_rng(0))))]) >= 0).all()


def test_stratified_batches_have_their_share_of_each_label() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(4), [80, 40, 20, 20]))
    for chosen in batches(labels, 16, "stratified", np.random.default_rng(1)):
        assert np.abs(np.bincount(labels[chosen], minlength=4) - [8, 4, 2, 2]).max() <= 1


def test_steps_of_an_epoch_and_what_is_kept() -> None:
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    for size, steps in ((1, 50), (16, 4), (50, 1)):
        network = Network([Dense(3, 2, rng=rng)], CategoricalCrossEntropy())
        history = train(network, x, labels, epochs=3, batch_size=size, optimiser=SGD(0.1), validation=(x, labels))
        assert len(history.step_losses) == 3 * steps and history.epochs == 3
        assert history.curves.progress == 1 and len(history.curves.validation_score) == 3
        assert accuracy(network, x, labels) == history.curves.validation_score[-1]


def test_early_stopping_goes_back_to_the_best_epoch() -> None:
    outcome = run("early_stopping")
    losses = outcome.history.curves.validation_loss
    assert outcome.history.stopped_early and outcome.history.epochs == outcome.history.best_epoch + 4
    assert outcome.kept == pytest.approx(min(losses)) and losses[outcome.history.best_epoch - 1] == min(losses)


def test_training_on_targets_like_the_outputs_has_no_score() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    history = train(Network([Dense(3, 3)], MeanSquaredError()), x, x, epochs=2, batch_size=5, optimiser=SGD(0.1))
    assert not history.curves.training_score and not history.curves.validation_loss


def test_bad_requests_are_explained() -> None:
    network, x = Network([Dense(3, 2)], CategoricalCrossEntropy()), np.zeros((4, 3))
    with pytest.raises(DataError, match="4 data, but 3 targets"):
        train(network, x, np.zeros(3, dtype=int), epochs=1, batch_size=1, optimiser=SGD(0.1))
    with pytest.raises(ConfigError, match="shuffled, sorted, stratified"):
        train(network, x, np.zeros(4, dtype=int), epochs=1, batch_size=1, optimiser=SGD(0.1), order="random")
    with pytest.raises(ConfigError, match="over_fits"):
        run("unknown")


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare()


def test_three_ways_in_order(comparison: Comparison) -> None:
    online, mini, batch = comparison.ways
    assert [w.name for w in comparison.ways] == ["online", "mini_batch", "batch"]
    assert [w.steps_per_epoch for w in comparison.ways] == [600, 19, 1]
    assert 20 * online.activation_bytes < mini.activation_bytes and 10 * mini.activation_bytes < batch.activation_bytes
    assert 1.3 * online.peak_bytes < mini.peak_bytes and 3 * mini.peak_bytes < batch.peak_bytes
    assert online.loss_variance > 5 * mini.loss_variance > 25 * batch.loss_variance
    assert online.seconds_per_epoch > 5 * mini.seconds_per_epoch > 5 * batch.seconds_per_epoch
    assert all(w.epochs_to_target and w.seconds_to_target for w in comparison.ways)
    assert (online.epochs_to_target or 0) < (mini.epochs_to_target or 0) < (batch.epochs_to_target or 0) / 3


def test_new_data_and_order_matter_to_the_noisy_ways(comparison: Comparison) -> None:
    online, mini, batch = comparison.ways
    gains = [w.accuracy_after_new_data - w.accuracy_before_new_data for w in comparison.ways]
    assert gains[0] > 0.06 and gains[1] > 0.04 and gains[2] < 0.02
    for way in (online, mini):
        assert way.accuracy_by_order["sorted"] < way.accuracy_by_order["shuffled"] - 0.2
        assert way.accuracy_by_order["stratified"] > 0.9
    assert len(set(batch.accuracy_by_order.values())) == 1 and batch.accuracy_by_order["sorted"] > 0.9


@pytest.fixture(scope="module")
def over_fits() -> Outcome:
    return run("over_fits")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_each_experiment_reads_as_designed(name: str, over_fits: Outcome) -> None:
    outcome = over_fits if name == "over_fits" else run(name)
    assert outcome.reading.verdict in outcome.experiment.expected, str(outcome.reading)
    assert outcome.reading == read_curves(outcome.history.curves)
    if outcome.experiment.mends:
        assert outcome.kept < 0.96 * over_fits.kept, "what mends over-fitting also judges new data better"


def test_over_fitting_comes_with_every_seed(over_fits: Outcome) -> None:
    assert over_fits.history.curves.training_loss[-1] < 0.05 < over_fits.kept - over_fits.lowest
    for seed in (2, 5):
        again = run_experiment(replace(over_fits.experiment, epochs=80), seed=seed)
        assert again.reading.verdict is Verdict.OVER_FITTING


def test_held_out_digits_are_apart_and_balanced() -> None:
    data = digits(seed=3)
    assert len(data.labels) + len(data.held_out_labels) == 1797
    assert np.bincount(data.held_out_labels).min() >= 34 and np.bincount(data.held_out_labels).max() <= 37
    seen = {image.tobytes() for image in data.images}
    assert not any(image.tobytes() in seen for image in data.held_out_images)


def test_the_cnn_reads_held_out_digits() -> None:
    result = cnn.learn_digits(epochs=8)
    assert result.accuracy > 0.97 and (result.predicted == result.labels).mean() == result.accuracy
    maps = dict(cnn.feature_maps(result.network, np.zeros((8, 8))))
    assert {n: m.shape for n, m in maps.items()} == {
        "0.convolution": (16, 8, 8), "1.relu": (16, 8, 8), "2.convolution": (32, 8, 8), "3.relu": (32, 8, 8),
        "4.max_pooling": (32, 4, 4), "5.convolution": (64, 2, 2), "6.relu": (64, 2, 2),
    }  # fmt: skip
    assert [k.shape for _, k in cnn.kernels(result.network)] == [(16, 1, 3, 3), (32, 16, 3, 3), (64, 32, 3, 3)]


def test_the_auto_encoder_beats_every_linear_code_of_its_size() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    result = autoencoder.learn_digits(epochs=40)
    x, held_out = digits().rows()
    linear = decomposition.PCA(8).fit(x)
    wanted = float(((linear.inverse_transform(linear.transform(held_out)) - held_out) ** 2).mean())
    assert result.linear_error == pytest.approx(wanted, rel=1e-3)
    assert result.error < 0.85 * result.linear_error
    assert result.codes.shape == (364, 8) and result.outputs.shape == result.inputs.shape == (364, 8, 8)
    np.testing.assert_allclose(autoencoder.decode(result.network, result.codes), result.outputs.reshape(-1, 64))
    with pytest.raises(DataError, match=r"\(N, 8\)"):
        autoencoder.decode(result.network, np.zeros((1, 7)))
