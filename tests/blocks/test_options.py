"""Options whose type is right and whose value isn't; and what sizes a network takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from manako.errors import ConfigError
from manako.models import create_model


def build(name: str, imgsz: int = 32, **options: Any) -> Any:
    with torch.device("meta"):
        return create_model(name, task="classification", classes=3, channels=1, imgsz=imgsz, options=options)


@pytest.mark.parametrize(
    ("name", "imgsz", "options", "said"),
    [
        ("mlp", 32, {"activation": "relux"}, "relu, gelu"),
        ("mlp", 32, {"hidden": "512,x"}, "512,256"),
        ("mlp", 32, {"dropout": 1.0}, "0.95"),
        ("cnn", 32, {"depth": 4}, "between 0 and 3"),  # 32 -> 15 -> 6 -> 2 pixels a side
        ("cnn", 7, {}, "at least 8"),
        ("small_resnet", 3, {}, "at least 4"),
        ("small_resnet", 32, {"width": 0}, "between 1"),
        ("resnet18", 32, {"depth": 19}, "resnet34"),
        ("vgg11", 32, {"depth": 12}, "vgg13_bn"),
        ("vgg11", 31, {}, "at least 32"),
    ],
)
def test_wrong_values_are_named_with_the_right_ones(name: str, imgsz: int, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(name, imgsz, **options)
    assert said in str(caught.value)


def test_the_multi_layer_perceptron_is_as_deep_as_asked() -> None:
    model = build("mlp", 8, hidden="30, 20,10", activation="tanh")
    assert [layer[0].out_features for layer in model.layers] == [30, 20, 10]
    linear = build("mlp", 8, hidden="")  # no hidden layer: logistic regression
    assert sum(p.numel() for p in linear.parameters()) == 3 * 64 + 3


@pytest.mark.parametrize("imgsz", [8, 9, 16, 28, 31, 64, 100, 224])
@pytest.mark.parametrize("name", ["cnn", "small_resnet"])
def test_small_networks_take_any_size(name: str, imgsz: int) -> None:
    model = build(name, imgsz).eval()
    features = model.features(torch.empty(2, 1, imgsz, imgsz, device="meta"))
    assert model.head(features).shape == (2, 3)
    assert 1 <= features.shape[-1] <= 8, "the map is small, whatever the image"


def test_the_convolutional_network_has_the_classic_structure() -> None:
    """Convolution, padded convolution, pooling, repeated: 28 -> 13 -> 5 -> 1 pixels a side."""
    model = build("cnn", 28)
    x, sides = torch.empty(1, 1, 28, 28, device="meta"), []
    for block in model.blocks:
        x = block(x)
        sides.append(x.shape[-1])
    assert sides == [13, 5, 1]
    kinds = [type(layer).__name__ for layer in build("cnn", 28, batch_norm=False).blocks[0]]
    assert kinds == ["Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d"]
