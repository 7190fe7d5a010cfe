"""Networks of timm that differ from the usual: shapes only, without numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from manako.errors import ConfigError
from manako.models import create_model


def empty(network: str, imgsz: int, **options: Any) -> Any:
    with torch.device("meta"):
        return create_model(
            f"timm:{network}", task="classification", classes=5, channels=3, imgsz=imgsz, options=options
        )


@pytest.mark.parametrize(
    ("network", "imgsz", "shape"),
    [
        ("swin_tiny_patch4_window7_224", 224, (2, 768, 7, 7)),  # channels last inside
        ("vit_tiny_patch16_224", 96, (2, 37, 192)),  # tokens; another size than the published one
        ("levit_128s", 224, (2, 16, 384)),  # two classifiers
        ("pit_ti_224", 224, (2, 1, 256)),  # no groups of parameters
        ("rdnet_tiny", 64, (2, 1040, 2, 2)),  # no coarse groups
    ],
)
def test_unusual_networks_keep_the_contract(network: str, imgsz: int, shape: tuple[int, ...]) -> None:
    model = empty(network, imgsz).eval()
    features = model.features(torch.empty(2, 3, imgsz, imgsz, device="meta"))
    assert features.shape == shape
    assert model.head(features).shape == (2, 5)
    stages = [id(parameter) for stage in model.stages() for parameter in stage]
    assert sorted(stages) == sorted(id(parameter) for parameter in model.parameters())


@pytest.mark.parametrize(
    ("network", "imgsz", "options"),
    [
        ("inception_v3", 32, {}),  # too small for its poolings
        ("crossvit_tiny_240", 240, {}),  # two branches
        ("vgg11", 64, {"drop_path": 0.1}),  # has no residual branches to leave out
    ],
)
def test_what_a_network_cannot_do_is_said(network: str, imgsz: int, options: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as caught:
        empty(network, imgsz, **options)
    assert caught.value.code == "model.network_unfit" and network in str(caught.value)


def test_a_network_knows_its_rate_of_dropping() -> None:
    assert empty("resnet18", 64, dropout=0.3, drop_path=0.2).network.drop_rate == 0.3
    with pytest.raises(ConfigError):
        empty("resnet18", 64, dropout=1.5)
