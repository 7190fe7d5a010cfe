"""The memory of normal patches: sampling, thinning, searching; and PatchCore on generated surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from manako.blocks import memory_bank
from manako.blocks.memory_bank import PatchSample, core_set, distance_to_other_images, nearest_distance, search_keys
from manako.models import create_model
from manako.models.patchcore import Patchcore, image_pixels
from manako.samples.defects import _brushed, add_defect


def normal_patches(count: int, dims: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(count, dims, generator=random) @ torch.randn(dims, dims, generator=random) + 3


def test_the_sample_is_bounded_even_and_the_statistics_are_exact() -> None:
    sample, patches = PatchSample(300), normal_patches(5000, 4)
    for number, part in enumerate(patches.split(70)):
        sample.add(part, torch.full((len(part),), number))
    assert sample.patches.shape == (300, 4) and sample.count == 5000
    share = (sample.images < 36).float().mean()  # half of the stream
    assert abs(float(share) - 0.5) < 4 * 0.5 / 300**0.5
    assert all(bool((patches == row).all(1).any()) for row in sample.patches[:20])
    centre, matrix = sample.whitening(0.0, 4)
    torch.testing.assert_close(centre, patches.mean(0), rtol=1e-4, atol=1e-4)
    white = (patches - centre) @ matrix
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(4), rtol=1e-3, atol=1e-3)


def test_memory_is_bounded_at_any_number_of_images() -> None:
    """What is held after a hundred images is what is held after two hundred, to the byte."""
    sample, held = PatchSample(500), []
    for number in range(200):
        sample.add(normal_patches(64, 8, number), torch.full((64,), number))
        tensors = [value for value in vars(sample).values() if isinstance(value, torch.Tensor)]
        held.append(sum(value.untyped_storage().nbytes() for value in tensors))
    assert sample.count == 200 * 64 and len(set(held[100:])) == 1


def test_how_the_stream_is_cut_changes_nothing() -> None:
    patches, images = normal_patches(200, 3), torch.arange(200)
    whole, parts = PatchSample(50), PatchSample(50)
    whole.add(patches, images)
    for part in images.split(7):
        parts.add(patches[part], part)
    assert set(whole.images.tolist()) == set(parts.images.tolist())


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_core_set_is_the_greedy_one(seed: int) -> None:
    patches = normal_patches(60, 5, seed)
    chosen = core_set(patches, 12, seed=seed).tolist()
    assert len(set(chosen)) == 12
    distances = torch.cdist(patches, patches)
    for size in range(1, 12):
        far = distances[:, chosen[:size]].amin(1)
        assert far[chosen[size]] == pytest.approx(float(far.max()), rel=1e-3)
    assert core_set(patches, 100).tolist() == list(range(60))


def test_distances_are_those_of_cdist() -> None:
    patches, bank = normal_patches(40, 6, 1), normal_patches(25, 6, 2)
    plain = torch.cdist(patches, bank)
    reach = torch.rand(25, generator=torch.Generator().manual_seed(3)) + 0.5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory_bank, "BLOCK", 7)
        found = nearest_distance(patches, search_keys(bank, reach))
    torch.testing.assert_close(found, (plain / reach).amin(1), rtol=1e-3, atol=1e-3)
    images, sources = torch.arange(40) % 4, torch.arange(25) % 4
    other = plain.masked_fill(images[:, None] == sources, torch.inf).amin(1)
    torch.testing.assert_close(distance_to_other_images(patches, images, bank, sources), other, rtol=1e-3, atol=1e-3)


def test_the_ground_of_a_letterbox_is_no_image() -> None:
    images = torch.rand(2, 3, 8, 10)
    images[0, :, :2] = images[0, :, -3:] = 0.3
    inside = image_pixels(images)
    assert inside[1].all()
    assert inside[0, 2:5].all() and not inside[0, :2].any() and not inside[0, 5:].any()
    assert image_pixels(torch.zeros(1, 3, 8, 8)).all(), "an image of one colour is an image"


def surfaces(count: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    return (
        torch.from_numpy(np.stack([_brushed(random) for _ in range(count)])).permute(0, 3, 1, 2).float().clamp(0, 255)
    )


def larger(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.interpolate(images, scale_factor=2.0, mode="bilinear").clamp(0, 255)


@pytest.mark.parametrize("thinning", ["random", "core_set"])
def test_patchcore_finds_a_defect_and_names_a_strange_training_image(thinning: str) -> None:
    options = {"bank": 300, "thinning": thinning}
    model = create_model("patchcore", task="anomaly", classes=2, channels=3, imgsz=128, weights="auto", options=options)
    assert isinstance(model, Patchcore)
    model.eval()
    random = np.random.default_rng(4)
    normal = surfaces(24, 1)
    spoiled, _ = add_defect(normal[7].permute(1, 2, 0).double().numpy(), "patch", random)
    normal[7] = torch.from_numpy(spoiled).permute(2, 0, 1)
    strange = model.fit(model.normalise(larger(part)) for part in normal.split(5))
    assert strange.shape == (24,) and int(strange.argmax()) == 7
    fresh = surfaces(1, 9)[0].permute(1, 2, 0).double().numpy()
    bad, place = add_defect(fresh, "patch", random)
    with torch.inference_mode():
        pair = torch.from_numpy(np.stack([fresh, bad])).permute(0, 3, 1, 2).float()
        good, found = model(model.normalise(larger(pair)))["map"]
    assert found.max() > good.max()
    found = found - good  # the same surface with and without
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    step = 64 / found.shape[0]
    around = place[
        max(0, int((row - 1) * step)) : int((row + 2) * step),
        max(0, int((column - 1) * step)) : int((column + 2) * step),
    ]
    assert around.any()
