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
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.depth_loss import absolute, gradient, log_errors, mean_of_images, scale_invariant
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import fit_weights, reachable, read_weights, start
from manako.blocks.torchvision_weights import imagenet_pixels
from manako.errors import MissingExtraError

if TYPE_CHECKING:
    from manako.training.targets.depth import DepthTargets

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
_NEAREST, _FARTHEST = 1e-3, 1e3
# The network has them but never uses them; without them, every parameter learns.
_UNUSED = ("backbone.embeddings.mask_token", "neck.fusion_stage.layers.0.residual_layer1.")


class DepthAnything(Model):
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
        check_range(farthest, 0, int(_FARTHEST), model="depth_anything", option="farthest")
        check_range(width % heads if heads > 0 else 1, 0, 0, model="depth_anything", option="width")
        self.mean, self.std = imagenet_pixels(channels)
        self.network = _network(farthest, width, layers, heads, decoder)
        self.farthest = farthest
        if not farthest:
            # A rectifier that gives 0 teaches nothing; this is the same but near 0.
            self.network.head.activation2 = nn.Softplus(beta=10)
            self.inverse = nn.Parameter(torch.tensor([-2.0, -3.0]))  # logarithms of scale and shift of inverse depth
        if weights == "auto":
            self._download(_HUB.format(_KINDS.get(farthest, "")))
        elif weights != "none":
            self._load(weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        height, width = images.shape[2:]
        if images.shape[1] == 1:
            images = images.repeat(1, 3, 1, 1)
        sides = tuple(max(2, round(side / _PATCH)) * _PATCH for side in (height, width))
        patches = functional.interpolate(images, sides, mode="bilinear")
        found = self.network(patches).predicted_depth.float()
        if not self.farthest:
            scale, shift = self.inverse.exp().unbind()
            found = 1 / (scale * found + shift)
        half = functional.interpolate(found[:, None], (height // 2, width // 2), mode="bilinear")[:, 0]
        return {"depth": half.clamp(_NEAREST, _FARTHEST)}

    def loss(self, outputs: dict[str, Tensor], targets: DepthTargets) -> Tensor:  # type: ignore[override]
        error, known = log_errors(outputs["depth"], targets.depth, metric=targets.metric)
        each = scale_invariant(error, known) + absolute(error, known) + gradient(error, known)
        return mean_of_images(each, known)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        backbone = self.network.backbone
        yield from parameter_stages(backbone.embeddings, *backbone.encoder.layer, backbone.layernorm)
        own = [] if self.farthest else [self.inverse]
        yield [*self.network.neck.parameters(), *self.network.head.parameters(), *own]

    def _load(self, weights: str) -> None:
        """Another run's weights, or a published file or folder."""
        path = Path(weights)
        path = path / "model.safetensors" if path.is_dir() else path
        state = read_weights(path)
        if any(name.startswith("network.") for name in state):
            start(self, str(path))
            return
        fit_weights(self.network, _used(state), head=(), source=path)
        self.pretrained = True
        self.notes.append(("weights.file", {"file": path}))

    def _download(self, name: str) -> None:
        """Without a connection the network stays as it was made, and a note says so."""
        from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

        try:
            cached = try_to_load_from_cache(name, "model.safetensors")
            if not isinstance(cached, str):
                if not reachable(constants.ENDPOINT):
                    raise OSError("no connection")
                cached = hf_hub_download(name, "model.safetensors")
        except (OSError, RuntimeError, ValueError) as error:
            self.notes.append(("weights.offline", {"network": name, "reason": str(error).split("\n")[0]}))
            return
        fit_weights(self.network, _used(read_weights(Path(cached))), head=(), source=name)
        self.pretrained = True
        self.notice = f"Started from the weights of {name} (Apache-2.0)."
        self.notes.append(("weights.downloaded", {"network": name, "licence": "Apache-2.0"}))


def _used(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.startswith(_UNUSED)}


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
    """(1, 1 + h * w, C): the table's square grid of positions at the image's size, as the library resizes it, but as
    two products of matrices: an exported bicubic resize of this layout is refused by ONNX Runtime."""
    table: Tensor = embeddings.position_embeddings
    side = math.isqrt(table.shape[1] - 1)
    down, across = (_cubic(side, pixels // _PATCH).to(table) for pixels in (height, width))
    grid = torch.einsum("yr,xc,rcd->yxd", down, across, table[0, 1:].view(side, side, -1))
    return torch.cat([table[:, :1], grid.flatten(0, 1)[None]], 1)


def _cubic(old: int, new: int) -> Tensor:
    """(new, old): resizing by cubic convolution (Keys 1981, a = -0.75), the border repeated."""
    place = (np.arange(new) + 0.5) * old / new - 0.5
    first = np.floor(place).astype(np.int64)
    matrix = np.zeros((new, old))
    for tap in range(-1, 3):
        x = np.abs(place - (first + tap))
        near, far = 1.25 * x**3 - 2.25 * x**2 + 1, -0.75 * (x**3 - 5 * x**2 + 8 * x - 4)
        np.add.at(matrix, (np.arange(new), np.clip(first + tap, 0, old - 1)), np.where(x <= 1, near, far))
    return torch.from_numpy(matrix)
