"""PatchCore: how far each patch of an image is from the nearest patch of normal images, to a pretrained network.

Paper: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection", arXiv 2106.08265. Unlike there, each
scale has a memory of its own; distances are Mahalanobis's (as in PaDiM, Defard et al. 2021, arXiv 2011.08785), over
those that are usual around the remembered patch (as in the local outlier factor, Breunig et al. 2000); the memory is
a random sample, large (the search is one product of matrices), in place of a small core-set, which keeps odd patches;
an image's score is the mean of its highest places (tasks/anomaly.py) in place of a re-weighted maximum.
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
from manako.blocks.layers import check_imgsz, check_range, check_variant
from manako.blocks.memory_bank import MemoryBank, PatchSample, core_set, random_set
from manako.blocks.mirror_image import Blur
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.errors import ConfigError

if TYPE_CHECKING:
    from manako.training.targets.anomaly import AnomalyTargets

TASKS = ("anomaly",)
VARIANTS = {
    "patchcore": {},
    "patchcore_joint": {"stages": "2+3"},
}


class Patchcore(Model):
    """network: any of timm with maps of several scales. stages: which of them (0 is the finest) are read: "3,4" each
    with a memory of its own, whose distances are added; "2+3" brought to the finer one's size and remembered jointly.

    bank: patches that each memory holds. candidates: patches that they are chosen from, sampled evenly from all.
    thinning: how: "random", or "core_set", always the one farthest from all chosen before (the paper's; slow for large
    banks, and it keeps the oddest patches). neighbourhood: side of the
    square over which maps are averaged. dims: numbers a patch, at most. shrink: see `PatchSample.whitening`. flips:
    learn from mirror images too. smooth: spread of the map's blur, in parts of the image's longer side.
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
        stages: str = "3,4",
        bank: int = 16000,
        candidates: int = 32000,
        thinning: str = "random",
        neighbourhood: int = 3,
        dims: int = 320,
        shrink: float = 0.01,
        flips: bool = False,
        smooth: float = 0.055,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(network, channels=channels, imgsz=imgsz, weights=weights)
        strides, widths = self.encoder.strides, self.encoder.channels
        check_imgsz(imgsz, strides[-1], model="patchcore")
        check_range(bank, 1, 1_000_000, model="patchcore", option="bank")
        check_variant(thinning, {"random": 0, "core_set": 0}, option="thinning")
        check_range(neighbourhood, 1, 15, model="patchcore", option="neighbourhood")
        self.mean, self.std, self.pretrained = self.encoder.mean, self.encoder.std, self.encoder.pretrained
        self.notice, self.notes = self.encoder.notice, self.encoder.notes
        self.groups = _groups(stages, len(strides))
        self.candidates, self.flips, self.shrink = max(candidates, bank), flips, shrink
        self.thin = core_set if thinning == "core_set" else random_set
        self.neighbourhood = neighbourhood // 2 * 2 + 1
        self.banks = nn.ModuleList(MemoryBank(sum(widths[s] for s in group), dims, bank) for group in self.groups)
        self.blur = Blur(smooth * imgsz / strides[min(min(group) for group in self.groups)])
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """map: (N, h, w), the mean over the memories of how many standard deviations farther than usual a patch is."""
        far = [bank(patches)[:, None] for bank, patches in zip(self.banks, self.patches(images), strict=True)]
        size = max((f.shape[-2:] for f in far), key=lambda shape: shape[0] * shape[1])
        same = [functional.interpolate(f, size=size, mode="bilinear") if f.shape[-2:] != size else f for f in far]
        return {"map": self.blur(torch.cat(same, 1).mean(1, keepdim=True))[:, 0]}

    def patches(self, images: Tensor) -> list[Tensor]:
        """Of each memory (N, D, h, w): what the network sees around each place."""
        maps, side = self.encoder(images), self.neighbourhood
        found = []
        for group in self.groups:
            around = [functional.avg_pool2d(maps[s], side, 1, side // 2, count_include_pad=False) for s in group]
            size = around[0].shape[-2:]
            coarse = [functional.interpolate(m, size=size, mode="bilinear") for m in around[1:]]
            found.append(torch.cat([around[0], *coarse], 1))
        return found

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> Tensor:
        """An image is as strange as its strangest patch is far from those of the other images."""
        samples, seen = [PatchSample(self.candidates) for _ in self.banks], 0
        for images in batches:
            numbers = seen + torch.arange(len(images))
            seen += len(images)
            for view in (images, images.flip(-1)) if self.flips else (images,):
                for sample, patches in zip(samples, self.patches(view), strict=True):
                    sample.add(*_inside(patches.cpu(), view.cpu(), numbers))
        pairs = zip(self.banks, samples, strict=True)
        fitted = [bank.fit(s, shrink=self.shrink, thin=self.thin) for bank, s in pairs if isinstance(bank, MemoryBank)]
        strangest = torch.zeros(len(self.banks), seen)
        for row, sample, far in zip(strangest, samples, fitted, strict=True):
            row.scatter_reduce_(0, sample.images, far, "amax")
        return strangest.mean(0)

    def loss(self, outputs: dict[str, Tensor], targets: AnomalyTargets) -> Tensor:  # type: ignore[override]
        """The mean distance of normal images; nothing is learnt from it."""
        return outputs["map"].mean()

    def stages(self) -> Iterator[list[nn.Parameter]]:
        for part in self.encoder.network.children():
            found = list(part.parameters())
            if found:
                yield found


def _groups(stages: str, count: int) -> tuple[tuple[int, ...], ...]:
    """ "3,4" -> ((3,), (4,)); "2+3" -> ((2, 3),). Raises ConfigError."""
    try:
        groups = tuple(tuple(sorted(int(stage) for stage in group.split("+"))) for group in stages.split(","))
    except ValueError:
        groups = ()
    if not groups or not all(0 <= stage < count for group in groups for stage in group):
        known = f"0 … {count - 1}, 3,4, 2+3"
        raise ConfigError("model.option_choice", model="patchcore", option="stages", value=stages, choices=known)
    return groups


def _inside(patches: Tensor, images: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(M, D) patches of the images themselves, and (M,) the number of the image of each."""
    height, width = patches.shape[-2:]
    share = functional.adaptive_avg_pool2d(image_pixels(images).float()[:, None], (height, width))[:, 0]
    owner = numbers.view(-1, 1, 1).expand(-1, height, width)
    return patches.permute(0, 2, 3, 1)[share > 0.5], owner[share > 0.5]


def image_pixels(images: Tensor) -> Tensor:
    """(N, H, W) bool: where the image lies, without the even ground that "letterbox" puts on two of its sides."""
    even = (images == images[:, :, :1, :1]).all(1)
    rows, columns = (_from_both_ends(even.all(axis)) for axis in (2, 1))
    return ~(rows[:, :, None] | columns[:, None, :])


def _from_both_ends(even: Tensor) -> Tensor:
    first = even.int().cumprod(1).bool()
    last = even.int().flip(1).cumprod(1).flip(1).bool()
    return (first | last) & ~even.all(1, keepdim=True)
