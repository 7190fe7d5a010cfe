"""Where a network looked, against networks small enough to know it by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.images import Preprocess
from manako.training.saliency import Explainer, saliency
from manako.types import Frame, Sample

WEIGHTS = torch.tensor([[1.0, 0.0], [-2.0, 3.0]])


class TwoMaps(Classifier):
    """Maps: the image x, and -x. Logits: WEIGHTS times the maps' means, so that Grad-CAM is known."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(WEIGHTS.clone(), requires_grad=False)

    def features(self, images: Tensor) -> Tensor:
        return torch.cat([images, -images], 1)

    def head(self, features: Tensor) -> Tensor:
        return features.mul_(1).mean((2, 3)) @ self.weights.T  # in place, as some heads do


class Linear(Classifier):
    """No map: logits are a weighted sum of the pixels."""

    def __init__(self, size: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(size, 3)

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layer(features)
        return logits


def pixels_of(seed: int, height: int = 6, width: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 1), np.uint8)


@pytest.mark.parametrize("class_id", [0, 1])
def test_grad_cam_is_the_weighted_sum_of_the_maps(class_id: int) -> None:
    pixels = pixels_of(1)
    x = (pixels[..., 0].astype(np.float64) - 127.5) / 127.5
    one, other = WEIGHTS[class_id].tolist()
    expected = np.maximum(one * x - other * x, 0)  # the gradient of a mean is the same everywhere
    found = saliency(TwoMaps(), pixels, Frame(6, 8), class_id)
    np.testing.assert_allclose(found, expected / expected.max(), atol=1e-5)


def test_without_a_map_the_gradient_of_the_input_is_shown() -> None:
    model = Linear(48).train()
    found = saliency(model, pixels_of(2), Frame(6, 8), 2)
    weight = np.abs(model.layer.weight.detach().numpy()[2]).reshape(6, 8)
    np.testing.assert_allclose(found, weight / weight.max(), atol=1e-5)
    assert model.training


def test_nothing_spoke_for_the_class() -> None:
    white = np.full((6, 8, 1), 255, np.uint8)
    found = saliency(TwoMaps(), white, Frame(6, 8), 1)  # 1 x -2 + -1 x 3: negative everywhere
    assert found.shape == (6, 8) and not found.any()


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["crop", "stretch", "letterbox"]),
    st.integers(40, 200),
    st.integers(40, 200),
    st.floats(0.35, 0.65),
    st.floats(0.35, 0.65),
)
def test_the_map_lies_where_the_image_has_its_mark(
    fit: str, height: int, width: int, across: float, down: float
) -> None:
    x, y = across * width, down * height
    radius = 0.08 * min(height, width)
    rows, columns = np.mgrid[:height, :width] + 0.5
    mark = np.hypot(columns - x, rows - y) < radius
    image = Image.fromarray((mark * 255).astype(np.uint8))
    pixels, frame = Preprocess(48, 32, fit, channels=1).apply(image)  # type: ignore[arg-type]
    found = saliency(TwoMaps(), pixels, frame, 0)
    assert found.shape == (height, width)
    hot = found > 0.7
    if hot.any():
        centre = (columns[hot].mean(), rows[hot].mean())
        assert np.hypot(centre[0] - x, centre[1] - y) < radius + 2


def test_what_the_network_did_not_see_is_zero() -> None:
    pixels, frame = Preprocess(16, 16, "crop", channels=1).apply(Image.new("L", (64, 32), 255))
    found = saliency(TwoMaps(), pixels, frame, 0)
    assert (found[:, :16] == 0).all() and (found[:, 48:] == 0).all() and (found[:, 17:47] > 0.99).all()
    small = saliency(TwoMaps(), pixels, frame, 0, size=(8, 16))
    assert small.shape == (8, 16) and (small[:, :4] == 0).all() and (small[:, 5:11] > 0.99).all()


def test_the_explainer_opens_the_sample(samples: list[Sample]) -> None:
    explain = Explainer(TwoMaps(), Preprocess(20, 24, channels=1))
    found = explain(samples[0], 0, size=(20, 24))
    grey = np.asarray(Image.open(samples[0].image), np.float64)
    expected = np.maximum(grey - 127.5, 0)
    np.testing.assert_allclose(found, expected / expected.max(), atol=0.02)
