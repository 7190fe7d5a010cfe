"""Depth from one image: an encoder that knows images, and a light decoder that brings its maps back to half the size.

Paper: Eigen, Puhrsch, Fergus 2014, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network", arXiv
1406.2283 (loss); Alhashim, Wonka 2018, "High Quality Monocular Depth Estimation via Transfer Learning", arXiv
1812.11941 (pretrained encoder, plain decoder); Ranftl et al. 2020, "Towards Robust Monocular Depth Estimation", arXiv
1907.01341 (gradient loss).
Licence: own code; the encoder's weights are EfficientNet-Lite0's (Apache-2.0, learned from ImageNet).
Expected: see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.depth_loss import absolute, gradient, log_errors, mean_of_images, scale_invariant
from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import start

if TYPE_CHECKING:
    from manako.training.targets.depth import DepthTargets

TASKS = ("depth",)
VARIANTS: dict[str, dict[str, object]] = {"depth_net": {}}
REACH = 7.0  # the logarithm of depth lies within it: from a millimetre to a kilometre
QUICK = 10.0  # the common distance of all pixels is found so many times faster than other weights move


class DepthNet(Model):
    """backbone: any network of timm. width: channels of the finest map of the decoder, doubled at each coarser one.

    scale_invariant, absolute, gradient: how much each loss counts.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        backbone: str = "tf_efficientnet_lite0",
        width: int = 32,
        scale_invariant: float = 1.0,
        absolute: float = 1.0,
        gradient: float = 1.0,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="depth_net")
        check_range(width, 4, 512, model="depth_net", option="width")
        self.weighing = (scale_invariant, absolute, gradient)
        for name, value in zip(("scale_invariant", "absolute", "gradient"), self.weighing, strict=True):
            check_range(value, 0, 1000, model="depth_net", option=name)
        self.encoder = Encoder(backbone, channels=channels, imgsz=imgsz, weights=weights)
        self.mean, self.std = self.encoder.mean, self.encoder.std
        self.pretrained, self.notice = self.encoder.pretrained, self.encoder.notice
        self.notes += self.encoder.notes
        inputs = self.encoder.channels
        widths = [min(width * 2**i, 4 * width) for i in range(len(inputs))]
        self.top = Context(inputs[-1], widths[-1])
        self.steps = nn.ModuleList(
            Finer(coarse, skip, fine)
            for coarse, skip, fine in zip(widths[:0:-1], inputs[-2::-1], widths[-2::-1], strict=True)
        )
        self.output = nn.Conv2d(widths[0], 1, kernel_size=3, padding=1)
        nn.init.normal_(self.output.weight, std=0.01)
        self.distance = nn.Parameter(torch.zeros(1))
        if weights not in ("auto", "none"):
            start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.encoder(images)
        x = self.top(maps[-1])
        for step, skip in zip(self.steps, maps[-2::-1], strict=True):
            x = step(x, skip)
        size = (images.shape[2] // 2, images.shape[3] // 2)
        logarithm = self.output(x).float()[:, 0] + QUICK * self.distance
        if logarithm.shape[1:] != size:
            logarithm = functional.interpolate(logarithm[:, None], size, mode="bilinear")[:, 0]
        return {"depth": logarithm.clamp(-REACH, REACH).exp()}

    def loss(self, outputs: dict[str, Tensor], targets: DepthTargets) -> Tensor:  # type: ignore[override]
        """The three losses, as weighed; mean over the images that teach anything."""
        error, known = log_errors(outputs["depth"], targets.depth, metric=targets.metric)
        parts = (scale_invariant, absolute, gradient)
        each = sum(weight * part(error, known) for weight, part in zip(self.weighing, parts, strict=True))
        assert isinstance(each, Tensor)
        return mean_of_images(each, known)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(*self.encoder.network.children())
        decoder = [*self.top.parameters(), *self.steps.parameters(), *self.output.parameters(), self.distance]
        yield decoder


class Context(nn.Module):
    """(N, inputs, h, w) -> (N, outputs, h, w): each place, and what the whole image shows."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.place = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.whole = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.place(x) + self.whole(x.mean((2, 3), keepdim=True))
        return seen.relu()


class Finer(nn.Module):
    """(N, coarse, h, w) and (N, skip, 2h, 2w) -> (N, fine, 2h, 2w)."""

    def __init__(self, coarse: int, skip: int, fine: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, fine, kernel_size=1)
        self.join = nn.Conv2d(fine + skip, fine, kernel_size=3, padding=1, bias=False)
        self.join_norm = nn.BatchNorm2d(fine)
        self.refine = nn.Conv2d(fine, fine, kernel_size=3, padding=1, bias=False)
        self.refine_norm = nn.BatchNorm2d(fine)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # Reduced before it is enlarged: the same result as afterwards, at a quarter of the cost.
        up = functional.interpolate(self.reduce(x), skip.shape[2:], mode="bilinear")
        joined = self.join_norm(self.join(torch.cat([up, skip], 1))).relu()
        refined: Tensor = self.refine_norm(self.refine(joined)).relu()
        return refined
