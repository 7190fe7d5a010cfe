"""AnoGAN: a generator that learnt normal images alone can't make a defect. With an encoder (f-AnoGAN), or by search.

Paper: Schlegl et al. 2017, "Unsupervised Anomaly Detection with Generative Adversarial Networks", arXiv 1703.05921;
Schlegl et al. 2019, "f-AnoGAN", Medical Image Analysis 54. Unlike there, generator, critic and encoder learn side by
side (hinge loss, R1 penalty in place of WGAN-GP), and codes are maps, so that images may have any sides.
Licence: this file Apache-2.0; no learned weights.
Expected: pixel AUROC .74 on MVTec AD (AnoGAN, the data set's paper). Weaker than autoencoder and patchcore, slow to
train; here because it is the root of its family.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from manako.blocks.layers import check_imgsz, check_range, parameter_stages
from manako.blocks.mirror_image import Blur, growing, mean_of_normal, shrinking
from manako.blocks.model import Model
from manako.blocks.pretrained import start
from manako.console import progress

if TYPE_CHECKING:
    from manako.training.targets.anomaly import AnomalyTargets

TASKS = ("anomaly",)
VARIANTS = {
    "anogan": {},
    "anogan_search": {"search": 100},
}
Body = Callable[[Tensor], Tensor]
_WIDTHS = (32, 64, 128, 128)
_R1 = 1.0
_REBUILD = 10.0


class Anogan(Model):
    """latent: channels of a code, a map of a sixteenth of the image a side. critic_weight: what the critic's own
    view of the difference counts in the map. smooth: spread of the blur of the map, in parts of the longer side.

    search: steps of gradient descent on the code of each image, from the encoder's on; 0 takes the encoder's as it is,
    and only that can be exported.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        latent: int = 8,
        critic_weight: float = 1.0,
        search: int = 0,
        smooth: float = 0.02,
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="anogan")
        check_range(latent, 1, 4096, model="anogan", option="latent")
        check_range(search, 0, 100_000, model="anogan", option="search")
        self.mean = self.std = (0.5,) * channels
        self.latent, self.critic_weight, self.search = latent, critic_weight, search
        self.not_exportable = "anogan.not_exportable" if search else ""
        self.encoder = nn.Sequential(shrinking(channels, _WIDTHS), nn.Conv2d(_WIDTHS[-1], latent, 1))
        self.generator = growing(latent, _WIDTHS[::-1], channels)
        self.body = shrinking(channels, _WIDTHS[:3], norm=False)
        self.critic = nn.Conv2d(_WIDTHS[2], 1, 3, padding=1)
        self.blur = Blur(smooth * imgsz)
        start(self, weights)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """map: (N, H, W), blurred. error: (N,), of the pixels: the critic's view changes while it learns. In training
        the losses of the players instead of the map."""
        if self.training:
            return self._play(images)
        code = self.encoder(images)
        if self.search:
            code = self._searched(images, code)
        rebuilt = self.generator(code)
        error = self._error(images, rebuilt, self.body)
        return {"error": (images - rebuilt).square().mean((1, 2, 3)), "map": self.blur(error[:, None])[:, 0]}

    def _play(self, images: Tensor) -> dict[str, Tensor]:
        """One turn of all players. Each sees the others' weights as they are (detached), so that one sum of losses
        trains all three."""
        height, width = images.shape[-2] // 16, images.shape[-1] // 16
        fake = self.generator(torch.randn(images.shape[0], self.latent, height, width, device=images.device))
        with torch.enable_grad():
            real = images.detach().requires_grad_(True)
            on_real, on_fake = self._judge(real), self._judge(fake.detach())
            (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        penalty = slope.square().sum((1, 2, 3)) / slope[0].numel() * on_real[0].numel()
        critic = functional.relu(1 - on_real).mean((1, 2, 3)) + functional.relu(1 + on_fake).mean((1, 2, 3))
        body, judge = _still(self.body), _still(self.critic)
        fooled = -functional_call(self.critic, judge, (functional_call(self.body, body, (fake,)),)).mean((1, 2, 3))
        rebuilt = functional_call(self.generator, _still(self.generator), (self.encoder(images),))
        error = self._error(images, rebuilt, lambda x: functional_call(self.body, body, (x,))).mean((1, 2))
        return {"error": error, "critic": critic + _R1 / 2 * penalty, "fooled": fooled}

    def _judge(self, images: Tensor) -> Tensor:
        verdict: Tensor = self.critic(self.body(images))
        return verdict

    def _error(self, images: Tensor, rebuilt: Tensor, body: Body) -> Tensor:
        """(N, H, W): squared difference of the pixels, and of what the critic sees."""
        pixels = (images - rebuilt).square().mean(1)
        seen = (body(images) - body(rebuilt)).square().mean(1, keepdim=True)
        return pixels + self.critic_weight * functional.interpolate(seen, size=images.shape[-2:], mode="bilinear")[:, 0]

    def _searched(self, images: Tensor, code: Tensor) -> Tensor:
        """The code whose image is nearest: `search` steps of Adam."""
        with torch.inference_mode(False), torch.enable_grad():
            target, found = images.detach().clone(), code.detach().clone().requires_grad_(True)
            optimiser = torch.optim.Adam([found], lr=0.05)
            for _ in progress(range(self.search), "anogan.bar", self.search):
                error = self._error(target, self.generator(found), self.body).mean((1, 2)).sum()
                (found.grad,) = torch.autograd.grad(error, found)
                optimiser.step()
        return found.detach()

    def loss(self, outputs: dict[str, Tensor], targets: AnomalyTargets) -> Tensor:  # type: ignore[override]
        """In training the sum of the players' losses; else what the encoder and the generator leave unexplained."""
        total = outputs["error"]
        if "critic" in outputs:
            total = _REBUILD * total + outputs["critic"] + outputs["fooled"]
        return mean_of_normal(total, targets.defect)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(self.encoder, self.body, self.critic, self.generator)


def _still(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}
