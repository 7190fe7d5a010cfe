"""The settings that a person left open, chosen from the data and the machine, with the reasons.

The recipe of each task stands in its file of `targets/`; `docs/results.md` says what each choice was measured to bring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manako.config import RunConfig
from manako.errors import ImageError
from manako.images import image_size, open_image
from manako.models import find_model
from manako.tasks import get_task
from manako.training.feed import learning_half
from manako.types import Dataset, Sample

SMALL_SIDE = 64
LEAST_BATCH = 8
MANY = 5_000  # training images
SAMPLED = 200
ALIKE = 0.03  # images whose width over height differs by less have one shape
STRIDE = 32  # of the deepest maps; sides of a network's images are multiples of it
TOLERANCE = 8  # pixels that an image may be reduced for a side to fit


@dataclass(frozen=True)
class Reason:
    """Why a setting was chosen: a message key and its facts."""

    setting: str
    value: Any
    code: str
    facts: Mapping[str, object]


@dataclass(frozen=True)
class DataFacts:
    """What choices are made from. side, longer: medians of the images' shorter and longer sides, in pixels. aspect:
    width over height, 1.0 where images have several shapes."""

    count: int
    classes: int
    side: int
    longer: int
    aspect: float
    grey: bool


def data_facts(dataset: Dataset) -> DataFacts:
    """Look at up to 200 training images spread over the data."""
    training = dataset.of("train") or dataset.samples
    picked = [training[i] for i in np.linspace(0, len(training) - 1, min(SAMPLED, len(training))).astype(int)]
    looks = [look for look in map(_look, picked) if look]
    sizes = np.array([look[0] for look in looks] or [(224, 224)], np.float64)
    return DataFacts(
        count=len(training),
        classes=len(dataset.classes),
        side=int(median(sizes.min(1))),
        longer=int(median(sizes.max(1))),
        aspect=_aspect(sizes),
        grey=all(look[1] for look in looks),
    )


def _aspect(sizes: NDArray[np.float64]) -> float:
    """sizes: (N, 2) height and width. One shape of nearly all images, else a square."""
    ratios = sizes[:, 1] / sizes[:, 0]
    middle = float(np.median(ratios))
    alike = np.abs(ratios / middle - 1) < ALIKE
    return middle if alike.mean() > 0.9 else 1.0


def _look(sample: Sample) -> tuple[tuple[int, int], bool] | None:
    """(height, width), and whether the image is grey. None where it can't be opened."""
    try:
        image = open_image(sample.image, sample.frame, at_least=(SMALL_SIDE * 2, SMALL_SIDE * 2))
        size = image_size(sample.image, sample.frame)
    except ImageError:
        return None
    return size, image.mode == "L"


def make_plan(config: RunConfig, dataset: Dataset) -> tuple[RunConfig, tuple[Reason, ...]]:
    """Fill every open setting of `config`. Returns the full configuration and why each was chosen."""
    facts = data_facts(dataset)
    recipe = dict(learning_half(dataset.task).recipe(config, facts, dataset))
    why = recipe.pop("why", f"plan.{dataset.task}")
    why_size = recipe.pop("why_size", "")
    said = {"imgsz": why_size, "aspect": why_size, "channels": recipe.pop("why_channels", "")}
    find_model(recipe["model"], dataset.task)
    open_settings: dict[str, Any] = {
        "task": dataset.task,
        "minutes": minutes_for(facts),
        "mosaic": 0.0,
        "crop": 0,
    } | recipe
    whole = get_task(dataset.task).fit == "letterbox"
    open_settings.setdefault("aspect", round(facts.aspect, 4) if whole else 1.0)
    if config.epochs is not None or (config.minutes is None and "epochs" in recipe):
        open_settings.pop("minutes")
    if config.minutes is not None:
        open_settings.pop("epochs", None)
    if str(open_settings["batch"]).isdecimal():
        open_settings["batch"] = str(min(int(open_settings["batch"]), max(LEAST_BATCH, facts.count // 8)))
    chosen = {n: v for n, v in open_settings.items() if getattr(config, n) in (None, "auto")}
    own = ("imgsz", "aspect", "channels", "minutes", "model")
    reasons = [
        Reason(name, value, _code(name, own, why, said), vars(facts))
        for name, value in chosen.items()
        if name not in ("task",)
    ]
    return config.with_(**chosen), tuple(reasons)


def _code(name: str, own: tuple[str, ...], why: str, said: Mapping[str, str]) -> str:
    """said: the task's own reasons, "" where it has none."""
    return said.get(name) or (f"plan.{name}" if name in own else why)


def network_size(imgsz: int, aspect: float) -> tuple[int, int]:
    """(height, width): the longer side is `imgsz`, the other the next multiple of 32 that holds the whole image."""
    shorter = imgsz * min(aspect, 1 / aspect)
    side = max(STRIDE, math.ceil((shorter - TOLERANCE) / STRIDE) * STRIDE)
    if abs(aspect - 1) < ALIKE or side > imgsz:
        side = imgsz
    return (side, imgsz) if aspect >= 1 else (imgsz, side)


def minutes_for(facts: DataFacts) -> float:
    """A budget of time that suits the number of training images."""
    return 5.0 if facts.count <= MANY else 10.0 if facts.count <= 20_000 else 20.0


def open_fields(config: RunConfig) -> tuple[str, ...]:
    """Names of the settings that are still open."""
    return tuple(f.name for f in fields(config) if getattr(config, f.name) in (None, "auto"))
