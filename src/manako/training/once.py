"""Learning by going through the images once: models that are computed, not trained by steps."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.console import Bar, bar
from manako.errors import ConfigError, DivergedError
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.tasks import Task
from manako.training.cache import ImageCache
from manako.training.checkpoint import Checkpoint, save_checkpoint
from manako.training.feed import TrainingData, plain_collate
from manako.training.hardware import Hardware
from manako.training.history import write_history
from manako.training.loop import FitResult
from manako.training.run_state import Best, RunState
from manako.training.suspects import suspects
from manako.training.validate import Judge
from manako.types import Problem

PIXELS = 2**21  # of the images that the network sees at once


def fit_once(
    model: Model,
    *,
    task: Task[Any],
    data: TrainingData,
    config: RunConfig,
    run: RunFolder,
    card: ModelCard,
    hardware: Hardware,
    spent: float = 0.0,
) -> tuple[FitResult, tuple[Problem, ...]]:
    """Let `model.fit` see every training image, and leave the model in the run folder, as `loop.fit` does.

    Returns also which training images may not be normal. Raises ConfigError where the images were prepared to be
    varied, DivergedError where the model has numbers that are not finite, StorageError.
    """
    began = time.monotonic() - spent
    size = (card.preprocess.height, card.preprocess.width)
    if data.train.images.shape[1:3] != size:
        raise ConfigError("once.augment", model=card.model, augment=config.augment)
    model.to(hardware.device, memory_format=hardware.layout).eval()  # type: ignore[call-overload]
    with bar("training.bar", total=len(data.train), unit="") as shown:
        strange = model.fit(_images(model, data.train, hardware, shown))
    if not all(bool(value.isfinite().all()) for value in model.state_dict().values() if value.is_floating_point()):
        raise DivergedError("once.not_finite", model=card.model, run=run.path)
    judge = Judge(
        model=model,
        task=task,
        cache=data.validation,
        classes=card.classes,
        collate=plain_collate(task.name, classes=len(card.classes), size=size),
        settings=task.settings,
        hardware=hardware,
    )
    look = judge.look()
    line = {"epoch": 1.0, "step": 1, "progress": 1.0, "seconds": round(time.monotonic() - began, 3), "lr": 0.0}
    line |= {"training_loss": look.loss, "validation_loss": look.loss}  # nothing was fitted: there is one loss
    if not math.isnan(look.score):
        line["validation_score"] = look.score
    best = Best(None if math.isnan(look.score) else look.score, look.loss, 1.0, 1)
    _save(
        model, run, card, RunState(step=1, epoch=1, progress=1.0, lines=1, best=best, config=asdict(config)), hardware
    )
    write_history(run.history, [line])
    result = FitResult(best, (line,), 1.0, time.monotonic() - began, "done")
    return result, suspects(strange.double().numpy(), data.train.samples)


@torch.no_grad()
def _images(model: Model, cache: ImageCache, hardware: Hardware, shown: Bar) -> Iterator[Tensor]:
    """All images, normalised, a few at a time."""
    height, width = cache.images.shape[1:3]
    step = max(1, PIXELS // (height * width))
    for start in range(0, len(cache), step):
        pixels = cache.take(slice(start, min(start + step, len(cache)))).to(hardware.device)
        yield model.normalise(pixels).contiguous(memory_format=hardware.layout)
        shown.step(len(pixels))


def _save(model: Model, run: RunFolder, card: ModelCard, state: RunState, hardware: Hardware) -> None:
    state.hardware = hardware.as_json()
    tensors = model.state_dict()
    save_checkpoint(run.best, Checkpoint(card, tensors))
    last = {f"model/{name}": tensor for name, tensor in tensors.items()}
    save_checkpoint(run.last, Checkpoint(card, last, state.as_json()))
