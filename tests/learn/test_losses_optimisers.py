"""Losses and optimiser steps equal PyTorch's to 1e-6 in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.errors import ConfigError, DataError
from manako.learn.gradient_check import numeric_gradient
from manako.learn.losses import BinaryCrossEntropy, CategoricalCrossEntropy, Loss, MeanSquaredError, one_hot
from manako.learn.optimisers import SGD, Adam, Momentum, Optimiser

seeds = st.integers(0, 2**32 - 1)
many = settings(max_examples=40, deadline=None)


def agree(loss: Loss, reference: Callable[[Any, Any], Any], outputs: np.ndarray, target: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    given_outputs = torch.tensor(outputs, requires_grad=True)
    wanted = reference(given_outputs, torch.tensor(target))
    wanted.backward()
    np.testing.assert_allclose(loss.value(outputs, target), wanted.item(), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(loss.gradient(outputs, target), given_outputs.grad.numpy(), rtol=1e-6, atol=1e-9)
    slope = numeric_gradient(lambda: loss.value(outputs, target), outputs)
    np.testing.assert_allclose(loss.gradient(outputs, target), slope, atol=1e-7)
    assert loss.each(outputs, target).shape == (len(outputs),)


@many
@given(seeds, st.integers(1, 5), st.integers(1, 5), st.floats(0.1, 20))
def test_losses(seed: int, count: int, width: int, scale: float) -> None:
    torch = pytest.importorskip("torch")
    rng, functional = np.random.default_rng(seed), torch.nn.functional
    outputs = scale * rng.normal(size=(count, width))
    agree(MeanSquaredError(), functional.mse_loss, outputs, rng.normal(size=(count, width)))
    agree(BinaryCrossEntropy(), functional.binary_cross_entropy_with_logits, outputs, rng.uniform(size=(count, width)))
    agree(CategoricalCrossEntropy(), functional.cross_entropy, outputs, rng.integers(0, width, count))


def test_cross_entropies_by_hand_and_far_out() -> None:
    assert BinaryCrossEntropy().value(np.array([[0.0]]), np.array([[1.0]])) == pytest.approx(np.log(2))
    assert CategoricalCrossEntropy().value(np.zeros((2, 10)), np.array([3, 7])) == pytest.approx(np.log(10))
    assert CategoricalCrossEntropy().value(np.array([[1e4, 0.0]]), np.array([1])) == pytest.approx(1e4)
    assert BinaryCrossEntropy().value(np.array([[-1e4]]), np.array([[1.0]])) == pytest.approx(1e4)
    assert one_hot(np.array([1, 0]), 3).tolist() == [[0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("target", [[3, 0], [-1, 0], [0.5, 0]])
def test_class_ids_out_of_range_are_named(target: list[float]) -> None:
    with pytest.raises(DataError, match="Target 0 is"):
        CategoricalCrossEntropy().value(np.zeros((2, 3)), np.array(target))


def test_a_target_of_another_shape_is_refused() -> None:
    with pytest.raises(DataError, match=r"\(2, 3\).*\(2,\)"):
        MeanSquaredError().value(np.zeros((2, 3)), np.zeros(2))


@many
@given(seeds, st.sampled_from(["sgd", "momentum", "adam"]), st.floats(1e-4, 0.5), st.sampled_from([0.0, 0.1]))
def test_optimisers(seed: int, name: str, rate: float, decay: float) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    start = {"a": rng.normal(size=(2, 3)), "b": rng.normal(size=4)}
    ours = {key: value.copy() for key, value in start.items()}
    theirs = {key: torch.tensor(value, requires_grad=True) for key, value in start.items()}
    made: dict[str, tuple[Callable[[], Optimiser], Callable[[], Any]]] = {
        "sgd": (
            lambda: SGD(rate, weight_decay=decay),
            lambda: torch.optim.SGD(theirs.values(), lr=rate, weight_decay=decay),
        ),
        "momentum": (
            lambda: Momentum(rate, 0.8, weight_decay=decay),
            lambda: torch.optim.SGD(theirs.values(), lr=rate, momentum=0.8, weight_decay=decay),
        ),
        "adam": (
            lambda: Adam(rate, weight_decay=decay),
            lambda: torch.optim.Adam(theirs.values(), lr=rate, weight_decay=decay),
        ),
    }
    optimiser, reference = made[name][0](), made[name][1]()
    for _ in range(4):
        gradients = {key: rng.normal(size=value.shape) for key, value in start.items()}
        before = {key: value.copy() for key, value in ours.items()}
        updates = optimiser.step(ours, gradients)
        for key, parameter in theirs.items():
            parameter.grad = torch.tensor(gradients[key])
        reference.step()
        for key, parameter in theirs.items():
            np.testing.assert_allclose(ours[key], parameter.detach().numpy(), rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(before[key] + updates[key], ours[key], atol=1e-12)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="rate"):
        SGD(rate)
