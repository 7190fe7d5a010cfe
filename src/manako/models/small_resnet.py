"""A residual network of 0.3 million parameters for small images and few minutes, learned from scratch.

Paper: He, Zhang, Ren, Sun 2016, "Identity Mappings in Deep Residual Networks", arXiv 1603.05027.
Licence: code Apache-2.0 (this file); there are no learned weights.
Expected: to be measured on Fashion-MNIST.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start

TASKS = ("classification",)
VARIANTS: dict[str, dict[str, object]] = {"small_resnet": {}}


class SmallResnet(Classifier):
    """width: channels of the first stage, doubled in each of the two that follow. depth: blocks a stage."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        width: int = 32,
        depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 8, model="small_resnet")
        check_range(width, 1, 1024, model="small_resnet", option="width")
        check_range(depth, 1, 64, model="small_resnet", option="depth")
        self.mean, self.std = (0.5,) * channels, (0.5,) * channels
        self.stem = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        widths = [width, width, width * 2, width * 4]
        self.body = nn.ModuleList(
            nn.Sequential(Block(a, b, stride), *(Block(b, b, 1) for _ in range(depth - 1)))
            for a, b, stride in zip(widths, widths[1:], (1, 2, 2), strict=False)
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], classes)
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for stage in self.body:
            x = stage(x)
        features: Tensor = self.norm(x).relu()
        return features

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.output(self.dropout(features.mean((2, 3))))
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        return parameter_stages(self.stem, *self.body, nn.Sequential(self.norm), self.output)


class Block(nn.Module):
    """(N, inputs, S, S) -> (N, outputs, S / stride, S / stride): x + two convolutions of its normalised values."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = self.norm1(x).relu()
        residual: Tensor = self.conv2(self.norm2(self.conv1(a)).relu())
        shortcut = x if isinstance(self.shortcut, nn.Identity) else self.shortcut(a)
        return residual + shortcut
