"""Runs a model with PyTorch, from the same pixels as an exported file takes."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from manako.blocks.model import Model
from manako.runtime.card import ModelCard
from manako.tasks import get_task
from manako.training.suppressed import Suppressed

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class WithPixels(nn.Module):
    """The model as its users see it: uint8 images (N, H, W, C) in, the task's outputs out, in the task's order."""

    def __init__(self, model: Model | Suppressed, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.keys = keys

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        outputs = self.model(self.model.normalise(images.permute(0, 3, 1, 2)))
        return tuple(outputs[key] for key in self.keys)


class TorchEngine:
    """An `Engine`. The model is moved to `device` and is left in evaluation mode. precision: fp32, bf16 or fp16."""

    free_size = True  # images need not be of the card's size where the network itself takes any

    def __init__(
        self, model: Model | Suppressed, card: ModelCard, *, device: str = "cpu", precision: str = "fp32"
    ) -> None:
        self._card = card
        self._keys = tuple(output.key for output in get_task(card.task).outputs)
        self._device = torch.device(device)
        self._type = _TYPES.get(precision)
        self._network = WithPixels(model, self._keys).to(self._device).eval()

    @property
    def card(self) -> ModelCard:
        return self._card

    @torch.inference_mode()
    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).to(self._device)
        with torch.autocast(self._device.type, self._type) if self._type else nullcontext():
            outputs = self._network(pixels)
        return {key: as_array(value) for key, value in zip(self._keys, outputs, strict=True)}


def as_array(value: Tensor) -> NDArray[Any]:
    """Half precision becomes float32, which NumPy has; whole numbers stay what they are."""
    array: NDArray[Any] = (value.float() if value.is_floating_point() else value).cpu().numpy()
    return array
