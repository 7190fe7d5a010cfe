"""The classic convolutional network: convolution, padded convolution, max pooling, repeated, then a linear layer.

Paper: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
Licence: code Apache-2.0 (this file); there are no learned weights.
Expected: 0.926 accuracy on Fashion-MNIST's 10,000 test images after 3 epochs (AdamW at 0.003, one cycle, batch 128,
mirrored at random; one run, 95 s of one core).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start

TASKS = ("classification",)
VARIANTS: dict[str, dict[str, object]] = {"cnn": {}}
MOST_BLOCKS = 6
WIDEST = 256


class Cnn(Classifier):
    """depth: number of blocks; 0: as many as the image allows, until its sides are 3 pixels or less.

    width: channels of the first block, doubled in each next one up to 256.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        depth: int = 0,
        width: int = 32,
        batch_norm: bool = True,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 8, model="cnn")
        check_range(depth, 0, _depth(imgsz, smallest=1), model="cnn", option="depth")
        check_range(width, 1, WIDEST, model="cnn", option="width")
        check_range(dropout, 0, 0.95, model="cnn", option="dropout")
        self.mean, self.std = (0.5,) * channels, (0.5,) * channels
        depth = depth or _depth(imgsz, smallest=4)
        widths = [channels, *(min(width * 2**i, WIDEST) for i in range(depth))]
        self.blocks = nn.ModuleList(_block(a, b, batch_norm) for a, b in pairwise(widths))
        self.dropout = nn.Dropout(dropout)
        side = _side(imgsz, depth)
        self.output = nn.Linear(widths[-1] * side * side, classes)
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        x = images
        for block in self.blocks:
            x = block(x)
        return x

    def head(self, features: Tensor) -> Tensor:
        """(N, F, h, w) -> (N, classes). The map is small, so each of its places has its own weights."""
        logits: Tensor = self.output(self.dropout(features.flatten(1)))
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        return parameter_stages(*self.blocks, self.output)


def _block(inputs: int, outputs: int, batch_norm: bool) -> nn.Sequential:
    """(N, inputs, S, S) -> (N, outputs, (S - 2) // 2, (S - 2) // 2)."""
    layers: list[nn.Module] = []
    for channels, padding in ((inputs, 0), (outputs, 1)):
        layers.append(nn.Conv2d(channels, outputs, kernel_size=3, padding=padding, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.MaxPool2d(2))


def _side(imgsz: int, depth: int) -> int:
    for _ in range(depth):
        imgsz = (imgsz - 2) // 2
    return imgsz


def _depth(imgsz: int, *, smallest: int) -> int:
    """How many blocks are applied while the sides are at least `smallest` pixels (a block needs 4)."""
    depth = 0
    while depth < MOST_BLOCKS and _side(imgsz, depth) >= max(smallest, 4):
        depth += 1
    return depth
