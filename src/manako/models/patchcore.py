"""PatchCore: how far each patch of an image is from the nearest patch of normal images, to a pretrained network.

Paper: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection", arXiv 2106.08265. Unlike there,
distances are Mahalanobis's (as in PaDiM, Defard et al. 2021, arXiv 2011.08785), and an image's score is the mean of its
highest places (tasks/anomaly.py) in place of a re-weighted maximum.
Licence: this file Apache-2.0; the packaged weights of EfficientNet-Lite0 Apache-2.0.
Expected: on magnetic tiles see docs/results.md; the paper's WideResNet-50 on MVTec AD .991 image AUROC.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range
from manako.blocks.memory_bank import PatchSample, core_set, distance_to_other_images, nearest_distance
from manako.blocks.mirror_image import Blur
from manako.blocks.model import Model
from manako.blocks.pretrained import start

if TYPE_CHECKING:
    from manako.training.targets.anomaly import AnomalyTargets

TASKS = ("anomaly",)
VARIANTS = {
    "patchcore": {},
    "patchcore_fast": {"bank": 1000, "first": 3},
}


class Patchcore(Model):
    """network: any of timm with maps of several scales. first, last: its stages (0 is the finest) whose maps are read,
    brought to the size of the first one's. bank: patches remembered. candidates: patches that they are chosen from.

    neighbourhood: side of the square over which maps are averaged. shrink: see `PatchSample.whitening`. flips: learn
    from mirror images too. smooth: spread of the blur of the map, in parts of the image's longer side.
    """

    learns: ClassVar[Literal["steps", "once"]] = "once"

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        first: int = 2,
        last: int = 3,
        bank: int = 4000,
        candidates: int = 60000,
        neighbourhood: int = 3,
        dims: int = 128,
        shrink: float = 0.01,
        flips: bool = False,
        smooth: float = 0.015,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights)
        strides = self.encoder.strides
        check_imgsz(imgsz, strides[-1], model="patchcore")
        check_range(last, 0, len(strides) - 1, model="patchcore", option="last")
        check_range(first, 0, last, model="patchcore", option="first")
        check_range(bank, 1, 1_000_000, model="patchcore", option="bank")
        check_range(neighbourhood, 1, 15, model="patchcore", option="neighbourhood")
        self.mean, self.std, self.pretrained = self.encoder.mean, self.encoder.std, self.encoder.pretrained
        self.notice, self.notes = self.encoder.notice, self.encoder.notes
        self.first, self.last, self.candidates, self.flips = first, last, max(candidates, bank), flips
        self.neighbourhood, self.shrink = neighbourhood // 2 * 2 + 1, shrink
        width = sum(self.encoder.channels[first : last + 1])
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width)[:, : min(dims, width)].clone())
        self.register_buffer("bank", torch.zeros(bank, min(dims, width)))
        self.blur = Blur(smooth * imgsz / strides[first])
        self.centre: Tensor
        self.whitening: Tensor
        self.bank: Tensor
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        patches = self.patches(images)
        count, _, height, width = patches.shape
        flat = patches.permute(0, 2, 3, 1).flatten(0, 2)
        far = nearest_distance((flat - self.centre) @ self.whitening, self.bank)
        return {"map": self.blur(far.view(count, 1, height, width))[:, 0]}

    def patches(self, images: Tensor) -> Tensor:
        """(N, D, h, w): what the network sees around each place."""
        maps = self.encoder(images)[self.first : self.last + 1]
        side, size = self.neighbourhood, maps[0].shape[-2:]
        around = [functional.avg_pool2d(m, side, 1, side // 2, count_include_pad=False) for m in maps]
        coarse = [functional.interpolate(m, size=size, mode="bilinear") for m in around[1:]]
        return torch.cat([around[0], *coarse], 1)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> Tensor:
        """An image is as strange as its strangest patch is far from those of the other images."""
        sample, seen = PatchSample(self.candidates), 0
        for images in batches:
            numbers = seen + torch.arange(len(images))
            seen += len(images)
            for view in (images, images.flip(-1)) if self.flips else (images,):
                self._take(sample, view, numbers)
        centre, matrix = sample.whitening(self.shrink, self.bank.shape[1])
        patches = (sample.patches - centre) @ matrix
        chosen = core_set(patches, len(self.bank))
        bank = patches[chosen]
        strangest = torch.zeros(seen)
        far = distance_to_other_images(patches, sample.images, bank, sample.images[chosen])
        strangest.scatter_reduce_(0, sample.images, far.nan_to_num(posinf=0.0), "amax")
        self.centre.copy_(centre)
        self.whitening.copy_(matrix)
        self.bank.copy_(bank[torch.arange(len(self.bank)) % len(bank)])  # a smaller one is filled up with copies
        return strangest

    def _take(self, sample: PatchSample, images: Tensor, numbers: Tensor) -> None:
        patches = self.patches(images).cpu()
        height, width = patches.shape[-2:]
        inside = (
            functional.adaptive_avg_pool2d(image_pixels(images).float()[:, None].cpu(), (height, width))[:, 0] > 0.5
        )
        owner = numbers.view(-1, 1, 1).expand(-1, height, width)
        sample.add(patches.permute(0, 2, 3, 1)[inside], owner[inside])

    def loss(self, outputs: dict[str, Tensor], targets: AnomalyTargets) -> Tensor:  # type: ignore[override]
        """The mean distance of normal images; nothing is learnt from it."""
        return outputs["map"].mean()

    def stages(self) -> Iterator[list[nn.Parameter]]:
        for part in self.encoder.network.children():
            found = list(part.parameters())
            if found:
                yield found


def image_pixels(images: Tensor) -> Tensor:
    """(N, H, W) bool: where the image lies, without the even ground that "letterbox" puts on two of its sides."""
    even = (images == images[:, :, :1, :1]).all(1)
    rows, columns = even.all(2), even.all(1)
    outside = [_from_both_ends(line) for line in (rows, columns)]
    return ~(outside[0][:, :, None] | outside[1][:, None, :])


def _from_both_ends(even: Tensor) -> Tensor:
    first = even.int().cumprod(1).bool()
    last = even.int().flip(1).cumprod(1).flip(1).bool()
    return (first | last) & ~even.all(1, keepdim=True)
