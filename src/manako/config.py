"""What a training run is told: one flat record, from the command line, from Python, or from a `config.yaml`.

A field left `None` (or "auto") is chosen by `training/plan.py` from the data and the machine; the run's
`config.yaml` holds what was chosen. The command line's flags are made from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from manako.errors import ConfigError


def _option(
    default: Any = None,
    *,
    kind: type = str,
    low: float | None = None,
    high: float | None = None,
    choices: str = "",
) -> Any:
    """One field: its type, its range or its choices. The help text is the message `config.<field>`."""
    metadata = {"kind": kind, "low": low, "high": high, "choices": tuple(choices.split())}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """All settings of one training run. Fractions are from 0 to 1."""

    data: str = _option("")
    task: str | None = _option()
    model: str | None = _option()
    options: Mapping[str, Any] = _option({}, kind=dict)
    weights: str = _option("auto")  # auto | none | a .safetensors file
    # How long. Neither: a time budget that suits the data.
    epochs: int | None = _option(kind=int, low=1, high=100_000)
    minutes: float | None = _option(kind=float, low=0.01, high=100_000)
    patience: int | None = _option(kind=int, low=1)  # epochs without a better score before stopping; None: never
    seed: int = _option(0, kind=int, low=0)
    # Data.
    imgsz: int | None = _option(kind=int, low=4, high=4096)
    aspect: float | None = _option(kind=float, low=0.1, high=100)  # width over height of the network's images
    crop: int | None = _option(kind=int, low=0, high=4096)  # side of the windows to learn from, 0: whole images
    channels: int | None = _option(kind=int, choices="1 3")
    group_by: str | None = _option()
    max_pixels: int = _option(64_000_000, kind=int, low=1)
    augment: str = _option("auto", choices="auto none light medium strong")
    flip: str = _option("auto", choices="auto on off")
    turns: bool = _option(False, kind=bool)  # quarter turns, of images without an up
    mixup: float | None = _option(kind=float, low=0, high=10)
    mosaic: float | None = _option(kind=float, low=0, high=1)  # part of the batches whose images are made of four
    label_smoothing: float | None = _option(kind=float, low=0, high=0.9)
    sampling: str = _option("shuffle", choices="shuffle balanced")
    class_weights: str = _option("none", choices="none balanced")
    # Optimisation.
    batch: str = _option("auto")  # auto | all | a number; 1 is online learning
    optimiser: str = _option("auto", choices="auto sgd adamw muon")
    lr: float | None = _option(kind=float, low=0, high=100)
    find_lr: bool = _option(False, kind=bool)  # measure a learning rate first (Smith 2015)
    momentum: float | None = _option(kind=float, low=0, high=0.9999)
    weight_decay: float | None = _option(kind=float, low=0, high=10)
    schedule: str = _option("auto", choices="auto constant cosine linear one_cycle")
    warmup: float | None = _option(kind=float, low=0, high=1)  # part of the run
    clip: float | None = _option(kind=float, low=0)  # largest norm of the gradient; 0: no limit
    ema: float | None = _option(kind=float, low=0, high=1)  # part of the run that the average of weights spans
    freeze: float | None = _option(kind=float, low=0, high=1)  # part of the run in which only the head learns
    frozen_stages: int | None = _option(kind=int, low=0, high=1000)  # on the input's side, for the whole run
    fixed_norms: bool | None = _option(kind=bool)  # keep the pretrained statistics of batch normalisation
    layer_decay: float | None = _option(kind=float, low=0, high=1)  # rate of each stage against the next one's
    # Machine.
    device: str = _option("auto")
    precision: str = _option("auto", choices="auto fp32 bf16 fp16")
    compile: bool = _option(False, kind=bool)
    workers: int | None = _option(kind=int, low=0, high=256)

    def __post_init__(self) -> None:
        for item in fields(self):
            _check(item.name, getattr(self, item.name), item.default, item.metadata)
        if self.epochs is not None and self.minutes is not None:
            raise ConfigError("config.epochs_and_minutes")
        if self.batch not in ("auto", "all") and not (self.batch.isdecimal() and int(self.batch) >= 1):
            raise ConfigError("config.batch_value", value=self.batch)

    def with_(self, **changes: Any) -> RunConfig:
        """A copy with some fields changed, checked again."""
        return replace(self, **changes)

    def dumps(self) -> str:
        """YAML, in the order of the fields."""
        text: str = yaml.safe_dump(asdict(self), sort_keys=False, allow_unicode=True)
        return text

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> RunConfig:
        """From plain values. Raises ConfigError for an unknown field, a wrong type, a value out of range."""
        known = {f.name for f in fields(cls)}
        for name in values:
            if name not in known:
                near = get_close_matches(str(name), known, n=1)
                raise ConfigError("config.unknown", field=name, near=near[0] if near else ", ".join(sorted(known)))
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        """From a `config.yaml`."""
        try:
            values = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError("config.unreadable", file=path, reason=str(error).replace("\n", " ")) from None
        if not isinstance(values, dict):
            raise ConfigError("config.unreadable", file=path, reason="not a table of fields")
        return cls.of(values)


def _check(name: str, value: Any, default: Any, rule: Mapping[str, Any]) -> None:
    if value is None and default is None:
        return
    kind = rule["kind"]
    wrong_type = not isinstance(value, (int, float) if kind is float else kind)
    if kind is dict:
        wrong_type = not isinstance(value, Mapping)
    if wrong_type or (kind in (int, float) and isinstance(value, bool)):
        raise ConfigError("config.type", field=name, value=repr(value), kind=kind.__name__)
    if rule["choices"] and str(value) not in rule["choices"]:
        near = get_close_matches(str(value), rule["choices"], n=1)
        raise ConfigError("config.choice", field=name, value=value, choices=", ".join(near or rule["choices"]))
    low, high = rule["low"], rule["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ConfigError("config.range", field=name, value=value, low=low, high="∞" if high is None else high)
