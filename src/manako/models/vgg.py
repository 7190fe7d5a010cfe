"""VGG, 11 to 19 layers, plain or with batch normalisation: nothing but 3 x 3 convolutions and max pooling.

Paper: Simonyan, Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", arXiv 1409.1556.
Licence: code and weights BSD-3-Clause (torchvision); the weights were learned from ImageNet.
Expected: vgg16 71.6, vgg16_bn 73.4 % top-1 on ImageNet's validation set (published by torchvision).
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
    "vgg11": {"depth": 11, "batch_norm": False},
    "vgg13": {"depth": 13, "batch_norm": False},
    "vgg16": {"depth": 16, "batch_norm": False},
    "vgg19": {"depth": 19, "batch_norm": False},
    "vgg11_bn": {"depth": 11, "batch_norm": True},
    "vgg13_bn": {"depth": 13, "batch_norm": True},
    "vgg16_bn": {"depth": 16, "batch_norm": True},
    "vgg19_bn": {"depth": 19, "batch_norm": True},
}


class Vgg(Classifier):
    """torchvision's network is `network`, its state dict unchanged.

    hidden: size of the two hidden layers behind the convolutions; 4096 as published, less for little data.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        depth: int = 16,
        batch_norm: bool = False,
        hidden: int = 4096,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="vgg")
        check_range(dropout, 0, 0.95, model="vgg", option="dropout")
        check_range(hidden, 1, 65536, model="vgg", option="hidden")
        name = check_variant(f"vgg{depth}" + "_bn" * batch_norm, VARIANTS, option="depth")
        self.mean, self.std = imagenet_pixels(channels)
        network = torchvision.models.get_model(name, weights=None, num_classes=classes, dropout=dropout)
        if channels != 3:
            network.features[0] = nn.Conv2d(channels, 64, kernel_size=3, padding=1)
        if hidden != 4096:
            network.classifier[0] = nn.Linear(512 * 7 * 7, hidden)
            network.classifier[3] = nn.Linear(hidden, hidden)
            network.classifier[6] = nn.Linear(hidden, classes)
        self.network = network
        if weights == "auto":
            head = tuple(n for n, _ in network.named_parameters() if n.startswith("classifier."))
            load_imagenet(self, name, head=head)
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        x: Tensor = self.network.features(images)
        return x

    def head(self, features: Tensor) -> Tensor:
        pooled = self.network.avgpool(features).flatten(1)
        logits: Tensor = self.network.classifier(pooled)
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        parts: list[nn.Module] = []
        for layer in (*self.network.features, *self.network.classifier):
            parts.append(layer)
            if isinstance(layer, (nn.MaxPool2d, nn.Dropout)):
                yield from parameter_stages(nn.Sequential(*parts))
                parts = []
        yield from parameter_stages(nn.Sequential(*parts))
