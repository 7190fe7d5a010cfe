"""A look at the validation images: the loss, and the task's metrics through the same decoding as the runtime's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from manako.blocks.model import Model
from manako.tasks import Task
from manako.training.cache import ImageCache
from manako.training.feed import Collate
from manako.training.hardware import Hardware
from manako.training.step import as_float
from manako.types import Prediction


@dataclass(frozen=True)
class Look:
    """What one look showed. score: the task's main metric."""

    loss: float
    score: float
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Scores a model on one split. settings: the numbers that decoding uses."""

    model: Model
    task: Task
    cache: ImageCache
    truths: Sequence[Prediction]
    classes: Sequence[str]
    collate: Collate
    settings: Mapping[str, float]
    hardware: Hardware

    def look(self, weights: Mapping[str, Tensor] | None = None) -> Look:
        """Score the model, or these `weights` in its place. Leaves the model as it was, its mode included.

        All is NaN where the loss is not finite.
        """
        total, mass = 0.0, 0.0
        predictions: list[Prediction] = []
        device = torch.device(self.hardware.device)
        for part, outputs in model_outputs(self.model, self.cache, hardware=self.hardware, weights=weights):
            targets = self.collate(self.truths[part]).to(device)
            total += float(self.model.loss(outputs, targets)) * targets.mass
            mass += targets.mass
            if not math.isfinite(total):
                return Look(math.nan, math.nan, {})
            arrays: dict[str, NDArray[np.float32]] = {key: value.cpu().numpy() for key, value in outputs.items()}
            predictions += self.task.decode(arrays, self.cache.frames[part], self.settings)
        evaluation = self.task.evaluate(predictions, self.truths, self.classes, intervals=False)
        return Look(total / mass, evaluation.main.value, evaluation.metrics)


@torch.no_grad()
def model_outputs(
    model: Model,
    cache: ImageCache,
    *,
    hardware: Hardware,
    weights: Mapping[str, Tensor] | None = None,
    batch: int = 256,
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """The outputs for all images in evaluation mode, a slice at a time: float32 tensors on the device."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        for start in range(0, len(cache), batch):
            part = slice(start, min(start + batch, len(cache)))
            pixels = cache.take(part).to(hardware.device)
            images = model.normalise(pixels).contiguous(memory_format=hardware.layout)
            with hardware.autocast():
                outputs = functional_call(model, dict(weights), (images,)) if weights else model(images)
            yield part, as_float(outputs)
    finally:
        for module, training in modes.items():
            module.training = training
