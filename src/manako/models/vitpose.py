"""ViTPose: a plain vision transformer and a small head that draws a map for each point, through transformers.

Paper: Xu et al. 2022, "ViTPose: Simple Vision Transformer Baselines for Human Pose Estimation", arXiv 2204.12484. What
    differs: the maps learn and are read as those of heatmap_pose are, and images may have any size.
Licence: code and weights Apache-2.0 (transformers; usyd-community/vitpose-base-simple and vitpose-base, learned from
    COCO's people).
Expected: OKS AP 75.5 (simple) and 75.8 on COCO's validation images, from the boxes of a detector (published); not
    measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn

from manako.blocks.hub_weights import take_weights
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.position_tables import resized
from manako.blocks.single_pose import SinglePose
from manako.blocks.torchvision_weights import imagenet_pixels
from manako.errors import MissingExtraError

TASKS = ("pose",)
NEEDS = "transformers"  # the extra `hf`
VARIANTS: dict[str, dict[str, object]] = {
    "vitpose_base_simple": {},
    "vitpose_base": {"simple": False},
}
_HUBS = {True: "usyd-community/vitpose-base-simple", False: "usyd-community/vitpose-base"}
_PATCH = 16
_TABLE = (16, 12)  # positions of the published table, for people in images of 256 x 192
SHARP = 10.0  # published maps run from 0 to 1; times this, one place of a map stands out against all others
_HEAD = ("head.conv.weight", "head.conv.bias")


class Vitpose(SinglePose):
    """Finds one subject an image (the largest one is taught).

    transformers' network is `network`; its state dict, as published in safetensors, is taken as `weights`, too. simple:
    the head enlarges by interpolation, else by two transposed convolutions. width, layers, heads: of the transformer.
    spread, limbs: as in heatmap_pose.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        simple: bool = True,
        width: int = 768,
        layers: int = 12,
        heads: int = 12,
        spread: float = 1.0,
        limbs: str = "",
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="vitpose")
        check_range(layers, 1, 48, model="vitpose", option="layers")
        check_range(spread, 0.3, 10, model="vitpose", option="spread")
        check_range(width % heads if heads > 0 else 1, 0, 0, model="vitpose", option="width")
        self.mean, self.std = imagenet_pixels(channels)
        self.stride, self.spread = _PATCH // 4, spread
        self.limbs = len(limbs.split()) or max(1, classes - 1)
        self.network = _network(classes, simple, width, layers, heads)
        take_weights(self, weights, name=_HUBS[simple], head=_HEAD)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        if images.shape[1] == 1:
            images = images.repeat(1, 3, 1, 1)
        backbone = self.network.backbone
        patches = backbone.embeddings.patch_embeddings.projection(images)
        table = backbone.embeddings.position_embeddings
        size = patches.shape[2:]
        places = resized(table[:, 1:], _TABLE, (size[0], size[1]), cubic=False) + table[:, :1]
        x = backbone.encoder(patches.flatten(2).mT + places).last_hidden_state
        maps = self.network.head(backbone.layernorm(x).mT.unflatten(2, size))
        return self.answer(SHARP * maps)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.backbone
        head = self.network.head
        enlarging = [part for part in head.children() if part is not head.conv]
        yield from parameter_stages(
            backbone.embeddings, *backbone.encoder.layer, backbone.layernorm, *enlarging, head.conv
        )


def _network(classes: int, simple: bool, width: int, layers: int, heads: int) -> Any:
    """Raises MissingExtraError without transformers."""
    if find_spec(NEEDS) is None:
        raise MissingExtraError("extra.missing", package=NEEDS, extra="hf")
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone = VitPoseBackboneConfig(
        image_size=[side * _PATCH for side in _TABLE],
        patch_size=[_PATCH, _PATCH],
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        out_indices=[layers],
    )
    return VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, num_labels=classes, use_simple_decoder=simple)
    )
