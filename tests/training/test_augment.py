"""Augmentation of a batch against one image at a time, in plain NumPy."""

import colorsys
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from training_helpers import small_config, small_data

from manako.training import augment as a
from manako.training.augment import (
    LEVELS,
    SMALL_LEVELS,
    Augmentation,
    augment,
    augmentation,
    crop_maps,
    draws,
    hue_turn,
    mixup,
    mixup_share,
    move,
    recolour,
    resample,
    steps,
)
from manako.training.batch import Batch
from manako.training.feed import make_feed
from manako.training.sampler import generator, neighbours
from manako.training.targets.classification import collate
from manako.training.targets.segmentation import SegmentationTargets
from manako.training.train import _flips
from manako.types import Labels


def chance(count=8, seed=0):
    return draws(count, generator(seed, "test"))


def pictures(count=8, channels=3, height=20, width=26, seed=0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.integers(0, 256, (count, channels, height, width), dtype=np.uint8))


def targets(count=8):
    return collate([Labels.truth(i % 4) for i in range(count)], [], classes=4, size=(4, 4))


# --- where pixels go -------------------------------------------------------------------------------------------------


def crop_by_hand(u, how, height, width, size):
    """For each new pixel's centre, the old pixel's place: crop, then mirror, then turn about the crop's middle."""
    area = how.area + (1 - how.area) * u[a.AREA]
    aspect = how.aspect ** (2 * u[a.ASPECT] - 1)
    wide, high = width * min(1, math.sqrt(area * aspect)), height * min(1, math.sqrt(area / aspect))
    left, top = (width - wide) * u[a.LEFT], (height - high) * u[a.TOP]
    turn = math.radians(how.rotate * (2 * u[a.ANGLE] - 1))
    places = np.empty((*size, 2))
    for row in range(size[0]):
        for column in range(size[1]):
            x = ((column + 0.5) / size[1] - 0.5) * wide * (-1 if u[a.FLIP] < how.flip else 1)
            y = ((row + 0.5) / size[0] - 0.5) * high
            places[row, column] = (
                left + wide / 2 + x * math.cos(turn) - y * math.sin(turn),
                top + high / 2 + x * math.sin(turn) + y * math.cos(turn),
            )
    return places


def bilinear(image, places):
    """image (H, W); places (h, w, 2) in pixels, whose centres lie at .5; mirrored beyond the edge."""
    height, width = image.shape

    def at(y, x):
        y, x = (v % (2 * n) for v, n in ((y, height), (x, width)))
        return image[min(y, 2 * height - 1 - y), min(x, 2 * width - 1 - x)]

    made = np.empty(places.shape[:2])
    for place in np.ndindex(made.shape):
        x, y = places[place] - 0.5
        x0, y0 = math.floor(x), math.floor(y)
        rest_x, rest_y = x - x0, y - y0
        above = at(y0, x0) * (1 - rest_x) + at(y0, x0 + 1) * rest_x
        below = at(y0 + 1, x0) * (1 - rest_x) + at(y0 + 1, x0 + 1) * rest_x
        made[place] = above * (1 - rest_y) + below * rest_y
    return made


@pytest.mark.parametrize("how", [Augmentation(area=0.3, aspect=1.5), Augmentation(area=0.5, aspect=1.2, rotate=30)])
def test_a_crop_against_one_pixel_at_a_time(how):
    images, u, size = pictures(), chance(), (12, 15)
    made = resample(images, crop_maps(u, how, old=(20, 26), new=size), size).numpy()
    for i in range(len(images)):
        places = crop_by_hand(u[i].double().numpy(), how, 20, 26, size)
        for channel in range(3):
            assert np.abs(made[i, channel] - bilinear(images[i, channel].double().numpy(), places)).max() < 0.05


@pytest.mark.parametrize("window", [False, True])
def test_quarter_turns_are_those_of_numpy(window):
    """Squares, whole and as windows: each image is one of its eight, all occur, and targets go the same way."""
    images, u = pictures(64, height=16, width=16), chance(64)
    how = Augmentation(flip=0.5, quarters=True, window=window, zoom=1.0)
    ids = SegmentationTargets(images[:, 0])
    made = augment(Batch(images, ids), how, u, size=(16, 16))
    seen = set()
    for image, new, target in zip(images.numpy(), made.images.numpy(), made.targets.class_id.numpy(), strict=True):
        eight = [np.rot90(one, k, (1, 2)) for one in (image, image[:, :, ::-1]) for k in range(4)]
        apart = [np.abs(one - new).max() for one in eight]
        seen.add(int(np.argmin(apart)))
        assert min(apart) < 0.05
        assert np.array_equal(target, eight[int(np.argmin(apart))][0])
    assert seen == set(range(8))


def test_images_are_turned_only_where_that_was_asked_for():
    for turns in (False, True):
        config = small_config(task="classification", flip="on", turns=turns)
        assert _flips(config, small_data(), None, tell=False)[1].quarters is turns
    assert not small_config().turns


