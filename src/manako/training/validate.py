"""A look at the validation images: the loss, and the task's metrics through the same decoding as the runtime's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from manako.blocks.model import Model
from manako.tasks import Task
from manako.training.cache import ImageCache
from manako.training.engine import as_array
from manako.training.feed import Collate, truths_of
from manako.training.hardware import Hardware
from manako.training.step import as_float

PIXELS = 256 * 96 * 96  # looked at in one go


@dataclass(frozen=True)
class Look:
    """What one look showed. score: the task's main metric; NaN where these images can't tell it. shown: predictions
    of always the same images, where the task wants a sheet of them."""

    loss: float
    score: float
    metrics: Mapping[str, float]
    shown: Sequence[Any] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Scores a model on one split. settings: the numbers that decoding uses."""

    model: Model
    task: Task[Any]
    cache: ImageCache
    classes: Sequence[str]
    collate: Collate
    settings: Mapping[str, float]
    hardware: Hardware

    def look(self, weights: Mapping[str, Tensor] | None = None) -> Look:
        """Score the model, or these `weights` in its place. Leaves the model as it was, its mode included.

        All is NaN where the loss is not finite.
        """
        total, mass = 0.0, 0.0
        measures: list[Any] = []
        shown: list[Any] = []
        chosen = set(np.linspace(0, len(self.cache) - 1, self.task.on_sheet).astype(int).tolist())
        keys = [output.key for output in self.task.outputs]
        device = torch.device(self.hardware.device)
        for part, outputs in model_outputs(self.model, self.cache, hardware=self.hardware, weights=weights):
            truths = truths_of(self.cache, range(part.start, part.stop))
            frames = self.cache.frames[part]
            targets = self.collate(truths, frames).to(device)
            total += float(self.model.loss(outputs, targets)) * targets.mass
            mass += targets.mass
            if not math.isfinite(total):
                return Look(math.nan, math.nan, {})
            arrays = {key: as_array(outputs[key]) for key in keys}
            predictions = self.task.decode(arrays, frames, self.settings)
            shown += [found for place, found in enumerate(predictions, part.start) if place in chosen]
            measures += [self.task.measure(p, t, self.classes) for p, t in zip(predictions, truths, strict=True)]
        evaluation = self.task.summarise(measures, self.classes, intervals=False)
        return Look(total / mass, evaluation.main.value, evaluation.metrics, shown)


@torch.no_grad()
def model_outputs(
    model: Model,
    cache: ImageCache,
    *,
    hardware: Hardware,
    weights: Mapping[str, Tensor] | None = None,
    batch: int | None = None,
) -> Iterator[tuple[slice, dict[str, Tensor]]]:
    """The outputs for all images in evaluation mode, a slice at a time: float32 tensors on the device."""
    modes = {module: module.training for module in model.modules()}
    height, width = cache.images.shape[1:3]
    batch = batch or min(256, max(8, PIXELS // (height * width)))
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
