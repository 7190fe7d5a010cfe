"""The settings that a person left open, chosen from the data and the machine, with the reasons.

Two recipes, each one visible table; `docs/results.md` says what each choice was measured to bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import numpy as np

from manako.config import RunConfig
from manako.errors import ImageError
from manako.images import image_size, open_image
from manako.models import find_model
from manako.training.hardware import choose_device
from manako.types import Dataset, Sample

# From scratch, for the network that is made for it: small images, of which it sees many in little time.
SMALL_RESNET: Mapping[str, Any] = {
    "optimiser": "muon",
    "lr": 0.04,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "linear",
    "warmup": 0.05,
    "label_smoothing": 0.1,
    "mixup": 0.0,
    "augment": "light",
    "ema": 0.1,
    "freeze": 0.0,
    "frozen_stages": 0,
    "fixed_norms": False,
    "layer_decay": 1.0,
    "clip": 0.0,
    "batch": "128",
}
# From scratch, for any other network: slower, but at home with layers that no normalisation follows.
FROM_SCRATCH: Mapping[str, Any] = {
    **SMALL_RESNET,
    "optimiser": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.02,
    "schedule": "one_cycle",
    "warmup": 0.1,
    "clip": 1.0,
    "batch": "64",
}
# Fine-tuning: photographs, where a backbone that has seen a million of them knows most already.
FINE_TUNE: Mapping[str, Any] = {
    "optimiser": "adamw",
    "lr": 1e-3,
    "momentum": 0.9,
    "weight_decay": 0.02,
    "schedule": "one_cycle",
    "warmup": 0.2,
    "label_smoothing": 0.1,
    "mixup": 0.1,
    "augment": "medium",
    "ema": 0.2,
    "freeze": 0.0,
    "frozen_stages": 4,
    "fixed_norms": True,
    "layer_decay": 0.9,
    "clip": 1.0,
    "batch": "32",
}
SMALL_SIDE = 64
LEAST_BATCH = 8
MANY = 5_000  # training images
SAMPLED = 200


@dataclass(frozen=True)
class Reason:
    """Why a setting was chosen: a message key and its facts."""

    setting: str
    value: Any
    code: str
    facts: Mapping[str, object]


@dataclass(frozen=True)
class DataFacts:
    """What choices are made from. side: median of the images' shorter sides, in pixels."""

    count: int
    classes: int
    side: int
    grey: bool
    smallest_class: int


def data_facts(dataset: Dataset) -> DataFacts:
    """Look at up to 200 training images spread over the data."""
    training = dataset.of("train") or dataset.samples
    picked = [training[i] for i in np.linspace(0, len(training) - 1, min(SAMPLED, len(training))).astype(int)]
    sides, grey = [], True
    for sample in picked:
        seen = _look(sample)
        if seen:
            sides.append(seen[0])
            grey = grey and seen[1]
    counts = np.bincount([s.target.best for s in training if s.target is not None], minlength=len(dataset.classes))
    return DataFacts(len(training), len(dataset.classes), int(median(sides or [224])), grey, int(counts.min()))


def _look(sample: Sample) -> tuple[int, bool] | None:
    try:
        image = open_image(sample.image, sample.frame, at_least=(SMALL_SIDE * 2, SMALL_SIDE * 2))
        size = image_size(sample.image, sample.frame)
    except ImageError:
        return None
    return min(size), image.mode == "L"


def make_plan(config: RunConfig, dataset: Dataset) -> tuple[RunConfig, tuple[Reason, ...]]:
    """Fill every open setting of `config`. Returns the full configuration and why each was chosen."""
    facts = data_facts(dataset)
    small = facts.side <= SMALL_SIDE
    model = config.model or ("small_resnet" if small else "efficientnet_lite0")
    find_model(model, dataset.task)
    scratch = config.weights == "none" or _untaught(model)
    recipe = FINE_TUNE if not scratch else SMALL_RESNET if model == "small_resnet" else FROM_SCRATCH
    open_settings: dict[str, Any] = {"task": dataset.task, "model": model, **recipe}
    open_settings["imgsz"] = _small_size(facts.side) if small else _photograph_size(config, facts)
    open_settings["channels"] = 1 if facts.grey and scratch else 3
    if config.epochs is None:
        open_settings["minutes"] = _minutes(facts)
    open_settings["batch"] = str(min(int(recipe["batch"]), max(LEAST_BATCH, facts.count // 8)))
    chosen = {n: v for n, v in open_settings.items() if getattr(config, n) in (None, "auto")}
    why = "plan.small" if small else "plan.photographs"
    reasons = [
        Reason(name, value, f"plan.{name}" if name in ("imgsz", "channels", "minutes", "model") else why, vars(facts))
        for name, value in chosen.items()
        if name not in ("task",)
    ]
    return config.with_(**chosen), tuple(reasons)


def _untaught(model: str) -> bool:
    """Networks that have no pretrained weights anywhere."""
    return find_model(model, "classification").family in ("mlp", "cnn", "small_resnet")


def _small_size(side: int) -> int:
    return max(8, (side + 3) // 4 * 4)


def _photograph_size(config: RunConfig, facts: DataFacts) -> int:
    """Detail is worth more than epochs where there are few images; a CPU that has many must be quicker."""
    wanted = 256 if facts.count <= MANY or choose_device(config.device) != "cpu" else 192
    return max(96, min(wanted, facts.side // 32 * 32))


def _minutes(facts: DataFacts) -> float:
    return 5.0 if facts.count <= MANY else 10.0 if facts.count <= 20_000 else 20.0


def open_fields(config: RunConfig) -> tuple[str, ...]:
    """Names of the settings that are still open."""
    return tuple(f.name for f in fields(config) if getattr(config, f.name) in (None, "auto"))