def test_a_window_may_lie_across_an_image_and_whole_ones_may_not():
    """A window of another form than the image keeps its scale when turned; whole images are only turned upside down."""
    how = Augmentation(flip=0.0, quarters=True, window=True, zoom=1.0)
    maps = crop_maps(chance(64), how, old=(100, 80), new=(20, 30))
    assert (torch.linalg.det(maps[:, :, :2]) - 15 * 10).abs().max() < 0.01  # old pixels a new one: one
    sides = maps[:, :, :2].abs().amax(1).round()
    assert {tuple(side) for side in sides.tolist()} == {(15.0, 10.0)}
    corners = maps @ torch.tensor([[-1.0, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    assert corners.min() > -1e-3 and (corners.amax(2) < torch.tensor([80.01, 100.01])).all()
    whole = crop_maps(chance(64), Augmentation(flip=0.0, quarters=True), old=(100, 80), new=(50, 40))
    assert whole[:, 0, 1].abs().max() < 1e-3 and {x > 0 for x in whole[:, 0, 0].tolist()} == {True, False}


@settings(max_examples=50, deadline=None)
@given(st.floats(0.05, 1), st.floats(1, 3), st.integers(0, 1000))
def test_a_crop_that_is_not_turned_lies_inside(area, aspect, seed):
    maps = crop_maps(chance(16, seed), Augmentation(area=area, aspect=aspect), old=(20, 26), new=(16, 16))
    corners = torch.tensor([[-1.0, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]])
    x, y = (maps @ corners.T).unbind(1)
    assert x.min() > -1e-3 and x.max() < 26 + 1e-3
    assert y.min() > -1e-3 and y.max() < 20 + 1e-3


@pytest.mark.parametrize("how", [Augmentation(area=0.3, aspect=1.5, rotate=20), Augmentation(shift=0.15)])
def test_the_matrices_say_where_pixels_went(how):
    """A white dot is found where the matrix sends its middle."""
    count, size = 32, (40, 40)
    images = torch.zeros(count, 1, 40, 40, dtype=torch.uint8)
    images[:, :, 17:20, 21:24] = 255
    u = chance(count)
    seen = []

    class Watching:
        moves = True

        def warp(self, matrices, new):
            seen.append(matrices)
            assert new == size
            return self

    made = augment(Batch(images, Watching()), how, u, size=size).images.float()
    matrices = seen[0]
    expected = matrices @ torch.tensor([22.5, 18.5, 1.0])
    weight = made[:, 0] / made[:, 0].sum((1, 2), keepdim=True).clamp_min(1e-9)
    places = torch.arange(40) + 0.5
    found = torch.stack([(weight.sum(1) * places).sum(1), (weight.sum(2) * places).sum(1)], 1)
    inside = (expected > 8).all(1) & (expected < 32).all(1)
    assert inside.sum() >= 5
    assert (found - expected)[inside].abs().max() < 0.35


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.25])
def test_moves_against_one_image_at_a_time(shift):
    how = Augmentation(shift=shift)
    images, u = pictures(32), chance(32)
    made = move(images, *steps(u, how, (20, 26)))
    assert made.dtype == torch.uint8
    shifts = set()
    for image, row, new in zip(images.numpy(), u.numpy(), made.numpy(), strict=True):
        reach_x, reach_y = round(shift * 26), round(shift * 20)
        right = min(int(row[a.LEFT] * (2 * reach_x + 1)), 2 * reach_x) - reach_x
        down = min(int(row[a.TOP] * (2 * reach_y + 1)), 2 * reach_y) - reach_y
        shifts.add((right, down))
        image = image[:, :, ::-1] if row[a.FLIP] < 0.5 else image
        padded = np.pad(image, ((0, 0), (reach_y, reach_y), (reach_x, reach_x)), mode="reflect")
        moved = padded[:, reach_y - down : reach_y - down + 20, reach_x - right : reach_x - right + 26]
        assert np.array_equal(new, moved)
    assert len(shifts) == 1 if not shift else len(shifts) > 10


# --- colours ---------------------------------------------------------------------------------------------------------


def test_colours_against_one_image_at_a_time():
    how = Augmentation(brightness=0.4, contrast=0.5, saturation=0.6, hue=0.0)
    images, u = pictures().float(), chance()
    made = recolour(images, how, u).numpy()
    luma = np.array([0.299, 0.587, 0.114])
    for image, row, new in zip(images.double().numpy(), u.double().numpy(), made, strict=True):
        image = image * (1 + 0.4 * (2 * row[a.BRIGHTNESS] - 1))
        mean = (image.mean((1, 2)) * luma).sum()
        image = mean + (image - mean) * (1 + 0.5 * (2 * row[a.CONTRAST] - 1))
        grey = np.tensordot(luma, image, 1)
        image = grey + (image - grey) * (1 + 0.6 * (2 * row[a.SATURATION] - 1))
        assert np.abs(new - image.clip(0, 255)).max() < 0.01


def test_grey_images_are_recoloured_like_grey_colours():
    how = Augmentation(brightness=0.4, contrast=0.5, saturation=0.6, hue=0.2)
    grey = pictures(channels=1).float()
    made = recolour(grey, how, chance())
    coloured = recolour(grey.expand(-1, 3, -1, -1), how, chance())
    assert torch.allclose(coloured, made.expand(-1, 3, -1, -1), atol=0.01)


@given(st.floats(-0.5, 0.5))
def test_a_turn_of_hue_keeps_grey_and_turns_colours_round(turn):
    matrix = hue_turn(torch.tensor([turn]))[0].double()
    assert torch.allclose(matrix @ torch.ones(3).double(), torch.ones(3).double(), atol=1e-5)
    assert torch.allclose(matrix @ matrix.T, torch.eye(3).double(), atol=1e-5)
    assert torch.linalg.det(matrix) == pytest.approx(1, abs=1e-5)


def test_a_third_of_a_turn_makes_red_green():
    matrix = hue_turn(torch.tensor([1 / 3]))[0]
    assert torch.allclose(matrix @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]), atol=1e-5)
    small = hue_turn(torch.tensor([0.05]))[0] @ torch.tensor([0.6, 0.4, 0.4])
    assert 0 < colorsys.rgb_to_hsv(*small.tolist())[0] < 0.1


