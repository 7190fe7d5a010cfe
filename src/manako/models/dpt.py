"""Dense prediction transformer: layers of a plain vision transformer put together to a map, through transformers.

Paper: Ranftl, Bochkovskiy, Koltun 2021, "Vision Transformers for Dense Prediction", arXiv 2103.13413.
Licence: code and weights Apache-2.0 (transformers; Intel/dpt-large, learned from the 1.4 million images of MIX 6).
Expected: delta1 0.917 on NYU and 0.915 on KITTI without having seen them, after scale and shift of inverse depth were
aligned (published); not measured here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from manako.blocks.hub_weights import take_weights
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.position_tables import resized
from manako.blocks.published_depth import PublishedDepth
from manako.errors import MissingExtraError

TASKS = ("depth",)
NEEDS = "transformers"  # the extra `hf`
VARIANTS: dict[str, dict[str, object]] = {"dpt_large": {}}
_HUB = "Intel/dpt-large"
_PATCH = 16
_TABLE = 24  # positions a side of the published table
# The network has them but never uses them; without them, every parameter learns.
_UNUSED = ("neck.fusion_stage.layers.0.residual_layer1.", "dpt.layernorm.")


class Dpt(PublishedDepth):
    """transformers' network is `network`; its state dict, as published in safetensors, is taken as `weights`, too.

    It gives inverse depth up to scale and shift. width, layers, heads: of the transformer. decoder: channels of its
    maps.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        width: int = 1024,
        layers: int = 24,
        heads: int = 16,
        decoder: int = 256,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="dpt")
        check_range(layers, 4, 48, model="dpt", option="layers")
        check_range(decoder, 2, 1024, model="dpt", option="decoder")
        check_range(width % heads if heads > 0 else 1, 0, 0, model="dpt", option="width")
        self.mean = self.std = (0.5,) * channels
        self.network = _network(width, layers, heads, decoder)
        self.learn_inverse(-3.0, -3.0)
        take_weights(self, weights, name=_HUB, unused=_UNUSED)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        if images.shape[1] == 1:
            images = images.repeat(1, 3, 1, 1)
        seen = self.network.dpt(images, output_hidden_states=True).hidden_states[1:]
        chosen = [seen[layer] for layer in self.network.config.backbone_out_indices]
        maps = self.network.neck(chosen, height // _PATCH, width // _PATCH)  # the library itself takes squares only
        return self.depth_of(self.network.head(maps), (height, width))

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.dpt
        yield from parameter_stages(backbone.embeddings, *backbone.encoder.layer)
        yield [*self.network.neck.parameters(), *self.network.head.parameters(), *self.own()]


def _network(width: int, layers: int, heads: int, decoder: int) -> Any:
    """Raises MissingExtraError without transformers."""
    if find_spec(NEEDS) is None:
        raise MissingExtraError("extra.missing", package=NEEDS, extra="hf")
    from transformers import DPTConfig, DPTForDepthEstimation

    config = DPTConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        image_size=_TABLE * _PATCH,
        patch_size=_PATCH,
        backbone_out_indices=[layers * part // 4 - 1 for part in (1, 2, 3, 4)],
        neck_hidden_sizes=[width // 4, width // 2, width, width],
        fusion_hidden_size=decoder,
    )
    network: Any = DPTForDepthEstimation(config)
    network.neck.fusion_stage.layers[0].residual_layer1 = nn.Identity()
    network.head.head[-1] = nn.Softplus(
        beta=10
    )  # a rectifier that gives 0 teaches nothing; this is the same but near 0
    network.dpt.layernorm = nn.Identity()  # of an answer that depth doesn't use
    network.dpt.embeddings._resize_pos_embed = _positions
    return network


def _positions(table: Tensor, height: int, width: int) -> Tensor:
    """(1, 1 + h * w, C): the table's grid of positions at the image's size, as the library resizes it."""
    grid = resized(table[:, 1:], (_TABLE, _TABLE), (height, width), cubic=False)
    return torch.cat([table[:, :1], grid], 1)
