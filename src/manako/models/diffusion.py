"""Diffusion by flow matching: a network learns which way noise has to move to become images, in a few steps.

Paper: Lipman et al. 2023, "Flow Matching for Generative Modeling", arXiv 2210.02747, along straight ways (Liu et al.
2023, "Flow Straight and Fast", arXiv 2209.03003); times of the logit-normal distribution (Esser et al. 2024, arXiv
2403.03206); guidance without a classifier (Ho and Salimans 2022, arXiv 2207.12598), in the middle of the way alone
(Kynkäänniemi et al. 2024, arXiv 2404.07724).
Licence: this file Apache-2.0; no learned weights.
Expected: images up to 64 pixels that a person recognises, after minutes on a CPU; see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from manako.blocks.flow_unet import GROUP, FlowUnet
from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.blocks.seeds import Seeds, spread_basis
from manako.errors import ConfigError

if TYPE_CHECKING:
    from manako.training.targets.generation import GenerationTargets

TASKS = ("generation",)
VARIANTS = {
    "diffusion": {},
    "diffusion_large": {"width": 96},
}
_UNTOLD = 0.1  # share of the images that are learnt without their class: what guidance leads away from
_GUIDED = (0.15, 0.75)  # part of the way on which guidance leads


class Diffusion(Model):
    """width: channels at half the sides. latent: random numbers that the noise is made from, even. steps: of
    integration from noise to image. guidance: how far the class is stressed, 1: as it was learnt."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        width: int = 48,
        latent: int = 120,
        steps: int = 16,
        guidance: float = 2.0,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 16, model="diffusion")
        check_range(imgsz, 16, 256, model="diffusion", option="imgsz")
        check_range(latent, 2, imgsz * imgsz // 2 - 1, model="diffusion", option="latent")
        check_range(width, 16, 512, model="diffusion", option="width")
        check_range(steps, 1, 1000, model="diffusion", option="steps")
        check_range(guidance, 0, 20, model="diffusion", option="guidance")
        if imgsz % 4 or latent % 2 or width % GROUP:
            raise ConfigError("diffusion.sizes", imgsz=imgsz, latent=latent, width=width)
        self.mean = self.std = (0.5,) * channels
        self.classes, self.steps, self.guidance = classes, steps, guidance
        self.shape = (channels, imgsz, imgsz)
        self.seeds = Seeds(latent=latent, classes=classes)
        self.register_buffer("basis", spread_basis(latent, channels * imgsz * imgsz), persistent=False)
        self.basis: Tensor
        self.effort = steps / 2  # guided steps ask twice, learning is forward and backward
        self.field = FlowUnet(channels=channels, classes=classes, width=width)
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """pixels: (N, H, W, C), 0..1, made from the random numbers that the bytes of `images` say. class_id: (N,).
        error: (N,), of the direction at one time for each image. In training `images` alone, as "real"."""
        if self.training:
            return {"real": images}
        numbers, class_id = self.seeds(images)
        noise = (numbers @ self.basis).unflatten(1, self.shape)
        made = self.integrate(noise, class_id).clamp(-1, 1)
        error = self.error(images, noise, numbers[:, 0].sigmoid(), torch.full_like(class_id, self.classes))
        return {"pixels": (made * 0.5 + 0.5).permute(0, 2, 3, 1), "class_id": class_id, "error": error}

    def integrate(self, noise: Tensor, class_id: Tensor) -> Tensor:
        """From (N, C, H, W) noise along the field to images, -1..1: the method of Adams and Bashforth of second order,
        which asks the network once a step."""
        place, before = noise, noise
        for step in range(self.steps):
            velocity = self.velocity(place, step / self.steps, class_id)
            ahead = velocity if step == 0 else 1.5 * velocity - 0.5 * before
            place, before = place + ahead / self.steps, velocity
        return place

    def velocity(self, images: Tensor, time: float, class_id: Tensor) -> Tensor:
        """(N, C, H, W): where `images` at `time`, 0 (noise) to 1, have to move."""
        times = torch.full_like(images[:, 0, 0, 0], time)
        led: Tensor = self.field(images, times, class_id)
        if self.guidance == 1 or not _GUIDED[0] <= time <= _GUIDED[1]:
            return led
        free: Tensor = self.field(images, times, torch.full_like(class_id, self.classes))
        return free + self.guidance * (led - free)

    def error(self, real: Tensor, noise: Tensor, time: Tensor, class_id: Tensor) -> Tensor:
        """(N,): mean squared error of the direction from noise to image, seen at `time` on the straight way."""
        share = time[:, None, None, None]
        found = self.field((1 - share) * noise + share * real, time, class_id)
        error: Tensor = (found - (real - noise)).square().mean((1, 2, 3))
        return error

    def loss(self, outputs: dict[str, Tensor], targets: GenerationTargets) -> Tensor:  # type: ignore[override]
        """In training at random times, now and then without the class."""
        if "error" in outputs:
            return outputs["error"].mean()
        real = outputs["real"]
        time = torch.randn(len(real), device=real.device).sigmoid()
        untold = torch.rand(len(real), device=real.device) < _UNTOLD
        class_id = torch.where(untold, self.classes, targets.class_id)
        return self.error(real, torch.randn_like(real), time, class_id).mean()

    def stages(self) -> Iterator[list[nn.Parameter]]:
        field = self.field
        yield from parameter_stages(
            nn.ModuleList([field.time, field.kind, field.first]),
            nn.ModuleList([field.down, field.shrink]),
            nn.ModuleList([field.middle, field.attention]),
            nn.ModuleList([field.grow, field.up]),
            nn.ModuleList([field.norm, field.last]),
        )
