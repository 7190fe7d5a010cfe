"""A small network and small data that the tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.images import Preprocess
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.tasks import get_task
from manako.training.cache import ImageCache
from manako.training.distributed import Processes
from manako.training.feed import TrainingData
from manako.training.hardware import Hardware
from manako.training.loop import FitResult, fit
from manako.types import Frame, Labels, Sample

SIDE = 12
CLASSES = ("across", "down", "spot")


class TinyNet(Model):
    """Two convolutions and a head: with batch norm and dropout, or with neither (`plain`)."""

    def __init__(self, *, plain: bool = False, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        norm = (lambda n: nn.Identity()) if plain else nn.BatchNorm2d
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), norm(8), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1, bias=plain), norm(16), nn.ReLU())
        self.drop = nn.Dropout(0.0 if plain else 0.3)
        self.head = nn.Linear(16, len(CLASSES))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"logits": self.head(self.drop(self.second(self.first(images)).mean((2, 3))))}

    def loss(self, outputs: dict[str, Tensor], targets: Any) -> Tensor:
        each = functional.cross_entropy(outputs["logits"], targets.probabilities, reduction="none")
        return (each * targets.weights).sum() / targets.weights.sum()

    def stages(self) -> Iterator[list[nn.Parameter]]:
        for part in (self.first, self.second, self.head):
            yield list(part.parameters())


def patterns(count: int, *, seed: int) -> ImageCache:
    """Noisy stripes and spots, (count, 12, 12, 1), with their classes."""
    chance = np.random.default_rng(seed)
    classes = np.arange(count) % len(CLASSES)
    images = chance.integers(0, 120, (count, SIDE, SIDE, 1)).astype(np.uint8)
    for image, kind in zip(images, classes, strict=True):
        place = chance.integers(2, SIDE - 4)
        rows, columns = [(slice(place, place + 2), slice(None)), (slice(None), slice(place, place + 2))][kind % 2]
        if kind == 2:
            rows = columns = slice(place, place + 4)
        image[rows, columns] += 100
    samples = tuple(Sample(id=f"{i}", image=Path("none"), target=Labels.truth(int(c))) for i, c in enumerate(classes))
    return ImageCache(images, np.arange(count), samples, (Frame(SIDE, SIDE),) * count)


def small_data(train: int = 60, validation: int = 24) -> TrainingData:
    return TrainingData(patterns(train, seed=1), patterns(validation, seed=2))


def small_card(**changes: Any) -> ModelCard:
    values = {
        "task": "classification",
        "model": "tiny",
        "classes": CLASSES,
        "preprocess": Preprocess(SIDE, SIDE, channels=1),
        "mean": (0.5,),
        "std": (0.5,),
        "data": "fingerprint",
    }
    return ModelCard(**values | changes)


def small_config(**changes: Any) -> RunConfig:
    values = {
        "epochs": 4,
        "batch": "16",
        "optimiser": "adamw",
        "lr": 0.01,
        "schedule": "cosine",
        "warmup": 0.1,
        "augment": "light",
        "ema": 0.3,
    }
    return RunConfig(**values | changes)


# Everything that has a state, at once.
EVERYTHING = {
    "optimiser": "muon",
    "lr": 0.02,
    "mixup": 0.4,
    "freeze": 0.3,
    "layer_decay": 0.8,
    "clip": 1.0,
    "augment": "strong",
    "label_smoothing": 0.1,
    "sampling": "balanced",
}


def small_fit(run: Path, *, model: Model | None = None, **options: Any) -> FitResult:
    """Train the small network in the folder `run`. options: of `fit`, or of the configuration."""
    own = {
        name: options.pop(name)
        for name in ("resume", "processes", "data", "card", "how", "hardware")
        if name in options
    }
    run.mkdir(parents=True, exist_ok=True)
    return fit(
        model or TinyNet(),
        task=get_task("classification"),
        data=own.pop("data", None) or small_data(),
        config=small_config(**options),
        run=RunFolder(run),
        card=own.pop("card", None) or small_card(),
        **{"processes": Processes(), "hardware": Hardware()} | own,
    )
