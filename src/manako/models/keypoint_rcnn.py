"""Keypoint R-CNN: a detector finds the subjects, then a map of each of their points is drawn within each box.

Paper: He et al. 2017, "Mask R-CNN", arXiv 1703.06870, section 5.
Licence: code and weights BSD-3-Clause (torchvision), learned from people in COCO; the packaged weights of
    keypointrcnn_lite0_fpn are Apache-2.0, learned from ImageNet.
Expected: keypointrcnn_resnet50_fpn 65.0 OKS AP and 54.6 box AP on COCO's validation set (published by torchvision).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torchvision.models.detection.keypoint_rcnn import KeypointRCNN, KeypointRCNNHeads, KeypointRCNNPredictor
from torchvision.models.detection.roi_heads import keypointrcnn_loss
from torchvision.ops import box_iou

from manako.blocks.candidates import numbered, pool_regions
from manako.blocks.detectors import Lite0Pyramid, take_over
from manako.blocks.folding import fix_norms
from manako.blocks.layers import check_imgsz, check_variant
from manako.blocks.pretrained import start
from manako.blocks.two_stage import Truths, TwoStage

if TYPE_CHECKING:
    from manako.training.targets.pose import PoseTargets

TASKS = ("pose",)
VARIANTS = {
    "keypointrcnn_lite0_fpn": {"network": "keypointrcnn_lite0_fpn"},
    "keypointrcnn_resnet50_fpn": {"network": "keypointrcnn_resnet50_fpn"},
}
LITE0_PROPOSALS = 300
LITE0_HEAD = (64, 64, 64, 64)  # channels; torchvision has eight layers of 512
LITE0_REGIONS = 64  # of an image that are judged in training, a quarter of them with points; torchvision takes 512
SUBJECTS = 20  # of an image: all that COCO counts
REACH = 2  # cells of a map to each side of a peak that belong to it
SAME = 0.5  # overlap from which a found box is a true one's


class KeypointRcnn(TwoStage):
    """See `TwoStage`. The candidates of a point are those of the subjects, in their order, so that the limbs join what
    belongs to one box. limbs: pairs of points, "0-1 1-2"; only their number matters.

    A point is the mean of its map's peak, less than a cell from torchvision's (the highest of an enlarged map).
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "keypointrcnn_lite0_fpn",
        limbs: str = "",
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="keypoint_rcnn")
        check_variant(network, VARIANTS, option="network")
        self.limbs = len(limbs.split()) or max(1, classes - 1)
        if network == "keypointrcnn_lite0_fpn":
            backbone = Lite0Pyramid(channels=channels, imgsz=imgsz, weights=weights)
            counts = {f"rpn_{when}_nms_top_n_test": LITE0_PROPOSALS for when in ("pre", "post")}
            head = KeypointRCNNHeads(backbone.out_channels, LITE0_HEAD)
            predictor = KeypointRCNNPredictor(LITE0_HEAD[-1], classes)
            counts["box_batch_size_per_image"] = LITE0_REGIONS
            self.network = KeypointRCNN(backbone, 2, keypoint_head=head, keypoint_predictor=predictor, **counts)
            take_over(self, backbone.body)
        else:
            last, sizes = ("keypoint_predictor",), {"num_classes": 2, "num_keypoints": classes}
            self.take_network(network, channels=channels, weights=weights, last=last, **sizes)
        if self.pretrained and weights == "auto":
            fix_norms(self.network.backbone)
        # torchvision's loss of the points takes maps as one row of numbers, whatever the layout of the network.
        self.network.roi_heads.keypoint_predictor.register_forward_hook(lambda _, __, maps: maps.contiguous())
        start(self, weights)

    def describe(self, maps: list[Tensor], found: dict[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """In evaluation also subjects (N, S, 4) and maps (N, S, K, 56, 56) of their points."""
        boxes, scores = found["boxes"][:, :SUBJECTS], found["scores"][:, :SUBJECTS]
        heads = self.network.roi_heads
        pooled = pool_regions(maps, numbered(boxes), side=14, size=size)
        points = heads.keypoint_predictor(heads.keypoint_head(pooled)).float().unflatten(0, boxes.shape[:2])
        peaks = self.peaks(points, boxes, scores)
        one = torch.eye(boxes.shape[1], device=boxes.device) * (scores > 0).to(boxes.dtype).unsqueeze(-1)
        limbs = one.unsqueeze(1).expand(-1, self.limbs, -1, -1)
        return {"subjects": boxes, "maps": points, "peaks": peaks, "limbs": limbs}

    def peaks(self, maps: Tensor, boxes: Tensor, scores: Tensor) -> Tensor:
        """maps (N, S, K, h, w) over boxes (N, S, 4) with scores (N, S) -> (N, K, S, 3)."""
        height, width = maps.shape[-2:]
        share = maps.flatten(3).softmax(-1)
        place = share.argmax(-1, keepdim=True)
        across = torch.arange(width, device=maps.device).repeat(height)
        down = torch.arange(height, device=maps.device).repeat_interleave(width)
        near = ((across - place % width).abs() <= REACH) & ((down - place // width).abs() <= REACH)
        share = share * near
        mass = share.sum(-1)
        sides = (boxes[..., 2:] - boxes[..., :2]).clamp_min(1)
        x, y = (
            (share * (c + 0.5)).sum(-1) / mass / cells * sides[..., axis, None] + boxes[..., axis, None]
            for axis, (c, cells) in enumerate(((across, width), (down, height)))
        )
        there = (scores > 0).unsqueeze(-1)
        found = torch.stack([x, y, mass * scores.unsqueeze(-1)], -1)
        return torch.where(there.unsqueeze(-1), found, 0).transpose(1, 2)

    def truths(self, targets: PoseTargets) -> Truths:  # type: ignore[override]
        """Subjects with known points, all of one class."""
        sides = targets.boxes[..., 2:] - targets.boxes[..., :2]
        good = targets.known.any(-1) & (sides > 0).all(-1)
        points = torch.cat([targets.xy, targets.known.unsqueeze(-1).to(targets.xy.dtype)], -1)
        return [
            {"boxes": boxes[rows], "labels": rows.nonzero()[:, 0] * 0 + 1, "keypoints": xy[rows]}
            for boxes, xy, rows in zip(targets.boxes, points, good, strict=True)
        ]

    def _evaluated(self, outputs: dict[str, Tensor], truths: Truths) -> dict[str, Tensor]:
        """torchvision's loss of the points, for the subjects found that are true ones."""
        losses = super()._evaluated(outputs, truths)
        maps, boxes, points, owners = [], [], [], []
        for found, score, drawn, truth in zip(
            outputs["subjects"], outputs["scores"][:, :SUBJECTS], outputs["maps"], truths, strict=True
        ):
            if len(truth["boxes"]):
                overlap, owner = box_iou(found, truth["boxes"]).max(1)
                rows = (overlap >= SAME) & (score > 0)
                maps.append(drawn[rows])
                boxes.append(found[rows])
                points.append(truth["keypoints"])
                owners.append(owner[rows])
        if sum(map(len, boxes)):
            losses["points"] = keypointrcnn_loss(torch.cat(maps), boxes, points, owners)
        return losses

    def judges(self) -> list[nn.Module]:
        return [*super().judges(), self.network.roi_heads.keypoint_head]

    def predictors(self) -> list[nn.Module]:
        return [*super().predictors(), self.network.roi_heads.keypoint_predictor]
