"""Mask R-CNN: Faster R-CNN that also draws a small mask of each object.

Paper: He et al. 2017, "Mask R-CNN", arXiv 1703.06870; v2 after Li et al. 2021, arXiv 2111.11429.
Licence: code and weights BSD-3-Clause (torchvision), learned from COCO; the packaged weights of maskrcnn_lite0_fpn are
Apache-2.0, learned from ImageNet.
Expected: box / mask AP on COCO's validation set (published by torchvision): resnet50_fpn 37.9 / 34.6, v2 47.4 / 41.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNN, MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from manako.blocks.candidates import numbered, pool_regions, rows_where
from manako.blocks.detectors import Lite0Pyramid, as_lists, take_over
from manako.blocks.folding import fix_norms
from manako.blocks.layers import check_imgsz, check_range, check_variant
from manako.blocks.pretrained import start
from manako.blocks.two_stage import Truths, TwoStage

if TYPE_CHECKING:
    from manako.training.targets.instances import InstanceTargets

TASKS = ("instances",)
VARIANTS = {
    "maskrcnn_resnet50_fpn": {"network": "maskrcnn_resnet50_fpn"},
    "maskrcnn_resnet50_fpn_v2": {"network": "maskrcnn_resnet50_fpn_v2"},
    "maskrcnn_lite0_fpn": {"network": "maskrcnn_lite0_fpn", "regions": 128},
}
# The light one: proposals of an image, channels of its maps, size of its hidden layers, layers of the masks.
_PROPOSALS, _WIDTH, _HIDDEN, _LAYERS = 300, 128, 512, (128, 128)


class MaskRcnn(TwoStage):
    """See `TwoStage`. regions: how many of an image are judged in training; 512 as published, fewer cost less."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "maskrcnn_lite0_fpn",
        regions: int = 512,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="mask_rcnn")
        check_range(regions, 8, 2000, model="mask_rcnn", option="regions")
        check_variant(network, VARIANTS, option="network")
        if network == "maskrcnn_lite0_fpn":
            backbone = Lite0Pyramid(channels=channels, imgsz=imgsz, weights=weights, width=_WIDTH)
            self.network = MaskRCNN(
                backbone,
                box_head=TwoMLPHead(_WIDTH * 7 * 7, _HIDDEN),
                box_predictor=FastRCNNPredictor(_HIDDEN, classes + 1),
                mask_head=MaskRCNNHeads(_WIDTH, _LAYERS, 1),
                mask_predictor=MaskRCNNPredictor(_LAYERS[-1], _LAYERS[-1], classes + 1),
                box_batch_size_per_image=regions,
                rpn_pre_nms_top_n_test=_PROPOSALS,
                rpn_post_nms_top_n_test=_PROPOSALS,
            )
            take_over(self, backbone.body)
        else:
            last = ("roi_heads.box_predictor", "mask_fcn_logits")
            sizes = {"num_classes": classes + 1, "box_batch_size_per_image": regions}
            self.take_network(network, channels=channels, weights=weights, last=last, **sizes)
        if self.pretrained and weights == "auto":
            fix_norms(self.network.backbone)
        start(self, weights)

    def describe(self, maps: list[Tensor], found: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """masks (N, M, 28, 28): how likely each part of a candidate's box belongs to it, 0 in rows that fill up."""
        heads, boxes = self.network.roi_heads, found["boxes"]
        rows = rows_where(found["scores"].flatten() > 0)
        pooled = pool_regions(maps, numbered(boxes)[rows], side=14, size=size)
        logits = heads.mask_predictor(heads.mask_head(pooled)).float()
        place = found["labels"].flatten()[rows] + 1
        chosen = logits.gather(1, place[:, None, None, None].expand(-1, -1, 28, 28))[:, 0].sigmoid()
        empty = chosen.new_zeros((boxes.shape[0] * boxes.shape[1], 28, 28))
        return {"masks": empty.index_copy(0, rows, chosen).unflatten(0, boxes.shape[:2])}

    def truths(self, targets: InstanceTargets) -> Truths:  # type: ignore[override]
        objects = targets.objects
        good = objects.valid & ~objects.ignore & ((objects.boxes[..., 2:] - objects.boxes[..., :2]) > 0).all(-1)
        masks = [{"masks": targets.masks(i)[rows].to(torch.uint8)} for i, rows in enumerate(good)]
        return [truth | mask for truth, mask in zip(as_lists(objects), masks, strict=True)]

    def judged(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        """Also how far the masks of what was found, and is there, are from the truth."""
        total, count = outputs["masks"].sum() * 0, 0
        for i, truth in enumerate(truths):
            if not len(truth["boxes"]):
                continue
            overlap = torchvision.ops.box_iou(outputs["boxes"][i], truth["boxes"])
            same = outputs["labels"][i][:, None] + 1 == truth["labels"]
            best, owner = (overlap * same * (outputs["scores"][i] > 0)[:, None]).max(1)
            rows = torch.where(best >= 0.5)[0]
            wanted = project_masks_on_boxes(truth["masks"], outputs["boxes"][i][rows], owner[rows], 28)
            found = outputs["masks"][i][rows].clamp(1e-6, 1 - 1e-6)
            total = total + functional.binary_cross_entropy(found, wanted, reduction="sum")
            count += wanted.numel()
        return super().judged(outputs, truths) | {"masks": total / max(count, 1)}

    def judges(self) -> list[nn.Module]:
        heads = self.network.roi_heads
        return [heads.box_head, heads.mask_head, *list(heads.mask_predictor.children())[:-1]]

    def predictors(self) -> list[nn.Module]:
        heads = self.network.roi_heads
        return [heads.box_predictor, heads.mask_predictor.mask_fcn_logits]
