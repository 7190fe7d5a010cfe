"""The players of AnoGAN's game: each learns its own part from its own loss, and the others stand still meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from manako.blocks.mirror_image import mean_of_normal
from manako.errors import ModelFileError
from manako.images import Preprocess
from manako.models import create_model
from manako.models.anogan import Anogan
from manako.runtime.card import ModelCard
from manako.samples.defects import _brushed
from manako.training.export import export_onnx


def player() -> Anogan:
    torch.manual_seed(0)
    model = create_model("anogan", task="anomaly", classes=2, channels=1, imgsz=32)
    assert isinstance(model, Anogan)
    return model.train()


def surfaces(model: Anogan, count: int) -> torch.Tensor:
    random = np.random.default_rng(5)
    grey = np.stack([_brushed(random)[:32, :32, 0] for _ in range(count)])
    return model.normalise(torch.from_numpy(grey)[:, None].float().clamp(0, 255))


def parts(model: Anogan) -> dict[str, list[nn.Parameter]]:
    critic = [*model.body.parameters(), *model.critic.parameters()]
    return {"error": list(model.encoder.parameters()), "critic": critic, "fooled": list(model.generator.parameters())}


def test_each_loss_moves_its_own_player_alone() -> None:
    model = player()
    outputs, own = model(surfaces(model, 4)), parts(model)
    everything = [parameter for player in own.values() for parameter in player]
    assert sorted(map(id, everything)) == sorted(map(id, model.parameters()))
    for name, players in own.items():
        slopes = torch.autograd.grad(outputs[name].sum(), everything, allow_unused=True, retain_graph=True)
        moved = {id(p) for p, slope in zip(everything, slopes, strict=True) if slope is not None}
        assert moved == {id(p) for p in players}, name


def played(model: Anogan, name: str, steps: int) -> tuple[float, float]:
    """The loss of one player before and after it alone has learnt."""
    images, learning = surfaces(model, 8), parts(model)[name]
    optimiser, losses = torch.optim.Adam(learning, lr=1e-3), []
    for step in range(steps):
        torch.manual_seed(step % 5)  # few codes, so that the generator can be judged by them
        loss = mean_of_normal(model(images)[name], torch.zeros(8))
        optimiser.zero_grad()
        loss.backward(inputs=learning)
        optimiser.step()
        losses.append(loss.item())
    return float(np.mean(losses[:5])), float(np.mean(losses[-5:]))


def test_the_critic_learns_to_tell_generated_images_from_real_ones() -> None:
    """From 2, where it knows nothing, to below one half: both hinges nearly closed, the penalty included."""
    before, after = played(player(), "critic", 40)
    assert before > 1 and after < 0.5


def test_the_generator_learns_to_fool_a_critic_that_stands_still() -> None:
    model = player()
    played(model, "critic", 20)
    before, after = played(model, "fooled", 40)
    assert before > 0 > after  # the critic's verdict on generated images changes its sign


def test_the_encoder_learns_to_find_the_codes_of_images() -> None:
    """Of images that the generator can make: what is left unexplained falls to less than half."""
    model = player()
    with torch.no_grad():
        images = model.generator(torch.randn(8, model.latent, 2, 2))
    optimiser, errors = torch.optim.Adam(model.encoder.parameters(), lr=3e-3), []
    for _ in range(80):
        error = (model.generator(model.encoder(images)) - images).square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < errors[0] / 2


def test_a_search_says_why_it_stays_with_pytorch(tmp_path: Path) -> None:
    model = create_model("anogan_search", task="anomaly", classes=2, channels=1, imgsz=32, options={"search": 2})
    plan = Preprocess(32, 32, channels=1)
    card = ModelCard("anomaly", "anogan_search", ("normal", "defect"), plan, model.mean, model.std)
    with pytest.raises(ModelFileError) as caught:
        export_onnx(model, card, tmp_path / "model.onnx", samples=(), classes=())
    assert caught.value.code == "export.impossible" and "Train anogan" in str(caught.value)
    assert not list(tmp_path.iterdir())
