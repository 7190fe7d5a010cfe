"""Diffusion: the way from noise to images against a field that is known exactly, guidance, noise from few numbers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from scipy.stats import kstest
from torch import Tensor, nn

from manako.blocks.seeds import spread_basis
from manako.models.diffusion import Diffusion
from manako.models.gan import Gan

MEAN, SPREAD = 0.3, 0.4  # of the images of the toy, each pixel by itself


class Gaussian(nn.Module):
    """The exact field between standard noise and independent normal pixels: E[image - noise | place]."""

    def forward(self, images: Tensor, time: Tensor, class_id: Tensor) -> Tensor:
        t = time[:, None, None, None]
        variance = t**2 * SPREAD**2 + (1 - t) ** 2
        return MEAN + (t * SPREAD**2 - (1 - t)) / variance * (images - t * MEAN)


def toy(**options: float) -> Diffusion:
    model = Diffusion(classes=3, channels=1, imgsz=16, width=16, **options)  # type: ignore[arg-type]
    model.field = Gaussian()  # type: ignore[assignment]
    return model


def test_steps_lead_where_the_exact_field_leads() -> None:
    """The solution is known: noise z becomes MEAN + SPREAD z. Twice the steps, a quarter of the error."""
    noise, kind = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.zeros(4).long()
    errors = [
        float((toy(steps=steps).integrate(noise, kind) - (MEAN + SPREAD * noise)).abs().mean())
        for steps in (16, 32, 64)
    ]
    assert errors[0] < 0.02
    assert errors[0] / errors[1] > 3 and errors[1] / errors[2] > 3


def test_the_exact_field_has_the_lowest_loss() -> None:
    """What is left is Var(image - noise | place), the mean over t of s^2 / (t^2 s^2 + (1 - t)^2)."""
    torch.manual_seed(0)
    model, time = toy(), torch.rand(4000)
    real, noise = MEAN + SPREAD * torch.randn(4000, 1, 16, 16), torch.randn(4000, 1, 16, 16)
    kinds = torch.zeros(4000).long()
    left = (SPREAD**2 / (time**2 * SPREAD**2 + (1 - time) ** 2)).mean()
    assert float(model.error(real, noise, time, kinds).mean()) == pytest.approx(float(left), rel=0.02)


def test_guidance_of_one_and_of_nothing_are_the_class_and_no_class() -> None:
    torch.manual_seed(0)
    model = Diffusion(classes=3, channels=1, imgsz=16, width=16).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    images, kind = torch.randn(2, 1, 16, 16), torch.tensor([0, 2])
    with torch.no_grad():
        led = model.field(images, torch.full((2,), 0.5), kind)
        free = model.field(images, torch.full((2,), 0.5), torch.full((2,), 3))
        assert not torch.allclose(led, free, atol=1e-3)
        for guidance, expected in ((1.0, led), (0.0, free), (3.0, free + 3 * (led - free))):
            model.guidance = guidance
            torch.testing.assert_close(model.velocity(images, 0.5, kind), expected)
        torch.testing.assert_close(
            model.velocity(images, 0.0, kind), model.field(images, torch.zeros(2), kind)
        )  # at the ends nothing leads


def test_noise_from_few_numbers_is_noise_and_follows_them() -> None:
    basis = spread_basis(64, 300)
    torch.testing.assert_close(basis.square().sum(0), torch.ones(300))
    numbers = torch.randn(200, 64, generator=torch.Generator().manual_seed(2))
    noise = numbers @ basis
    assert kstest(noise[:, 7].numpy(), "norm").pvalue > 0.001
    assert float(noise.var()) == pytest.approx(1.0, abs=0.05)


def test_the_losses_of_both_players_are_the_loss() -> None:
    torch.manual_seed(0)
    model = Gan(classes=2, channels=1, imgsz=16, width=8, latent=8, likeness=0.0).train()
    loss = model.loss(model(torch.randn(4, 1, 16, 16)), SimpleNamespace(class_id=torch.tensor([0, 1, 0, 1])))  # type: ignore[arg-type]
    assert float(loss.detach()) == pytest.approx(float(sum(model.parts.values())), rel=1e-5)
