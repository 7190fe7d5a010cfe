"""Optimisers, schedules and averages against slow references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from training_helpers import TinyNet

from manako.training.average import WARM, WeightAverage
from manako.training.budget import Budget
from manako.training.looks import FEWEST, LEARNING_COST, MOST, SHARE, LookPlan
from manako.training.muon import Muon, orthogonalise, suits_muon
from manako.training.optimisers import make_optimisers, parameter_groups
from manako.training.schedules import LOWEST_START, ONE_CYCLE_WARMUP, rate


@pytest.mark.parametrize("shape", [(6, 6), (4, 20), (20, 4), (16, 72)])
def test_orthogonalise_keeps_the_singular_vectors_and_levels_the_values(shape):
    torch.manual_seed(0)
    matrix = torch.randn(3, *shape)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    made = orthogonalise(matrix)
    inner = u.mT @ made @ v.mT
    values = inner.diagonal(dim1=1, dim2=2)
    assert (values > 0.3).all() and (values < 1.3).all()  # a matrix with a very small singular value needs more rounds
    assert values.mean() == pytest.approx(0.9, abs=0.15)
    assert (inner - torch.diag_embed(values)).abs().max() < 1e-4
    half = orthogonalise(matrix, dtype=torch.bfloat16)
    assert (half - made).abs().max() < 0.06


def slow_orthogonalise(matrix):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        x = a * x + (b * (x @ x.T) + c * (x @ x.T) @ (x @ x.T)) @ x
    return x


@pytest.mark.parametrize("normalised", [False, True])
def test_muon_against_numpy(normalised, monkeypatch):
    """Three steps of two weights of one shape, momentum and Nesterov's look ahead by hand, one matrix at a time."""
    monkeypatch.setattr("manako.training.muon._fast_type", lambda device: torch.float32)
    torch.manual_seed(1)
    weights = [nn.Parameter(torch.randn(4, 2, 3, 3)) for _ in range(2)]
    rule = Muon([{"params": weights, "normalised": normalised}], lr=0.1, momentum=0.9, weight_decay=0.5)
    expected = [w.detach().double().numpy().reshape(4, -1).copy() for w in weights]
    buffers = [np.zeros((4, 18)) for _ in weights]
    norms = [np.linalg.norm(w) for w in expected]
    for _ in range(3):
        for i, weight in enumerate(weights):
            weight.grad = torch.randn_like(weight)
            gradient = weight.grad.double().numpy().reshape(4, -1)
            buffers[i] = 0.9 * buffers[i] + gradient
            step = slow_orthogonalise(gradient + 0.9 * buffers[i])
            if normalised:
                expected[i] = expected[i] - 0.1 * norms[i] / 2 * step
                expected[i] *= norms[i] / np.linalg.norm(expected[i])
            else:
                expected[i] = expected[i] * (1 - 0.1 * 0.5) - 0.1 * step
        rule.step()
    for weight, value in zip(weights, expected, strict=True):
        assert np.allclose(weight.detach().numpy().reshape(4, -1), value, atol=1e-4)


def test_on_the_sphere_the_size_of_a_weight_means_nothing():
    """Ten times the weight before batch norm, the same outputs and the same turn."""
    turns = []
    for size in (1.0, 10.0):
        torch.manual_seed(0)
        weight = nn.Parameter(torch.randn(8, 4, 3, 3) * size)
        rule = Muon([{"params": [weight], "normalised": True}], lr=0.05)
        before = weight.detach().clone()
        weight.grad = torch.randn(8, 4, 3, 3)
        rule.step()
        assert weight.detach().norm().item() == pytest.approx(before.norm().item(), rel=1e-5)
        turns.append(torch.nn.functional.cosine_similarity(weight.detach().flatten(), before.flatten(), dim=0).item())
    assert turns[0] == pytest.approx(turns[1], abs=1e-6) and turns[0] < 0.9999


def test_muon_takes_hidden_weights_and_knows_what_is_normalised():
    model = TinyNet()
    assert suits_muon(model) == {model.second[0].weight: True}  # not the first (9 columns), not the head
    assert suits_muon(TinyNet(plain=True)).popitem()[1] is False
    made = make_optimisers(model, name="muon", lr=0.1)
    kinds = {type(rule).__name__: [p for g in rule.param_groups for p in g["params"]] for rule in made.rules}
    assert [p is model.second[0].weight for p in kinds["Muon"]] == [True]
    assert len(kinds["SGD"]) + 1 == len(list(model.parameters()))


