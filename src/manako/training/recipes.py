"""What the recipes of all tasks begin with; each task's file of `targets/` says what it does otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ADAMW: Mapping[str, Any] = {
    "optimiser": "adamw",
    "lr": 1e-3,
    "momentum": 0.9,
    "weight_decay": 0.02,
    "schedule": "one_cycle",
    "warmup": 0.1,
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "augment": "light",
    "ema": 0.1,
    "freeze": 0.0,
    "frozen_stages": 0,
    "fixed_norms": False,
    "layer_decay": 1.0,
    "clip": 1.0,
    "batch": "16",
}
