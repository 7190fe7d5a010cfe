"""Generated samples of each task, made once, and the models at sizes that test quickly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manako.blocks.model import Model
from manako.images import Preprocess, widened
from manako.models import ModelEntry, create_model, find_model, model_entries, skeleton_options
from manako.tasks import get_task
from manako.types import Dataset, Frame, Prediction, Sample, Skeleton

# Pixels a side in these tests.
SIZES = {"anomaly": 64, "classification": 32, "generation": 32}
OTHER_SIZE = 96
SHAPES = {"ocr": (32, 96)}  # height and width, where a square makes no sense
# What counts as learned by heart: a metric and its bar, after at most so many steps at this rate.
# None: no truth to learn, the loss as it is judged has to fall.
BARS: dict[str, tuple[str, float] | None] = {
    "anomaly": None,
    "generation": None,
    "classification": ("accuracy", 1.0),
    "detection": ("ap50", 0.9),
    "instances": ("ap50", 0.9),
    "segmentation": ("mean_iou", 0.9),
    "depth": ("delta1", 0.9),
    "pose": ("oks_ap", 0.9),
    "ocr": ("cer", 0.05),
    "text_finding": ("h_mean", 0.9),
}
# Players of a game: their losses needn't fall. Each has a test of its own in tests/blocks.
GAMES = ("anogan",)
STEPS = {"anomaly": 60, "classification": 80, "generation": 60}
OTHER_STEPS = 200
LONGER = {"diffusion": 150}  # by family: noise can be told from images long before images from each other
RATES = {"classification": 5e-4, "segmentation": 2e-3, "depth": 3e-3, "ocr": 2e-3, "text_finding": 3e-3}
OTHER_RATE = 1e-3
FASTER = {"diffusion": 3e-3}
# Layers whose published size would make a small test slow; everything else is tested as it ships.
SMALLER = {"vgg": {"hidden": 128}, "pspnet": {"width": 64, "levels": 3}, "deeplab": {"width": 64}}
SMALLER["faster_rcnn"] = SMALLER["mask_rcnn"] = {"regions": 32}
SMALLER["gan"] = {"width": 16}
SMALLER["diffusion"] = {"width": 16, "steps": 4}
SMALLER["dpt"] = SMALLER["depth_anything"] = {"width": 48, "layers": 4, "heads": 3, "decoder": 16}
SMALLER["vitpose"] = {"width": 48, "layers": 2, "heads": 3}
SMALLER["crnn"] = {"width": 16, "hidden": 64}
SMALLER["ppocr"] = {"width": 16, "neck": 32}
SMALLER["ppocr_finder"] = {"norms": True}
# More than the smallest of a family: the network that `manako train` takes when nothing is said.
ALSO = ("efficientnet_lite0",)


def size_of(task: str) -> int:
    return SIZES.get(task, OTHER_SIZE)


def preprocess_of(task: str, channels: int = 3) -> Preprocess:
    height, width = SHAPES.get(task, (size_of(task), size_of(task)))
    return Preprocess(height, width, fit=get_task(task).fit, channels=channels)


def build(name: str, task: str, *, classes: int, channels: int = 3, skeleton: Skeleton | None = None) -> Model:
    """A model without learned weights, the same at each call."""
    torch.manual_seed(1)
    entry = find_model(name, task)
    options = SMALLER.get(entry.family, {}) | skeleton_options(entry, skeleton)
    return create_model(name, task=task, classes=classes, channels=channels, imgsz=size_of(task), options=options)


def build_empty(name: str, task: str, **sizes: int) -> Model:
    """Shapes without numbers: any size costs nothing."""
    with torch.device("meta"):
        return create_model(name, task=task, **({"classes": 3, "channels": 3, "imgsz": 64} | sizes))


@cache
def all_pairs() -> list[tuple[str, str]]:
    """(model, task) of everything that the discovery finds and whose extra is installed."""
    found = {name: entry for name, entry in model_entries().items() if not name.endswith(":") and installed(entry)}
    return [(name, task) for name, entry in found.items() for task in entry.tasks]


def installed(entry: ModelEntry) -> bool:
    """A model file may name, as NEEDS, the package that an extra brings."""
    needs = getattr(import_module(f"manako.models.{entry.family}"), "NEEDS", "torch")
    return find_spec(needs) is not None


@cache
def full_pairs() -> list[tuple[str, str]]:
    """The smallest variant of each family and task, and the defaults: tested in full."""
    smallest: dict[tuple[str, str], tuple[int, str]] = {}
    for name, task in all_pairs():
        size = sum(p.numel() for p in build_empty(name, task).parameters())
        key = (model_entries()[name].family, task)
        smallest[key] = min(smallest.get(key, (size, name)), (size, name))
    chosen = {(name, task) for (_, task), (_, name) in smallest.items()}
    return sorted(chosen | {pair for pair in all_pairs() if pair[0] in ALSO})


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`full` takes the pairs that are tested in full, `entry` takes all."""
    for argument, pairs in (("full", full_pairs), ("entry", all_pairs)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, pairs(), ids="-".join)


@dataclass(frozen=True)
class Examples:
    """Generated samples and their pixels at the size of the tests."""

    dataset: Dataset
    samples: tuple[Sample, ...]
    pixels: torch.Tensor  # (N, C, H, W) uint8
    frames: tuple[Frame, ...]

    @property
    def truths(self) -> list[Prediction]:
        return [truth for sample in self.samples if (truth := sample.truth) is not None]

    def targets(self) -> Any:
        module = import_module(f"manako.training.targets.{self.dataset.task}")
        size = (self.pixels.shape[2], self.pixels.shape[3])
        return module.collate(self.truths, self.frames, classes=len(self.dataset.classes), size=size)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Examples]:
    """examples(task, channels=3): eight generated samples, classes in turn."""

    @cache
    def dataset(task: str) -> Dataset:
        folder: Path = tmp_path_factory.mktemp(task)
        return get_task(task).synthetic(folder, seed=3, count=24)

    @cache
    def make(task: str, channels: int = 3) -> Examples:
        found = dataset(task)
        step = max(1, len(found.samples) // 8)
        samples = found.samples[::step][:8]
        preprocess = preprocess_of(task, channels)
        images, frames = zip(*(preprocess.open(s.image, s.frame) for s in samples), strict=True)
        images = [widened(image, preprocess.width) for image in images]  # lines of one width share a batch
        pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
        return Examples(found, samples, pixels, frames)

    return make
