"""GAN: two players; one makes images, the other tells them from real ones. Each learns from the other.

Paper: Goodfellow et al. 2014, "Generative Adversarial Nets", arXiv 1406.2661; sizes after Radford et al. 2015 (DCGAN),
arXiv 1511.06434; loss and penalties of Huang et al. 2024, "The GAN is dead; long live the GAN!" (R3GAN), arXiv
2501.05441: the score of a real image against that of a made one, and zero-centred penalties on both (R1, R2). Both
players see the images shifted (differentiable augmentation, Zhao et al. 2020, arXiv 2006.10738).
Licence: this file Apache-2.0; no learned weights.
Expected: images up to 64 pixels that a person recognises, after minutes on a CPU; see docs/results.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.mirror_image import growing, shrinking
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.blocks.seeds import Seeds
from manako.errors import ConfigError

if TYPE_CHECKING:
    from manako.training.targets.generation import GenerationTargets

TASKS = ("generation",)
VARIANTS = {
    "gan": {},
    "gan_large": {"width": 64, "latent": 128},
}
_SMALLEST_MAP = 7  # the generator starts from a map of at most this side
_SMALLEST_SEEN = 4  # the judge ends with a map of at most this side


class Gan(Model):
    """latent: random numbers that an image is made from, even. width: channels at full size; they double where the
    sides halve. penalty: weight of R1 and R2. shift: how far the players see images shifted, in parts of the side.
    likeness: weight of the energy distance of the made images from the real ones of a batch, which gets light and
    colours right before the game has found its form."""

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        latent: int = 64,
        width: int = 32,
        penalty: float = 1.0,
        shift: float = 0.1,
        likeness: float = 3.0,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 16, model="gan")
        check_range(imgsz, 16, 256, model="gan", option="imgsz")
        check_range(latent, 2, imgsz * imgsz // 4, model="gan", option="latent")
        check_range(width, 8, 512, model="gan", option="width")
        if imgsz % 4 or latent % 2 or width % 8:
            raise ConfigError("gan.sizes", imgsz=imgsz, latent=latent, width=width)
        self.mean = self.std = (0.5,) * channels
        self.latent, self.penalty, self.shift, self.likeness = latent, penalty, shift, likeness
        self.side = imgsz
        while self.side > _SMALLEST_MAP and self.side % 2 == 0:
            self.side //= 2
        grown = (imgsz // self.side).bit_length() - 1
        shrunk = next(n for n in range(9) if imgsz >> n <= _SMALLEST_SEEN)
        widths = [min(width * 2**step, 8 * width) for step in range(max(grown, shrunk) + 1)]
        self.seeds = Seeds(latent=latent, classes=classes)
        self.kind = nn.Embedding(classes, latent)
        self.first = nn.Linear(2 * latent, widths[grown] * self.side**2)
        self.generator = growing(widths[grown], widths[:grown][::-1], channels)
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            shrinking(width, widths[1 : shrunk + 1], norm=False),
        )
        seen = widths[shrunk] * (imgsz >> shrunk) ** 2
        self.judge = nn.Linear(seen, 1, bias=False)
        self.judge_kind = nn.Embedding(classes, seen)
        nn.init.zeros_(self.judge_kind.weight)
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """pixels: (N, H, W, C), 0..1, made from the random numbers that the bytes of `images` say. class_id: (N,).
        real: `images`, of which alone the loss is made in training."""
        if self.training:
            return {"real": images}
        numbers, class_id = self.seeds(images)
        made = self.make(numbers, class_id)
        return {"pixels": (made * 0.5 + 0.5).permute(0, 2, 3, 1), "class_id": class_id, "real": images}

    def make(self, numbers: Tensor, class_id: Tensor) -> Tensor:
        """(N, latent) numbers, (N,) classes -> (N, C, H, W), -1..1."""
        small = self.first(torch.cat([numbers, self.kind(class_id)], 1)).unflatten(1, (-1, self.side, self.side))
        made: Tensor = self.generator(functional.leaky_relu(small, 0.2)).tanh()
        return made

    def score(self, images: Tensor, class_id: Tensor) -> Tensor:
        """(N,): how real an image of its class looks; only differences mean something."""
        seen = self.body(images).flatten(1)
        verdict: Tensor = self.judge(seen)[:, 0] + (self.judge_kind(class_id) * seen).sum(1)
        return verdict

    def loss(self, outputs: dict[str, Tensor], targets: GenerationTargets) -> Tensor:  # type: ignore[override]
        """In training the sum of both players' losses, each with the other's weights held still; else how far the
        made images lie from the real ones as sets."""
        real, class_id = outputs["real"], targets.class_id
        if "pixels" in outputs:
            return energy_distance(outputs["pixels"].permute(0, 3, 1, 2) * 2 - 1, real)
        made = self.make(torch.randn(len(real), self.latent, device=real.device), class_id)
        seen, shown = self._shifted(torch.cat([real, made])).chunk(2)
        with torch.enable_grad():
            inputs = torch.cat([seen, shown]).detach().requires_grad_(True)
            scores = self.score(inputs, class_id.repeat(2))
            (slope,) = torch.autograd.grad(scores.sum(), inputs, create_graph=True)
        on_real, on_made = scores.chunk(2)
        penalty = self.penalty * slope.square().sum((1, 2, 3)).mean()  # the mean over both is half of R1 + R2
        judged = functional.softplus(on_made - on_real).mean() + penalty
        still = {name: value.detach() for name, value in self.named_parameters()}
        fooled = functional_call(_Score(self), {f"model.{name}": v for name, v in still.items()}, (shown, class_id))
        pleased = functional.softplus(on_real.detach() - fooled).mean()
        self.parts = {"discriminator": judged.detach(), "generator": pleased.detach()}
        return judged + pleased + (self.likeness * energy_distance(made, real) if self.likeness else 0.0)

    def _shifted(self, images: Tensor) -> Tensor:
        """Each image moved by its own whole number of pixels, its edge repeated."""
        reach = round(self.shift * images.shape[-1])
        if not reach:
            return images
        count, _, height, width = images.shape
        moves = torch.randint(-reach, reach + 1, (2, count, 1), device=images.device)
        rows, columns = (
            (torch.arange(side, device=images.device) + move).clamp(0, side - 1)
            for side, move in zip((height, width), moves, strict=True)
        )
        each = torch.arange(count, device=images.device)[:, None, None]
        return images.permute(0, 2, 3, 1)[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(self.kind, self.first, self.generator, self.body, self.judge, self.judge_kind)


class _Score(nn.Module):
    """`Gan.score` as a module, so that it can be called with weights held still."""

    def __init__(self, model: Gan) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, class_id: Tensor) -> Tensor:
        return self.model.score(images, class_id)


def energy_distance(first: Tensor, second: Tensor) -> Tensor:
    """How far two sets of images lie apart, by the distances of their pixels (Szekely and Rizzo 2013); 0 for one set.

    first, second: (N, C, H, W). Per root of the number of pixels.
    """
    one, other = first.flatten(1), second.flatten(1)
    between = 2 * torch.cdist(one, other).mean() - torch.cdist(one, one).mean() - torch.cdist(other, other).mean()
    distance: Tensor = between / one.shape[1] ** 0.5
    return distance
