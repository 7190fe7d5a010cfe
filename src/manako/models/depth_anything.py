"""Depth Anything V2, small: a vision transformer that learned depth from 62 million images, through transformers.

Paper: Yang et al. 2024, "Depth Anything V2", arXiv 2406.09414; Ranftl et al. 2021, "Vision Transformers for Dense
Prediction", arXiv 2103.13413 (the decoder).
Licence: code Apache-2.0 (transformers); the small weights Apache-2.0. The base and large ones forbid commercial use and
are not offered.
Expected: abs_rel 0.053, delta1 0.973 on NYU without having seen it, after scale and shift of inverse depth were aligned
(published for the small one); not measured here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.hub_weights import take_weights
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.position_tables import resized
from manako.blocks.published_depth import PublishedDepth
from manako.blocks.torchvision_weights import imagenet_pixels
from manako.errors import MissingExtraError

TASKS = ("depth",)
NEEDS = "transformers"  # the extra `hf`
VARIANTS: dict[str, dict[str, object]] = {
    "depth_anything_v2_small": {},
    "depth_anything_v2_small_indoor": {"farthest": 20},
    "depth_anything_v2_small_outdoor": {"farthest": 80},
}
_HUB = "depth-anything/Depth-Anything-V2-{}Small-hf"
_KINDS = {0: "", 20: "Metric-Indoor-", 80: "Metric-Outdoor-"}
_PATCH = 14
_FARTHEST = 1000  # metres
# The network has them but never uses them; without them, every parameter learns.
_UNUSED = ("backbone.embeddings.mask_token", "neck.fusion_stage.layers.0.residual_layer1.")


class DepthAnything(PublishedDepth):
    """transformers' network is `network`; its state dict, as published in safetensors, is taken as `weights`, too.

    farthest: metres, the metric kind's largest depth; 0 is the relative kind, which gives inverse depth up to scale
    and shift: these two are learnt with the rest. width, layers, heads: of the transformer.
    decoder: channels of its maps.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        farthest: int = 0,
        width: int = 384,
        layers: int = 12,
        heads: int = 6,
        decoder: int = 64,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="depth_anything")
        check_range(layers, 4, 48, model="depth_anything", option="layers")
        check_range(decoder, 2, 1024, model="depth_anything", option="decoder")
        check_range(farthest, 0, _FARTHEST, model="depth_anything", option="farthest")
        check_range(width % heads if heads > 0 else 1, 0, 0, model="depth_anything", option="width")
        self.mean, self.std = imagenet_pixels(channels)
        self.network = _network(farthest, width, layers, heads, decoder)
        if not farthest:
            # A rectifier that gives 0 teaches nothing; this is the same but near 0.
            self.network.head.activation2 = nn.Softplus(beta=10)
            self.learn_inverse(-2.0, -3.0)
        take_weights(self, weights, name=_HUB.format(_KINDS[farthest]) if farthest in _KINDS else "", unused=_UNUSED)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        if images.shape[1] == 1:
            images = images.repeat(1, 3, 1, 1)
        sides = tuple(max(2, round(side / _PATCH)) * _PATCH for side in (height, width))
        patches = functional.interpolate(images, sides, mode="bilinear")
        return self.depth_of(self.network(patches).predicted_depth, (height, width))

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.backbone
        yield from parameter_stages(backbone.embeddings, *backbone.encoder.layer, backbone.layernorm)
        yield [*self.network.neck.parameters(), *self.network.head.parameters(), *self.own()]


def _network(farthest: int, width: int, layers: int, heads: int, decoder: int) -> Any:
    """Raises MissingExtraError without transformers."""
    if find_spec(NEEDS) is None:
        raise MissingExtraError("extra.missing", package=NEEDS, extra="hf")
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=518,
        patch_size=_PATCH,
        out_indices=[layers * part // 4 for part in (1, 2, 3, 4)],
        apply_layernorm=True,
        reshape_hidden_states=False,
        use_mask_token=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=width,
        neck_hidden_sizes=[width // 8, width // 4, width // 2, width],
        fusion_hidden_size=decoder,
        head_hidden_size=decoder // 2,
        depth_estimation_type="metric" if farthest else "relative",
        max_depth=farthest or 1,
    )
    network: Any = DepthAnythingForDepthEstimation(config)
    network.neck.fusion_stage.layers[0].residual_layer1 = nn.Identity()
    embeddings = network.backbone.embeddings
    embeddings.interpolate_pos_encoding = partial(_positions, embeddings)
    return network


def _positions(embeddings: Any, patches: Tensor, height: int, width: int) -> Tensor:
    """(1, 1 + h * w, C): the table's square grid of positions at the image's size, as the library resizes it."""
    table: Tensor = embeddings.position_embeddings
    side = math.isqrt(table.shape[1] - 1)
    grid = resized(table[:, 1:], (side, side), (height // _PATCH, width // _PATCH), cubic=True)
    return torch.cat([table[:, :1], grid], 1)