def test_erasing_covers_the_asked_share():
    images = pictures(2000, channels=1, height=24, width=24)
    u = chance(2000)
    made = a.erase(images, Augmentation(erase=0.5), u)
    changed = (made != images).flatten(1).any(1)
    assert torch.equal(changed, u[:, a.ERASE] < 0.5)
    share = (made != images).float().flatten(1).mean(1)[changed]
    assert 0.15 < share.max() < 0.27 and share.mean() > 0.05  # a square over the border is cut off
    one = changed.nonzero()[0, 0]
    values = made[one][made[one] != images[one]].unique()
    assert len(values) == 1 and abs(values.item() - images[one].float().mean()) <= 1


# --- the whole -------------------------------------------------------------------------------------------------------


def test_no_augmentation_changes_nothing():
    for side in (28, 224):
        images = pictures(3, height=side, width=side)
        made = augment(Batch(images, targets(3)), augmentation("none", side=side), chance(3), size=(side, side))
        assert torch.equal(made.images, images)


@pytest.mark.parametrize("level", ["light", "medium", "strong"])
@pytest.mark.parametrize("side", [28, 96])
def test_each_image_has_its_own_draw_that_follows_from_the_counters(level, side):
    images = pictures(1, height=side, width=side).expand(6, -1, -1, -1).contiguous()
    how = augmentation(level, side=side)
    made = augment(Batch(images, targets(6)), how, chance(6), size=(side, side)).images.float()
    again = augment(Batch(images, targets(6)), how, chance(6), size=(side, side)).images.float()
    assert torch.equal(made, again)
    assert all(not torch.equal(made[i], made[j]) for i in range(6) for j in range(i))
    assert made.min() >= 0 and made.max() <= 255
    alone = augment(Batch(images[2:3], targets(1)), how, chance(6)[2:3], size=(side, side)).images.float()
    assert torch.allclose(alone[0], made[2], atol=1e-3)


def test_levels_grow():
    for levels in (LEVELS, SMALL_LEVELS):
        assert list(levels) == ["none", "light", "medium", "strong"]
        assert not levels["none"].resamples and not levels["none"].recolours and levels["none"].flip == 0


def test_mixup_blends_neighbours_and_their_truth():
    batch = Batch(pictures(7), targets(7))
    share = mixup_share(7, 0.4, generator(0, "mix"))
    assert torch.equal(share[::2][:3], share[1::2]) and share.min() >= 0.5
    order = neighbours(7)
    assert order.tolist() == [1, 0, 3, 2, 5, 4, 6]
    mixed = mixup(batch, order, share)
    for i, other in enumerate(order):
        image = share[i] * batch.images[i] + (1 - share[i]) * batch.images[other]
        assert torch.allclose(mixed.images[i], image, atol=1e-3)
        truth = share[i] * batch.targets.probabilities[i] + (1 - share[i]) * batch.targets.probabilities[other]
        assert torch.allclose(mixed.targets.probabilities[i], truth)
    assert torch.allclose(mixed.targets.probabilities.sum(1), torch.ones(7))


def test_mixup_shares_follow_the_beta_distribution():
    from scipy.stats import beta, kstest

    share = mixup_share(20_000, 0.4, generator(1, "mix"))[::2].numpy()
    folded = lambda x: 2 * (beta.cdf(x, 0.4, 0.4) - 0.5)  # noqa: E731 - of max(s, 1 - s)
    assert kstest(share, folded).pvalue > 0.001


def test_every_image_is_seen_both_ways_in_any_two_epochs():
    feed = make_feed(
        small_data(), task="classification", config=small_config(), classes=3, size=(12, 12), how=Augmentation(flip=0.5)
    )
    index = np.arange(60)
    for epoch in range(5):
        flipped = [feed._mirror(index, e) < 0.5 for e in (epoch, epoch + 1)]
        assert torch.equal(flipped[0], ~flipped[1])
        assert 24 <= flipped[0].sum() <= 36
    rare = feed._mirror(np.arange(1000), 0)
    assert abs((rare < 0.1).float().mean() - 0.1) < 0.02
