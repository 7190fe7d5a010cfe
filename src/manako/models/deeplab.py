"""DeepLab: dilated convolutions at several rates see a place with more and less of what surrounds it.

Paper: Chen, Papandreou, Schroff, Adam 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv
    1706.05587 (v3); Chen, Zhu, Papandreou, Schroff, Adam 2018, arXiv 1802.02611 (v3+: a finer map joins in).
Licence: v3: code and weights BSD-3-Clause (torchvision; learned from COCO with the classes of PASCAL VOC). v3+: the
    network of segmentation-models-pytorch (MIT); an encoder's weights are those of its library (the packaged one's:
    Apache-2.0).
Expected: see docs/results.md. deeplabv3_resnet50 66.4, deeplabv3_resnet101 67.4 mean IoU on the VOC classes of COCO
    (published by torchvision).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.encoder import Encoder
from manako.blocks.layers import check_imgsz, check_range, check_variant, parameter_stages
from manako.blocks.pretrained import start
from manako.blocks.segmenter import Segmenter
from manako.blocks.torchvision_weights import imagenet_pixels, load_imagenet
from manako.errors import ConfigError

if TYPE_CHECKING:
    from manako.training.targets.segmentation import SegmentationTargets

TASKS = ("segmentation",)
PREFIX = "deeplab"
VARIANTS = {
    "deeplabv3plus": {"plus": True, "network": "tf_efficientnet_lite0"},
    "deeplabv3_resnet50": {"plus": False, "network": "resnet50"},
    "deeplabv3_resnet101": {"plus": False, "network": "resnet101"},
    "deeplabv3_mobilenet_v3_large": {"plus": False, "network": "mobilenet_v3_large"},
}
AUXILIARY = 0.5  # how much the loss of the head on an earlier map counts, as in torchvision's training


class Deeplab(Segmenter):
    """plus: v3+ over the timm network called `network`; else torchvision's v3, whose `network` is resnet50, resnet101
    or mobilenet_v3_large. stride: of v3+'s coarsest map, 16 or 8. width, dropout: of v3+'s head.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        plus: bool = True,
        network: str = "tf_efficientnet_lite0",
        stride: int = 16,
        width: int = 256,
        dropout: float = 0.5,
        loss: str = "cross_entropy+dice",
        any_licence: bool = False,
    ) -> None:
        super().__init__(loss=loss, name="deeplab")
        check_imgsz(imgsz, 32, model="deeplab")
        check_range(dropout, 0, 0.95, model="deeplab", option="dropout")
        check_range(width, 8, 4096, model="deeplab", option="width")
        if stride not in (8, 16):
            raise ConfigError("model.option_choice", model="deeplab", option="stride", value=stride, choices="8, 16")
        if plus:
            encoder = Encoder(
                network, channels=channels, imgsz=imgsz, weights=weights, any_licence=any_licence, stride=stride
            )
            self.take_over(encoder)
            sizes = {"decoder_channels": width, "decoder_aspp_dropout": dropout, "encoder_output_stride": stride}
            self.network = _plus(network, channels, classes, imgsz, sizes)
            self.network.encoder.model.load_state_dict(encoder.network.state_dict())
        else:
            name = check_variant(f"deeplabv3_{network}", VARIANTS, option="network")
            self.mean, self.std = imagenet_pixels(channels)
            self.network = _third(name, channels, classes)
            if weights == "auto":
                last = ("classifier.4.", "aux_classifier.4.")
                head = tuple(n for n, _ in self.network.named_parameters() if n.startswith(last))
                load_imagenet(self, name, head=head, learned_from="COCO")
        self.plus, self.stride = plus, stride
        start(self, weights)

    def scores(self, images: Tensor) -> Tensor:
        if self.plus:
            height, width = images.shape[-2:]
            # The library's v3+ takes only multiples of its stride.
            padding = (0, -width % self.stride, 0, -height % self.stride)
            logits: Tensor = self.network(functional.pad(images, padding, mode="replicate"))
            return logits[..., :height, :width]
        found: Tensor = self.network.classifier(self.network.backbone(images)["out"])
        return found

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """In training, torchvision's networks also give `auxiliary`, (N, K, H, W), from an earlier map."""
        if self.plus or not self.training:
            return super().forward(images)
        found = self.network(images)
        return {"logits": found["out"], "auxiliary": found["aux"]}

    def loss(self, outputs: dict[str, Tensor], targets: SegmentationTargets) -> Tensor:  # type: ignore[override]
        total = super().loss(outputs, targets)
        if "auxiliary" in outputs:
            total = total + AUXILIARY * super().loss({"logits": outputs["auxiliary"]}, targets)
        return total

    def stages(self) -> Iterator[list[nn.Parameter]]:
        if self.plus:
            yield from parameter_stages(*self.network.encoder.model.children())
            yield from parameter_stages(nn.ModuleList([self.network.decoder, self.network.segmentation_head]))
        else:
            yield from parameter_stages(*self.network.backbone.children())
            yield from parameter_stages(nn.ModuleList([self.network.classifier, self.network.aux_classifier]))


def _plus(network: str, channels: int, classes: int, imgsz: int, sizes: dict[str, Any]) -> Any:
    try:
        return smp.DeepLabV3Plus(f"tu-{network}", encoder_weights=None, in_channels=channels, classes=classes, **sizes)
    except (ValueError, TypeError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError("model.network_unfit", network=network, imgsz=imgsz, reason=reason) from None


def _third(name: str, channels: int, classes: int) -> Any:
    network: Any = torchvision.models.get_model(
        name, weights=None, weights_backbone=None, num_classes=classes, aux_loss=True
    )
    if channels != 3:
        first = next(module for module in network.backbone.modules() if isinstance(module, nn.Conv2d))
        first.in_channels = channels
        first.weight = nn.Parameter(torch.empty(first.out_channels, channels, *first.kernel_size))
        first.reset_parameters()
    return network
