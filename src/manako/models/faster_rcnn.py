"""Faster R-CNN: a small network proposes regions, a second one says what is in each and where exactly.

Paper: Ren et al. 2015, "Faster R-CNN", arXiv 1506.01497, over Lin et al. 2017, "Feature Pyramid Networks", arXiv
1612.03144; v2 after Li et al. 2021, "Benchmarking Detection Transfer Learning with Vision Transformers", arXiv
2111.11429.
Licence: code and weights BSD-3-Clause (torchvision), learned from COCO; the packaged weights of fasterrcnn_lite0_fpn
are Apache-2.0, learned from ImageNet.
Expected: AP on COCO's validation set (published by torchvision): resnet50_fpn 37.0, resnet50_fpn_v2 46.7,
mobilenet_v3_large_fpn 32.8, mobilenet_v3_large_320_fpn 22.8.
"""

from __future__ import annotations

from torchvision.models.detection.faster_rcnn import FasterRCNN, FastRCNNPredictor, TwoMLPHead

from manako.blocks.detectors import Lite0Pyramid, take_over
from manako.blocks.folding import fix_norms
from manako.blocks.layers import check_imgsz, check_range, check_variant
from manako.blocks.pretrained import start
from manako.blocks.two_stage import TwoStage

TASKS = ("detection",)
VARIANTS = {
    "fasterrcnn_resnet50_fpn": {"network": "fasterrcnn_resnet50_fpn"},
    "fasterrcnn_resnet50_fpn_v2": {"network": "fasterrcnn_resnet50_fpn_v2"},
    "fasterrcnn_mobilenet_v3_large_fpn": {"network": "fasterrcnn_mobilenet_v3_large_fpn"},
    "fasterrcnn_mobilenet_v3_large_320_fpn": {"network": "fasterrcnn_mobilenet_v3_large_320_fpn"},
    "fasterrcnn_lite0_fpn": {"network": "fasterrcnn_lite0_fpn", "regions": 128},
}
# The light one: proposals of an image, channels of its maps, size of its hidden layers.
_PROPOSALS, _WIDTH, _HIDDEN = 300, 128, 512


class FasterRcnn(TwoStage):
    """See `TwoStage`. regions: how many of an image are judged in training; 512 as published, fewer cost less."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "fasterrcnn_lite0_fpn",
        regions: int = 512,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="faster_rcnn")
        check_range(regions, 8, 2000, model="faster_rcnn", option="regions")
        check_variant(network, VARIANTS, option="network")
        if network == "fasterrcnn_lite0_fpn":
            backbone = Lite0Pyramid(channels=channels, imgsz=imgsz, weights=weights, width=_WIDTH)
            self.network = FasterRCNN(
                backbone,
                box_head=TwoMLPHead(_WIDTH * 7 * 7, _HIDDEN),
                box_predictor=FastRCNNPredictor(_HIDDEN, classes + 1),
                box_batch_size_per_image=regions,
                rpn_pre_nms_top_n_test=_PROPOSALS,
                rpn_post_nms_top_n_test=_PROPOSALS,
            )
            take_over(self, backbone.body)
        else:
            last = ("roi_heads.box_predictor",)
            sizes = {"num_classes": classes + 1, "box_batch_size_per_image": regions}
            self.take_network(network, channels=channels, weights=weights, last=last, **sizes)
        if self.pretrained and weights == "auto":
            fix_norms(self.network.backbone)
        start(self, weights)
