"""The weights of torchvision's networks, through its own loader."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torchvision
from torch import nn

from manako.blocks.model import Model
from manako.blocks.pretrained import fit_weights, reachable

SILENCE = 20.0  # seconds
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def imagenet_pixels(channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and spread of ImageNet's pixels, scaled to 0..1; averaged over the colours where there is one channel."""
    if channels == 3:
        return MEAN, STD
    return (sum(MEAN) / 3,) * channels, (sum(STD) / 3,) * channels


def load_imagenet(model: Model, name: str, *, head: tuple[str, ...], learned_from: str = "ImageNet") -> None:
    """Load the library's best weights of `name` into `model.network`.

    Without a connection the network stays as it was made, and a note says so. head: see `fit_weights`. learned_from:
    the data set behind them.
    """
    weights = torchvision.models.get_model_weights(name).DEFAULT
    try:
        cached = Path(torch.hub.get_dir(), "checkpoints", Path(weights.url).name)
        if not (cached.is_file() or reachable(weights.url)):
            raise OSError("no connection")
        with _impatient():
            state = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        model.notes.append(("weights.offline", {"network": name, "reason": str(error).split("\n")[0]}))
        return
    network = model.network
    assert isinstance(network, nn.Module)
    notes = fit_weights(network, state, head=head, source=weights.url)
    model.pretrained = True
    model.notice = f"Started from the {learned_from} weights of {name} (torchvision, BSD-3-Clause)."
    model.notes += [("weights.downloaded", {"network": name, "licence": "BSD-3-Clause"}), *notes]


@contextmanager
def _impatient() -> Iterator[None]:
    """The loader sets no limit to how long a server may be silent."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
