"""Autoencoder: what it has not learnt to rebuild is not normal. Plain or variational, by squared error or by SSIM.

Paper: Bergmann et al. 2019, "Improving Unsupervised Defect Segmentation by Applying Structural Similarity to
Autoencoders", arXiv 1807.02011; Kingma, Welling 2014, "Auto-Encoding Variational Bayes", arXiv 1312.6114.
Licence: this file Apache-2.0; no learned weights.
Expected: pixel AUROC .87 with SSIM, .82 with squared error on MVTec AD (that paper's successor); weaker than
patchcore wherever a pretrained network helps. For images that are all alike and that no pretrained network knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from manako.blocks.layers import check_imgsz, check_range, check_variant, parameter_stages
from manako.blocks.mirror_image import Blur, Unlikeness, growing, mean_of_normal, shrinking
from manako.blocks.model import Model
from manako.blocks.pretrained import start

if TYPE_CHECKING:
    from manako.training.targets.anomaly import AnomalyTargets

TASKS = ("anomaly",)
VARIANTS = {
    "autoencoder": {},
    "autoencoder_l2": {"error": "l2"},
    "autoencoder_variational": {"variational": True},
}
_WIDTHS = (32, 64, 128, 128)


class Autoencoder(Model):
    """error: "ssim" or "l2", of the map and of the loss. latent: channels of the smallest map, a sixteenth of the
    image a side; the fewer, the less can be rebuilt. variational: the map is drawn from a distribution that is kept
    near the standard normal one, `beta` strong. smooth: spread of the blur of the map, in parts of the longer side."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        error: str = "ssim",
        latent: int = 8,
        variational: bool = False,
        beta: float = 0.001,
        smooth: float = 0.02,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="autoencoder")
        check_variant(error, {"ssim": 0, "l2": 0}, option="error")
        check_range(latent, 1, 4096, model="autoencoder", option="latent")
        self.mean = self.std = (0.5,) * channels
        self.variational, self.beta = variational, beta
        self.encoder = shrinking(channels, _WIDTHS)
        self.middle = nn.Conv2d(_WIDTHS[-1], latent * (2 if variational else 1), 1)
        self.decoder = growing(latent, _WIDTHS[::-1], channels)
        self.unlikeness = Unlikeness() if error == "ssim" else None
        self.blur = Blur(smooth * imgsz)
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """map: (N, H, W), blurred. error: (N,) mean over the image. divergence: (N,), of the variational form."""
        code, divergence = self._code(images)
        rebuilt = self.decoder(code)
        error = self.unlikeness(rebuilt, images) if self.unlikeness else (rebuilt - images).square().mean(1)
        found = {"error": error.mean((1, 2)), "divergence": divergence}
        return found if self.training else found | {"map": self.blur(error[:, None])[:, 0]}

    def _code(self, images: Tensor) -> tuple[Tensor, Tensor]:
        code = self.middle(self.encoder(images))
        if not self.variational:
            return code, images.new_zeros(images.shape[0])
        mean, log_variance = code.chunk(2, 1)
        log_variance = log_variance.clamp(-10, 10)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean((1, 2, 3))
        if self.training:
            mean = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return mean, divergence

    def loss(self, outputs: dict[str, Tensor], targets: AnomalyTargets) -> Tensor:  # type: ignore[override]
        return mean_of_normal(outputs["error"] + self.beta * outputs["divergence"], targets.defect)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(self.encoder, self.middle, self.decoder)
