"""Any network of timm, EfficientNet-Lite0 with packaged ImageNet weights first of all.

Paper: Tan, Le 2019, "EfficientNet", arXiv 1905.11946 (Lite: without squeeze-and-excitation, ReLU6).
Licence: code Apache-2.0 (timm); each network's weights have their own, and those that aren't free for every use
are refused unless `any_licence` is set. The packaged weights of EfficientNet-Lite0 are Apache-2.0.
Expected: efficientnet_lite0 74.8 % top-1 on ImageNet's validation set (published by timm).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from timm.models import group_parameters
from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.blocks.encoder import timm_network
from manako.blocks.layers import check_range
from manako.blocks.pretrained import start
from manako.errors import ConfigError

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
        self.name = network
        self.network: Any = made.network
        self.mean, self.std, self.pretrained = made.mean, made.std, made.pretrained
        self.notice, self.notes = made.notice, made.notes
        self.channels_last_map = getattr(made.network, "output_fmt", None) == "NHWC"
        published: Any = made.network.pretrained_cfg
        if not (made.pretrained and classes == published["num_classes"]):
            self._calm_head()
        self._try(channels, imgsz)
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
        """timm's own coarse groups, or the network's parts where it names none; then the classifier."""
        found = self.network.get_classifier()
        heads = found if isinstance(found, (tuple, list)) else [found]
        last = [parameter for head in heads for parameter in head.parameters()]
        final = {id(parameter) for parameter in last}
        groups: dict[int, list[nn.Parameter]] = {}
        order = _group_of(self.network)
        for name, parameter in self.network.named_parameters():
            if id(parameter) not in final:
                groups.setdefault(order[name], []).append(parameter)
        yield from (groups[i] for i in sorted(groups))
        yield last

    def _calm_head(self) -> None:
        """A new last layer says nearly the same of all classes: large random answers would first harm the rest."""
        last = self.network.get_classifier()
        if isinstance(last, nn.Linear):
            nn.init.normal_(last.weight, std=0.01)
            if last.bias is not None:
                nn.init.zeros_(last.bias)

    def _try(self, channels: int, imgsz: int) -> None:
        """Some networks can't take images of some sizes; only they know which. Raises ConfigError."""
        self.eval()
        try:
            with torch.no_grad():
                found = self.features(torch.zeros(1, channels, imgsz, imgsz, device=next(self.parameters()).device))
                if not isinstance(found, Tensor):
                    raise TypeError("it gives several maps at once")
                self.head(found)
        except (RuntimeError, AssertionError, ValueError, IndexError, AttributeError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError("model.network_unfit", network=self.name, imgsz=imgsz, reason=reason) from None
        self.train()


def _group_of(network: Any) -> dict[str, int]:
    """Name of each parameter -> its place between input and output."""
    try:
        groups: dict[str, int] = group_parameters(network, network.group_matcher(coarse=True), reverse=True)
    except (AttributeError, AssertionError):  # some networks have no groups, or no coarse ones
        places = {name: i for i, (name, _) in enumerate(network.named_children())}
        return {name: places.get(name.partition(".")[0], -1) for name, _ in network.named_parameters()}
    return groups
