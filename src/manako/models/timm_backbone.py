"""Any network of timm, EfficientNet-Lite0 with packaged ImageNet weights first of all.

Paper: Tan, Le 2019, "EfficientNet", arXiv 1905.11946 (Lite: without squeeze-and-excitation, ReLU6).
Licence: code Apache-2.0 (timm); each network's weights have their own, and those that aren't free for every use
are refused unless `any_licence` is set. The packaged weights of EfficientNet-Lite0 are Apache-2.0.
Expected: efficientnet_lite0 74.8 % top-1 on ImageNet's validation set (published by timm).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from timm.models import group_parameters
from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.encoder import timm_network
from manako.blocks.layers import check_range
from manako.blocks.pretrained import start

TASKS = ("classification",)
PREFIX = "timm"
VARIANTS = {
    "efficientnet_lite0": {"network": "tf_efficientnet_lite0"},
    "mobilenet_v3_small": {"network": "mobilenetv3_small_100"},
    "mobilenet_v3_large": {"network": "mobilenetv3_large_100"},
    "mobilenet_v4_small": {"network": "mobilenetv4_conv_small"},
    "convnext_atto": {"network": "convnext_atto"},
    "efficientnet_v2_b0": {"network": "tf_efficientnetv2_b0"},
    "vit_tiny": {"network": "vit_tiny_patch16_224"},
}


class TimmBackbone(Classifier):
    """network: a name of timm, with or without a tag of weights. dropout: before the last layer.

    drop_path: share of residual branches left out at random, for networks that know it. any_licence: also take
    weights whose terms forbid some uses.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        network: str = "tf_efficientnet_lite0",
        dropout: float = 0.0,
        drop_path: float = 0.0,
        any_licence: bool = False,
    ) -> None:
        super().__init__()
        for option, value in (("dropout", dropout), ("drop_path", drop_path)):
            check_range(value, 0, 0.95, model=network, option=option)
        made = timm_network(
            network,
            channels=channels,
            imgsz=imgsz,
            weights=weights,
            any_licence=any_licence,
            arguments={"num_classes": classes, "drop_rate": dropout, "drop_path_rate": drop_path or None},
        )
        self.network: Any = made.network
        self.mean, self.std, self.pretrained = made.mean, made.std, made.pretrained
        self.notice, self.notes = made.notice, made.notes
        self.channels_last_map = getattr(made.network, "output_fmt", None) == "NHWC"
        start(self, weights)

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> map (N, F, h, w), or tokens (N, T, F) of a transformer."""
        x: Tensor = self.network.forward_features(images)
        return x.permute(0, 3, 1, 2) if self.channels_last_map else x

    def head(self, features: Tensor) -> Tensor:
        x = features.permute(0, 2, 3, 1) if self.channels_last_map else features
        logits: Tensor = self.network.forward_head(x)
        return logits

    def stages(self) -> Iterator[list[nn.Parameter]]:
        """timm's own coarse groups, then the classifier."""
        last = list(self.network.get_classifier().parameters())
        final = {id(parameter) for parameter in last}
        groups: dict[int, list[nn.Parameter]] = {}
        order = group_parameters(self.network, self.network.group_matcher(coarse=True), reverse=True)
        for name, parameter in self.network.named_parameters():
            if id(parameter) not in final:
                groups.setdefault(order[name], []).append(parameter)
        yield from (groups[i] for i in sorted(groups))
        yield last
