"""PP-OCR's finder of lines of text, with its published weights: finds without training, learns on from there.

Paper: Cui et al. 2025, "PaddleOCR 3.0 Technical Report", arXiv 2507.05595; the heads are those of differentiable
    binarisation (Liao et al. 2020, arXiv 1911.08947) without the threshold, which is not published.
Licence: code Apache-2.0; the weights (PP-OCRv6 small, PaddleOCR, Apache-2.0) come in the package rapidocr.
Expected: outputs equal to those of the published graph, largest difference below 1e-5; see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.onnx_weights import OnnxWeights
from manako.blocks.ppocr_backbone import Backbone, Excite, start_randomly
from manako.blocks.pretrained import start
from manako.blocks.text_finder import TextFinder

TASKS = ("text_finding",)
VARIANTS: dict[str, dict[str, object]] = {"ppocr_finder": {}}
READY = {"ppocr_finder": {"task": "text_finding", "height": 1152, "width": 832, "channels": 3}}
PACKAGE = "rapidocr"
FILE = "models/PP-OCRv6_det_small.onnx"
NOTICE = "Started from the weights of PP-OCRv6's small finder (PaddleOCR, package rapidocr, Apache-2.0)."
WIDTHS = (48, 96, 192, 384)
UNSURE = 0.3  # of the last layer without learned weights: nothing is taken for sure at first


class PpocrFinder(TextFinder):
    """weights: "auto" takes the published ones. shrink: how far polygons are shrunk when it learns on. norms: batch
    normalisation, without which it does not learn from nothing; the published weights have theirs folded in."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        shrink: float = 0.6,
        norms: bool = False,
    ) -> None:
        check_imgsz(imgsz, 32, model="ppocr_finder")
        check_range(shrink, 0.1, 0.95, model="ppocr_finder", option="shrink")
        super().__init__(shrink=shrink)
        self.mean = self.std = (0.5,) * channels
        self.backbone = Backbone(3, widths=WIDTHS, depths=(2, 2, 4, 2), strides=(2, 2, 2), norms=norms)
        self.neck, self.head = Neck(WIDTHS, 96), Head(96, norms=norms)
        start_randomly(self)
        self.head.last.weight.data *= UNSURE
        if weights == "auto":
            OnnxWeights.packaged(PACKAGE, FILE).fill(self)
            self.pretrained, self.notice = True, NOTICE
            self.notes.append(("weights.package_used", {"package": PACKAGE}))
        self.backbone.stem.take_rgb(channels)
        start(self, weights)

    @staticmethod
    def packaged_classes() -> tuple[str, ...]:
        return ("text",)

    def maps(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        high, wide = (-side % 32 for side in images.shape[-2:])
        if high or wide:
            images = functional.pad(images, (0, wide, 0, high))
        logits: Tensor = self.head(self.neck(self.backbone(images)))
        return logits[..., : logits.shape[-2] - high, : logits.shape[-1] - wide], None

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(self.backbone.stem, *self.backbone.levels, self.neck, self.head)


class Weighted(nn.Module):
    """A convolution and, added to its result, that result weighed channel by channel."""

    def __init__(self, *layers: nn.Module, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.excite = Excite(width, slope=0.2)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.layers(x)
        raised: Tensor = seen + self.excite(seen)
        return raised


class Neck(nn.Module):
    """Four maps, fine to coarse -> (N, width, h, w) at the finest one's size. Layers from coarse to fine."""

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(Weighted(nn.Conv2d(c, width, 1, bias=False), width=width) for c in channels[::-1])
        self.out = nn.ModuleList(
            Weighted(
                nn.Conv2d(width, width, 7, padding=3, groups=width),
                nn.Conv2d(width, width // 4, 1, bias=False),
                width=width // 4,
            )
            for _ in channels
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        sides: list[Tensor] = []
        for x, lateral in zip(reversed(maps), self.lateral, strict=True):
            side = lateral(x)
            sides.append(side + functional.interpolate(sides[-1], scale_factor=2.0) if sides else side)
        found = [out(side) for side, out in zip(sides, self.out, strict=True)]
        last = len(found) - 1
        found = [functional.interpolate(x, scale_factor=2.0 ** (last - i)) for i, x in enumerate(found[:-1])] + found[
            -1:
        ]
        return torch.cat(found, 1)


class Head(nn.Module):
    """(N, width, h, w) -> (N, 1, 4 h, 4 w), before the sigmoid."""

    def __init__(self, width: int, *, norms: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width // 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(width // 4) if norms else nn.Identity()
        self.up = nn.ConvTranspose2d(width // 4, width // 4, 2, 2)
        self.last = nn.ConvTranspose2d(width // 4, 1, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.last(self.up(self.norm(self.first(x)).relu()).relu())
        return logits
