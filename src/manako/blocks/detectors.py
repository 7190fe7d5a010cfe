"""What the adapters of torchvision's detectors share: their targets, other numbers of channels, fine maps of Lite0."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise
from typing import TYPE_CHECKING

import torchvision
from torch import Tensor, nn
from torchvision.models.detection.backbone_utils import LastLevelMaxPool
from torchvision.ops import FeaturePyramidNetwork

from manako.blocks.encoder import Encoder
from manako.blocks.model import Model
from manako.blocks.pretrained import LITE0

if TYPE_CHECKING:
    from manako.training.targets.detection import DetectionTargets


def as_lists(targets: DetectionTargets) -> list[dict[str, Tensor]]:
    """An image's boxes and labels as torchvision takes them: classes from 1 on, 0 is the background. Regions of crowds
    are left out, as in torchvision's own recipe."""
    good = targets.valid & ~targets.ignore & ((targets.boxes[..., 2:] - targets.boxes[..., :2]) > 0).all(-1)
    return [
        {"boxes": boxes[rows], "labels": labels[rows] + 1}
        for boxes, labels, rows in zip(targets.boxes, targets.labels, good, strict=True)
    ]


def take_channels(network: nn.Module, channels: int) -> None:
    """Replace the first convolution by one for so many channels, if it isn't already."""
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels == channels:
        return
    parent = network.get_submodule(name.rpartition(".")[0])
    made = nn.Conv2d(
        channels,
        first.out_channels,
        kernel_size=first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )
    setattr(parent, name.rpartition(".")[2], made)


def take_over(model: Model, encoder: Encoder) -> None:
    """The model's pixels and notes are those of its encoder."""
    model.mean, model.std, model.pretrained = encoder.mean, encoder.std, encoder.pretrained
    model.notice, model.notes = encoder.notice, encoder.notes


def start_slowly(network: nn.Module) -> None:
    """Normal weights of 0.03 for convolutions, as in SSDLite."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.03)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class Lite0Pyramid(nn.Module):
    """The packaged encoder under a feature pyramid: maps of strides 4 to 32 and one of 64, `out_channels` each."""

    def __init__(self, *, channels: int, imgsz: int, weights: str, width: int = 256) -> None:
        super().__init__()
        self.body = Encoder(LITE0, channels=channels, imgsz=imgsz, weights=weights)
        self.fpn = FeaturePyramidNetwork(list(self.body.channels[1:]), width, extra_blocks=LastLevelMaxPool())
        self.out_channels = width

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.body(images)[1:]
        found: dict[str, Tensor] = self.fpn(OrderedDict((str(i), x) for i, x in enumerate(maps)))
        return found


class Lite0Scales(nn.Module):
    """The packaged encoder's maps of strides 8 to 32, and three more, each half as fine as the one before."""

    def __init__(self, *, channels: int, imgsz: int, weights: str) -> None:
        super().__init__()
        self.body = Encoder(LITE0, channels=channels, imgsz=imgsz, weights=weights)
        sizes = [self.body.channels[-1], 256, 256, 128]
        self.extra = nn.ModuleList(_halved(a, b) for a, b in pairwise(sizes))
        start_slowly(self.extra)
        self.out_channels = [*self.body.channels[-3:], *sizes[1:]]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.body(images)[-3:]
        for block in self.extra:
            maps.append(block(maps[-1]))
        return {str(i): x for i, x in enumerate(maps)}


def _halved(inputs: int, outputs: int) -> nn.Sequential:
    """1 x 1, depthwise 3 x 3 of stride 2, 1 x 1."""
    middle = outputs // 2
    layer = torchvision.ops.Conv2dNormActivation
    return nn.Sequential(
        layer(inputs, middle, 1, activation_layer=nn.ReLU6),
        layer(middle, middle, 3, 2, groups=middle, activation_layer=nn.ReLU6),
        layer(middle, outputs, 1, activation_layer=nn.ReLU6),
    )
