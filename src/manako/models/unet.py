"""U-Net: a path down to coarse maps and a path up again that takes the fine maps along.

Paper: Ronneberger, Fischer, Brox 2015, "U-Net: Convolutional Networks for Biomedical Image Segmentation", arXiv
    1505.04597. `unet_published` is that network (31,031,810 parameters with two classes and three channels: no padding,
    no normalisation, the border continued by mirroring); `unet_padded` has padding and batch normalisation. `unet`
    stands on an encoder that was taught with photographs; its path up is that of segmentation-models-pytorch.
Licence: code Apache-2.0; an encoder's weights are those of its library (the packaged one's: Apache-2.0).
Expected: see docs/results.md, retinal vessels and membranes. Published: IoU .920 (PhC-U373), .775 (DIC-HeLa).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.segmenter import Segmenter, conv_norm

TASKS = ("segmentation",)
PREFIX = "unet"
VARIANTS = {
    "unet": {"network": "tf_efficientnet_lite0"},
    "unet_published": {"network": "", "width": 64, "padded": False},
    "unet_padded": {"network": "", "width": 32, "padded": True},
}


class Unet(Segmenter):
    """network: a name of timm, or "": the published path down. width: channels of the finest map of the path up (of
    the published network, also of the path down), doubled at each coarser one. detail: channels of a map at full size,
    made from the image itself, that the last step up takes along; 0: none (an encoder's finest map has half the size).
    depth, padded: of the published network, how many times it halves the maps, and whether convolutions are padded
    and normalised.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        width: int = 16,
        detail: int = 16,
        depth: int = 4,
        padded: bool = True,
        loss: str = "cross_entropy+dice",
        any_licence: bool = False,
    ) -> None:
        super().__init__(loss=loss, name="unet")
        check_imgsz(imgsz, 32, model="unet")
        for option, value, low, high in (("width", width, 4, 256), ("detail", detail, 0, 256), ("depth", depth, 1, 6)):
            check_range(value, low, high, model="unet", option=option)
        self.published = not network
        if self.published:
            self.mean, self.std = (0.5,) * channels, (0.5,) * channels
            self.body: nn.Module = Published(channels, classes, width=width, depth=depth, padded=padded)
        else:
            encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights, any_licence=any_licence)
            self.take_over(encoder)
            self.body = OverEncoder(encoder, channels, classes, width=width, detail=detail)
        start(self, weights)

    def scores(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(images)
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        body = self.body
        if isinstance(body, Published):
            yield from parameter_stages(*body.down, *body.ups, *body.steps, body.head)
        else:
            assert isinstance(body, OverEncoder)
            yield from body.encoder.stages()
            yield from parameter_stages(nn.ModuleList([body.detail, body.ups, body.head]))


class Double(nn.Sequential):
    """Two convolutions of 3 x 3, each with ReLU; without padding a map loses 4 pixels of height and width."""

    def __init__(self, inputs: int, outputs: int, *, padded: bool) -> None:
        layers: list[nn.Module] = []
        for into in (inputs, outputs):
            layers.append(nn.Conv2d(into, outputs, 3, padding=int(padded), bias=not padded))
            layers += [nn.BatchNorm2d(outputs)] if padded else []
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Published(nn.Module):
    """The network of the paper. Any size of image: the border is mirrored outwards until the answer covers it.

    State dict, levels from the finest on the way down, steps from the coarsest on the way up: `down.LEVEL.0` and `.2`
    are the two convolutions (C -> 64 -> 64, 64 -> 128 -> 128...), `ups.STEP` the enlarging one (1024 -> 512...),
    `steps.STEP.0` and `.2` those after it (the fine map's channels first, then the enlarged one's), `head` 1 x 1; each
    has `weight` and `bias`. Padded, the convolutions are `.0` and `.3`, without bias, each with batch normalisation.
    """

    def __init__(self, channels: int, classes: int, *, width: int, depth: int, padded: bool) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(Double(a, b, padded=padded) for a, b in pairwise([channels, *widths]))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed([*pairwise(widths)]))
        self.steps = nn.ModuleList(Double(b, a, padded=padded) for a, b in reversed([*pairwise(widths)]))
        self.head = nn.Conv2d(width, classes, 1)
        self.depth, self.loses = depth, 0 if padded else 4
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        x = mirrored(images, self.needed(height), self.needed(width))
        maps = []
        for level, convolve in enumerate(self.down):
            x = convolve(functional.max_pool2d(x, 2) if level else x)
            maps.append(x)
        for up, convolve, fine in zip(self.ups, self.steps, reversed(maps[:-1]), strict=True):
            x = up(x)
            x = convolve(torch.cat([centre(fine, x.shape[-2], x.shape[-1]), x], 1))
        return centre(self.head(x), height, width)

    def needed(self, side: int) -> int:
        """The smallest side, at least `side`, whose maps can all be halved and whose answer covers `side`."""
        coarsest = 1
        while True:
            given, answered = coarsest, coarsest - self.loses
            for _ in range(self.depth):
                given, answered = 2 * given + self.loses, 2 * answered - self.loses
            if answered >= side:
                return given
            coarsest += 1


def mirrored(images: Tensor, height: int, width: int) -> Tensor:
    """Continued on all sides by mirroring (the outermost pixel isn't repeated), as often as needed."""
    for axis, side in ((-2, height), (-1, width)):
        own = images.shape[axis]
        if side > own:
            place = torch.arange(side, device=images.device) - (side - own) // 2
            period = max(1, 2 * (own - 1))
            place = place.remainder(period)
            images = images.index_select(axis, torch.minimum(place, period - place).clamp_max(own - 1))
    return images


def centre(maps: Tensor, height: int, width: int) -> Tensor:
    """The middle `height` x `width` pixels."""
    top, left = (maps.shape[-2] - height) // 2, (maps.shape[-1] - width) // 2
    return maps[..., top : top + height, left : left + width]


class OverEncoder(nn.Module):
    """The path up over an encoder's maps."""

    def __init__(self, encoder: Encoder, channels: int, classes: int, *, width: int, detail: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.detail = nn.Sequential(conv_norm(channels, detail), conv_norm(detail, detail)) if detail else nn.Identity()
        skips = [*reversed(encoder.channels[:-1]), detail]
        widths = [width * 2**level for level in reversed(range(len(skips)))]
        inputs = [encoder.channels[-1], *widths[:-1]]
        self.ups = nn.ModuleList(
            nn.Sequential(conv_norm(a + skip, b), conv_norm(b, b))
            for a, skip, b in zip(inputs, skips, widths, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], classes, 3, padding=1)
        self.full = bool(detail)

    def forward(self, images: Tensor) -> Tensor:
        *fine, x = self.encoder(images)
        last = [self.detail(images)] if self.full else [None]
        for convolve, skip in zip(self.ups, [*reversed(fine), *last], strict=True):
            size = images.shape[-2:] if skip is None else skip.shape[-2:]
            x = functional.interpolate(x, size=size, mode="nearest")
            x = convolve(x if skip is None else torch.cat([x, skip], 1))
        logits: Tensor = self.head(x)
        return logits
