"""DBNet: a network that learns, beside where text is, the threshold that its map is best cut at.

Paper: Liao, Wan, Yao, Chen, Bai 2020, "Real-time Scene Text Detection with Differentiable Binarization", AAAI, arXiv
    1911.08947. The encoder is timm's; between it and the two heads lies a feature pyramid (Lin et al. 2017).
Licence: code Apache-2.0; an encoder's weights are those of its library (the packaged one's: Apache-2.0).
Expected: see docs/results.md. Published, with ResNet-18 and ResNet-50: h_mean .823 and .849 on ICDAR 2015 (words).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.segmenter import conv_norm
from manako.blocks.text_finder import TextFinder

TASKS = ("text_finding",)
PREFIX = "dbnet"
VARIANTS = {
    "dbnet": {"network": "tf_efficientnet_lite0"},
    "dbnet_resnet18": {"network": "resnet18"},
}


class Dbnet(TextFinder):
    """network: a name of timm. width: channels of the feature pyramid's four maps together. shrink: how far polygons
    are shrunk, the paper's is 0.4, for words; long lines need more, for theirs become too thin."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        width: int = 96,
        shrink: float = 0.6,
        any_licence: bool = False,
    ) -> None:
        check_imgsz(imgsz, 32, model="dbnet")
        check_range(width, 16, 512, model="dbnet", option="width")
        check_range(shrink, 0.1, 0.95, model="dbnet", option="shrink")
        super().__init__(shrink=shrink)
        self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights, any_licence=any_licence)
        self.mean, self.std, self.pretrained = self.encoder.mean, self.encoder.std, self.encoder.pretrained
        self.notice = self.encoder.notice
        self.notes += self.encoder.notes
        self.pyramid = Pyramid(self.encoder.channels[-4:], width)
        self.probability, self.threshold = Head(width), Head(width)
        start(self, weights)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        features = self.pyramid(self.encoder(images)[-4:])
        return self.probability(features), self.threshold(features).sigmoid()

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from self.encoder.stages()
        yield from parameter_stages(self.pyramid, nn.ModuleList([self.probability, self.threshold]))


class Pyramid(nn.Module):
    """Four maps, fine to coarse -> (N, width, h, w) at the finest one's size."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inputs, width, 1, bias=False) for inputs in channels)
        self.out = nn.ModuleList(conv_norm(width, width // 4) for _ in channels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        size = maps[0].shape[-2:]
        above = self.lateral[-1](maps[-1])
        found = [_enlarged(self.out[-1](above), size)]
        for x, lateral, out in reversed([*zip(maps[:-1], self.lateral[:-1], self.out[:-1], strict=True)]):
            side = lateral(x)
            above = side + _enlarged(above, side.shape[-2:])
            found.append(_enlarged(out(above), size))
        return torch.cat(found, 1)


class Head(nn.Sequential):
    """(N, width, h, w) -> (N, 1, 4 h, 4 w), before the sigmoid."""

    def __init__(self, width: int) -> None:
        inner = width // 4
        super().__init__(
            conv_norm(width, inner),
            nn.ConvTranspose2d(inner, inner, 2, 2, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(inner, 1, 2, 2),
        )


def _enlarged(x: Tensor, size: torch.Size) -> Tensor:
    return functional.interpolate(x, size=size, mode="nearest")
