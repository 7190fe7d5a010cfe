"""Residual network, 18 to 152 layers: blocks learn what to add to their input.

Paper: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition", arXiv 1512.03385.
Licence: code and weights BSD-3-Clause (torchvision); the weights were learned from ImageNet.
Expected: resnet18 69.8, resnet50 80.9 % top-1 on ImageNet's validation set (published by torchvision).
"""

from __future__ import annotations

from collections.abc import Iterator

import torchvision
from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.layers import check_imgsz, check_range, check_variant, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.torchvision_weights import imagenet_pixels, load_imagenet

TASKS = ("classification",)
VARIANTS = {
    "resnet18": {"depth": 18},
    "resnet34": {"depth": 34},
    "resnet50": {"depth": 50},
    "resnet101": {"depth": 101},
    "resnet152": {"depth": 152},
}


class Resnet(Classifier):
    """torchvision's network is `network`, its state dict unchanged. dropout: before the last layer."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        depth: int = 18,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 8, model="resnet")
        check_range(dropout, 0, 0.95, model="resnet", option="dropout")
        name = check_variant(f"resnet{depth}", VARIANTS, option="depth")
        self.mean, self.std = imagenet_pixels(channels)
        network = torchvision.models.get_model(name, weights=None, num_classes=classes)
        if channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.network = network
        self.dropout = nn.Dropout(dropout)
        if weights == "auto":
            load_imagenet(self, name, head=("fc.weight", "fc.bias"))
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        n = self.network
        x = n.maxpool(n.relu(n.bn1(n.conv1(images))))
        features: Tensor = n.layer4(n.layer3(n.layer2(n.layer1(x))))
        return features

    def head(self, features: Tensor) -> Tensor:
        pooled = self.network.avgpool(features).flatten(1)
        logits: Tensor = self.network.fc(self.dropout(pooled))
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        n = self.network
        return parameter_stages(nn.Sequential(n.conv1, n.bn1), n.layer1, n.layer2, n.layer3, n.layer4, n.fc)
