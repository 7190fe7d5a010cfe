import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from manako.training.feed import balanced_weights
from manako.training.sampler import batches, counted_seed, epoch_order, generator, shard
from manako.training.targets.classification import classes_of, collate
from manako.types import Labels


def test_orders_are_permutations_that_follow_from_seed_and_epoch():
    orders = {(s, e): tuple(epoch_order(50, seed=s, epoch=e)) for s in range(3) for e in range(3)}
    assert len(set(orders.values())) == 9
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert tuple(epoch_order(50, seed=1, epoch=2)) == orders[1, 2]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(0, 100))
def test_balanced_epochs_have_each_class_equally_often(counts, seed):
    classes = np.repeat(np.arange(len(counts)), counts)
    order = epoch_order(len(classes), seed=seed, epoch=0, classes=classes)
    assert len(order) == len(classes)
    drawn = np.bincount(classes[order], minlength=len(counts))
    assert drawn.max() - drawn.min() <= 1
    times = np.bincount(order, minlength=len(classes))
    for c in range(len(counts)):  # within a class, every image as often as another, up to one
        assert np.ptp(times[classes == c]) <= 1


def test_balanced_epochs_reach_every_image_of_a_common_class_in_time():
    classes = np.array([0] * 90 + [1] * 10)
    seen = {int(i) for epoch in range(12) for i in epoch_order(100, seed=0, epoch=epoch, classes=classes)}
    assert seen == set(range(100))


@given(st.integers(1, 500), st.integers(1, 64))
def test_batches_are_whole_and_nearly_equal(count, size):
    parts = batches(np.arange(count), size)
    assert np.concatenate(parts).tolist() == list(range(count))
    lengths = [len(part) for part in parts]
    assert max(lengths) <= size and max(lengths) - min(lengths) <= 1


@given(st.integers(1, 200), st.integers(1, 9))
def test_shards_are_whole_and_keep_pairs(count, processes):
    parts = [shard(count, rank=rank, processes=processes) for rank in range(processes)]
    assert [i for part in parts for i in range(count)[part]] == list(range(count))
    assert all(part.start % 2 == 0 for part in parts)
    assert max(p.stop - p.start for p in parts) - min(p.stop - p.start for p in parts) <= 3


def test_counted_chance_depends_on_every_counter():
    seeds = {
        counted_seed(s, p, *c) for s in (0, 1) for p in ("a", "b") for c in ((), (0,), (1,), (0, 1), (1, 0), (10,))
    }
    assert len(seeds) == 24
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert torch.equal(torch.rand(3, generator=generator(1, "x", 2)), torch.rand(3, generator=generator(1, "x", 2)))


def test_targets_are_smoothed_and_weighed():
    truths = [Labels.truth(c) for c in (0, 0, 0, 2)]
    made = collate(truths, [], classes=3, size=(4, 4), label_smoothing=0.3)
    assert torch.allclose(made.probabilities[3], torch.tensor([0.1, 0.1, 0.8]))
    assert made.mass == 4 == len(made)
    weights = balanced_weights(np.bincount(classes_of(truths), minlength=3))
    weighed = collate(truths, [], classes=3, size=(4, 4), class_weights=weights)
    assert weighed.mass == pytest.approx(4)
    by_class = torch.stack([weighed.weights[:3].sum(), weighed.weights[3]])
    assert torch.allclose(by_class, torch.tensor([2.0, 2.0]))
    assert weighed.take(torch.tensor([3, 0])).weights.tolist() == pytest.approx([2.0, 2 / 3])
    assert made.warp(torch.zeros(4, 2, 3), (8, 8)) is made
