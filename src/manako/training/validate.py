"""A look at the validation images: the loss, and the task's metrics through the same decoding as the runtime's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import functional_call

from manako.blocks.model import Model
from manako.runtime.ahead import of_one_size
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
            truths = truths_of(self.cache, part.tolist())
            frames = [self.cache.frames[i] for i in part]
            targets = self.collate(truths, frames).to(device)
            total += float(self.model.loss(outputs, targets)) * targets.mass
            mass += targets.mass
            if not math.isfinite(total):
                return Look(math.nan, math.nan, {})
            arrays = {key: as_array(outputs[key]) for key in keys}
            predictions = self.task.decode(arrays, frames, self.settings)
            shown += [found for place, found in zip(part.tolist(), predictions, strict=True) if place in chosen]
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
) -> Iterator[tuple[NDArray[np.int64], dict[str, Tensor]]]:
    """The outputs for all images in evaluation mode, a few at a time and which: float32 tensors on the device. Lines of
    one width together, as the runtime sees them."""
    modes = {module: module.training for module in model.modules()}
    height, width = cache.images.shape[1:3]
    batch = batch or min(256, max(8, PIXELS // (height * width)))
    model.eval()
    try:
        for part in _parts(cache, batch):
            pixels = cache.take(part).to(hardware.device)
            images = model.normalise(pixels).contiguous(memory_format=hardware.layout)
            with hardware.autocast():
                outputs = functional_call(model, dict(weights), (images,)) if weights else model(images)
            yield part, as_float(outputs)
    finally:
        for module, training in modes.items():
            module.training = training


def _parts(cache: ImageCache, batch: int) -> Iterator[NDArray[np.int64]]:
    widths = [0] * len(cache) if cache.widths is None else cache.widths.tolist()
    for places in of_one_size([(width,) for width in widths], batch):
        yield np.array(places, np.int64)