def test_groups_slow_down_towards_the_input_and_spare_vectors():
    model = TinyNet()
    groups = parameter_groups(model, weight_decay=0.1, layer_decay=0.5)
    seen = {p: g for g in groups for p in g["params"]}
    assert len(seen) == len(list(model.parameters())) == sum(len(g["params"]) for g in groups)
    for part, scale in ((model.first, 0.25), (model.second, 0.5), (model.head, 1.0)):
        for parameter in part.parameters():
            assert seen[parameter]["scale"] == scale
            assert seen[parameter]["weight_decay"] == (0.1 if parameter.ndim > 1 else 0.0)
    made = make_optimisers(model, name="sgd", lr=2.0, layer_decay=0.5)
    assert made.set_rate(0.1) == pytest.approx(0.2)
    assert sorted({g["lr"] for g in made.rules[0].param_groups}) == pytest.approx([0.05, 0.1, 0.2])


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_the_state_goes_out_and_in(name):
    """Two more steps after a copy of weights and state are the same two steps, to the byte."""

    def steps(model, made, count, seed):
        torch.manual_seed(seed)
        for _ in range(count):
            for parameter in model.parameters():
                parameter.grad = torch.randn_like(parameter)
            made.step()

    one, other = TinyNet(seed=0), TinyNet(seed=1)
    first = make_optimisers(one, name=name, lr=0.01, weight_decay=0.1)
    second = make_optimisers(other, name=name, lr=0.01, weight_decay=0.1)
    steps(one, first, 3, seed=0)
    other.load_state_dict(one.state_dict())
    second.load({key: value.clone() for key, value in first.tensors().items()})
    steps(one, first, 2, seed=1)
    steps(other, second, 2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for bad in ({"nowhere/exp_avg": torch.ones(1)}, {"head.bias/unknown": torch.ones(3)}):
        with pytest.raises(KeyError):
            second.load(bad)
    with pytest.raises(ValueError):
        second.load({f"head.bias/{'exp_avg' if name == 'adamw' else 'momentum_buffer'}": torch.ones(4)})


# --- schedules -------------------------------------------------------------------------------------------------------


@given(st.sampled_from(["constant", "cosine", "linear", "one_cycle"]), st.floats(0, 1), st.floats(0, 0.9))
def test_rates_stay_within_bounds(name, progress, warmup):
    assert 0 <= rate(name, progress, warmup=warmup) <= 1


def test_rates_at_known_places():
    assert rate("linear", 0.5) == 0.5
    assert rate("cosine", 0.5) == pytest.approx(0.5)
    assert rate("cosine", 0.25) == pytest.approx((1 + math.cos(math.pi / 4)) / 2)
    assert rate("constant", 0.9, warmup=0.2) == 1
    assert rate("linear", 0.6, warmup=0.2) == pytest.approx(0.5)
    assert rate("linear", 0.1, warmup=0.2) == pytest.approx(LOWEST_START + (1 - LOWEST_START) / 2)
    for name in ("linear", "cosine", "one_cycle"):
        assert rate(name, 1.0, warmup=0.2) == pytest.approx(0, abs=1e-12)
        assert rate(name, 0.0, warmup=0.2) == LOWEST_START
        assert rate(name, 0.2, warmup=0.2) == pytest.approx(1)
    assert rate("one_cycle", ONE_CYCLE_WARMUP) == 1
    assert rate("one_cycle", 0.1, warmup=0.2) == pytest.approx(LOWEST_START + (1 - LOWEST_START) / 2)


# --- average ---------------------------------------------------------------------------------------------------------


def test_the_average_against_the_sum_it_stands_for():
    """The state after each step, weighed by exp(-progress since / span), the span short at first."""
    model = TinyNet()
    average = WeightAverage(model, span=0.3)
    history, weights, before = [model.head.weight.detach().clone().double()], np.array([1.0]), 0.0
    for step in range(1, 21):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model.first[1].num_batches_tracked.add_(1)
        progress = step / 20
        average.update(progress=progress)
        keep = math.exp(-(progress - before) / min(0.3, WARM * progress))
        before = progress
        history.append(model.head.weight.detach().clone().double())
        weights = np.append(weights * keep, 1 - keep)
    assert weights.sum() == pytest.approx(1)
    expected = sum(w * h for w, h in zip(weights, history, strict=True))
    assert torch.allclose(average.tensors["head.weight"].double(), expected, atol=1e-5)
    assert average.tensors["first.1.num_batches_tracked"] == 20
    assert not torch.equal(average.tensors["head.weight"], model.head.weight)


# --- budget and looks ------------------------------------------------------------------------------------------------


def test_a_budget_of_time_leaves_the_reserve_and_never_goes_back(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    budget = Budget(seconds=60, reserve=10, spent=5, _started=100.0)
    assert budget.progress(0) == pytest.approx(0.1)
    clock[0] += 20
    assert budget.progress(7) == pytest.approx(0.5)
    budget.reserve = 0
    assert budget.progress(7) == pytest.approx(0.5)
    clock[0] += 40
    assert budget.progress(8) == 1
    assert budget.elapsed == 65
    with pytest.raises(ValueError):
        Budget()


@given(st.integers(1, 400), st.integers(1, 300), st.integers(1, 50_000), st.integers(1, 50_000))
def test_looks_cost_little(epochs, steps, images, seen):
    budget = Budget(total_steps=epochs * steps)
    plan = LookPlan.of(budget, steps, images=images, seen=seen)
    looks = [s for s in range(1, epochs * steps + 1) if plan.due(s, steps_per_epoch=steps, elapsed=0)]
    assert len(looks) <= MOST
    assert len(looks) * seen <= 1.001 * SHARE * epochs * images * LEARNING_COST or len(looks) <= 1
    if seen < images / 20 and epochs < MOST:
        assert len(looks) >= min(FEWEST, epochs * steps) / 2
