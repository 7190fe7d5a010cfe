"""A classifier small enough to train in a second on the digits, an engine in NumPy, and files to predict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from manako.blocks.classifier import Classifier
from manako.images import Preprocess
from manako.runtime.card import ModelCard
from manako.samples.digits import load_digits
from manako.types import Labels, Sample

NAMES = tuple("零一二三四五六七八九")
PREPROCESS = Preprocess(16, 16, channels=1)


class DigitNet(Classifier):
    """features: (N, 12, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1, stride=2), nn.BatchNorm2d(12), nn.ReLU())
        self.last = nn.Linear(12 * 16, 10)

    def features(self, images: Tensor) -> Tensor:
        maps: Tensor = self.first(images)
        return maps

    def head(self, features: Tensor) -> Tensor:
        logits: Tensor = self.last(nn.functional.adaptive_avg_pool2d(features, 4).flatten(1))
        return logits


def card_for(net: Classifier, **changes: object) -> ModelCard:
    known = {"task": "classification", "model": "digit_net", "classes": NAMES, "preprocess": PREPROCESS}
    return ModelCard(**{**known, "mean": net.mean, "std": net.std, **changes})  # type: ignore[arg-type]


def trained_net() -> DigitNet:
    """About 95 % right on digits that it has seen."""
    images, labels = load_digits()
    pixels = torch.from_numpy(images[:600].repeat(2, 1).repeat(2, 2))[:, None]
    model, truth = DigitNet(), torch.from_numpy(labels[:600])
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(30):
        loss = nn.functional.cross_entropy(model(model.normalise(pixels))["logits"], truth)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return model.eval()


def write_digit_files(folder: Path, count: int, *, first: int = 0) -> list[Sample]:
    """PNG files of 24 x 20 pixels; ids are file names."""
    images, labels = load_digits()
    samples = []
    for number in range(first, first + count):
        path = folder / f"{number:04}.png"
        Image.fromarray(images[number]).resize((24, 20)).save(path)
        samples.append(Sample(path.name, path, Labels.truth(int(labels[number]))))
    return samples


class MeanEngine:
    """Logit k of an image is minus the distance of its mean grey level from 25 k: needs no library."""

    def __init__(self) -> None:
        self._card = ModelCard("classification", "mean", NAMES, PREPROCESS, (0.5,), (0.5,))
        self.batches: list[int] = []

    @property
    def card(self) -> ModelCard:
        return self._card

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        self.batches.append(len(images))
        level = images.reshape(len(images), -1).astype(np.float32).mean(1)
        logits = -np.abs(level[:, None] - 25 * np.arange(10, dtype=np.float32))
        logits[level > 254] = np.nan
        return {"logits": logits}
