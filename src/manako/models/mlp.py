"""Fully connected network (multi-layer perceptron): each pixel is an input, neighbourhood means nothing to it.

Paper: Rumelhart, Hinton, Williams 1986, "Learning representations by back-propagating errors".
Licence: code Apache-2.0 (this file); there are no learned weights.
Expected: 0.883 accuracy on Fashion-MNIST's 10,000 test images after 8 epochs (AdamW at 0.001, one cycle, batch 128,
mirrored at random; one run, 18 s of one core).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.layers import activation as activation_layer
from manako.blocks.layers import check_range, parameter_stages
from manako.blocks.pretrained import start
from manako.errors import ConfigError

TASKS = ("classification",)
VARIANTS: dict[str, dict[str, object]] = {"mlp": {}}


class Mlp(Classifier):
    """hidden: the sizes of the hidden layers, "512,256". activation: relu, gelu, silu, tanh or sigmoid."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        hidden: str = "512,256",
        activation: str = "relu",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_range(dropout, 0, 0.95, model="mlp", option="dropout")
        self.mean, self.std = (0.5,) * channels, (0.5,) * channels
        sizes = [channels * imgsz * imgsz, *_sizes(hidden)]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(a, b), activation_layer(activation, model="mlp"), nn.Dropout(dropout))
            for a, b in pairwise(sizes)
        )
        self.output = nn.Linear(sizes[-1], classes)
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> the last hidden layer (N, F)."""
        x = images.flatten(1)
        for layer in self.layers:
            x = layer(x)
        return x

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(features)
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        return parameter_stages(*self.layers, self.output)


def _sizes(text: str) -> list[int]:
    sizes = [int(word) if word.strip().isdecimal() else 0 for word in text.split(",")] if text.strip() else []
    if any(not 1 <= size <= 65536 for size in sizes):
        choices = "512 / 512,256 / 256,128,64"
        raise ConfigError("model.option_choice", model="mlp", option="hidden", value=text, choices=choices)
    return sizes
