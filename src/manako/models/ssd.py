"""SSD: boxes of fixed shapes around the cells of six maps are judged and moved in one pass.

Paper: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", arXiv 1512.02325; its light form in Howard et al. 2019,
"Searching for MobileNetV3", arXiv 1905.02244.
Licence: code and weights BSD-3-Clause (torchvision), learned from COCO; the packaged weights of ssdlite_lite0 are
Apache-2.0, learned from ImageNet.
Expected: ssd300_vgg16 25.1, ssdlite320_mobilenet_v3_large 21.3 AP on COCO's validation set (published by torchvision).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD
from torchvision.models.detection.ssdlite import SSDLiteHead

from manako.blocks.anchors import default_boxes
from manako.blocks.candidates import class_candidates, move_boxes, within
from manako.blocks.detectors import Lite0Scales, as_lists, take_channels, take_over
from manako.blocks.folding import fix_norms
from manako.blocks.layers import check_imgsz, check_variant, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.blocks.torchvision_weights import load_imagenet

if TYPE_CHECKING:
    from manako.training.targets.detection import DetectionTargets

TASKS = ("detection",)
VARIANTS = {
    "ssd300_vgg16": {"network": "ssd300_vgg16"},
    "ssdlite320_mobilenet_v3_large": {"network": "ssdlite320_mobilenet_v3_large"},
    "ssdlite_lite0": {"network": "ssdlite_lite0"},
}
CANDIDATES = 1000
_PIXELS = {
    "ssd300_vgg16": ((0.48235, 0.45882, 0.40784), (1 / 255,) * 3),
    "ssdlite320_mobilenet_v3_large": ((0.5,) * 3, (0.5,) * 3),
}


class Ssd(Model):
    """torchvision's network is `network`, its state dict unchanged; images may have any size and shape.

    Outputs beside the task's: `class_logits` (N, A, K + 1), `deltas` (N, A, 4) of the boxes `anchors` (A, 4).
    """

    def __init__(
        self, *, classes: int, channels: int, imgsz: int, weights: str = "none", network: str = "ssdlite_lite0"
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="ssd")
        check_variant(network, VARIANTS, option="network")
        if network == "ssdlite_lite0":
            self.network = self._lite0(classes, channels, imgsz, weights)
        else:
            build = torchvision.models.get_model
            self.network = build(network, weights=None, weights_backbone=None, num_classes=classes + 1)
            take_channels(self.network, channels)
            mean, std = _PIXELS[network]
            self.mean, self.std = (mean, std) if channels == 3 else ((sum(mean) / 3,) * channels, std[:1] * channels)
            if weights == "auto":
                head = tuple(n for n, _ in self.network.named_parameters() if "head.classification_head" in n)
                load_imagenet(self, network, head=head, learned_from="COCO")
        boxes = self.network.anchor_generator
        self._pairs = [_sides(boxes.scales[i : i + 2], ratios) for i, ratios in enumerate(boxes.aspect_ratios)]
        self._steps: list[int] = boxes.steps or []
        start(self, weights)

    def _lite0(self, classes: int, channels: int, imgsz: int, weights: str) -> SSD:
        backbone = Lite0Scales(channels=channels, imgsz=imgsz, weights=weights)
        boxes = DefaultBoxGenerator([[2, 3]] * 6, min_ratio=0.08, max_ratio=0.9)
        norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
        head = SSDLiteHead(backbone.out_channels, boxes.num_anchors_per_location(), classes + 1, norm)
        take_over(self, backbone.body)
        if self.pretrained and weights == "auto":
            fix_norms(backbone.body)
        return SSD(backbone, boxes, (imgsz, imgsz), classes + 1, head=head)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[-2:]
        maps = self._maps(images)
        found = self.network.head(maps)
        anchors = default_boxes(maps, (height, width), pairs=self._pairs, steps=self._steps)
        raw = {"class_logits": found["cls_logits"], "deltas": found["bbox_regression"], "anchors": anchors}
        if self.training:
            return raw
        boxes = within(move_boxes(raw["deltas"].float(), anchors, (10.0, 10.0, 5.0, 5.0)), (height, width))
        scores = raw["class_logits"].float().softmax(-1)[..., 1:]
        return raw | class_candidates(boxes, scores, CANDIDATES)

    def _maps(self, images: Tensor) -> list[Tensor]:
        backbone: Any = self.network.backbone
        if not hasattr(backbone, "scale_weight"):
            return list(backbone(images).values())
        x = backbone.features(images)
        maps = [backbone.scale_weight.view(1, -1, 1, 1) * functional.normalize(x)]
        for block in backbone.extra:
            x = block(_three_cells(x))
            maps.append(x)
        return maps

    def loss(self, outputs: dict[str, Tensor], targets: DetectionTargets) -> Tensor:  # type: ignore[override]
        """torchvision's: cross-entropy with three hard negatives for each positive, smooth L1 of the boxes."""
        truths, anchors = as_lists(targets), outputs["anchors"]
        matched = [
            self.network.proposal_matcher(torchvision.ops.box_iou(truth["boxes"], anchors))
            if len(truth["boxes"])
            else torch.full((len(anchors),), -1, device=anchors.device)
            for truth in truths
        ]
        found = {"bbox_regression": outputs["deltas"], "cls_logits": outputs["class_logits"]}
        losses = self.network.compute_loss(truths, found, [anchors] * len(truths), matched)
        total: Tensor = losses["bbox_regression"] + losses["classification"]
        return total

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.backbone
        if hasattr(backbone, "body"):
            yield from backbone.body.stages()
            yield from parameter_stages(backbone.extra, self.network.head)
        else:
            own = list(backbone.parameters(recurse=False))
            yield own + list(backbone.features.parameters())
            yield from parameter_stages(backbone.extra, self.network.head)


def _sides(scales: list[float], ratios: list[int]) -> list[tuple[float, float]]:
    """Widths and heights of a map's boxes: a square, one of the size between this and the next map's, and two for each
    ratio."""
    scale, between = scales[0], (scales[0] * scales[1]) ** 0.5
    long = [(scale * ratio**0.5, scale / ratio**0.5) for ratio in ratios]
    return [(scale, scale), (between, between), *(side for pair in long for side in (pair, pair[::-1]))]


def _three_cells(x: Tensor) -> Tensor:
    """`x` with zeros around it where it is too small for a 3 x 3 kernel: VGG's last maps of small images."""
    down, across = (max(0, 3 - side) for side in x.shape[-2:])
    return functional.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2)) if down + across else x
