"""Where a run stands, as plain values: what `last.safetensors` keeps beside its tensors, and whether one may go on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from manako.config import RunConfig
from manako.errors import ConfigError, DataError, ModelFileError

MAY_GROW = ("epochs", "minutes")
MAY_CHANGE = ("data", "patience", "workers")  # where the data lie may change, what they are may not


@dataclass
class Best:
    """The best look so far."""

    score: float | None  # None where the validation images can't tell it
    loss: float
    epoch: float
    step: int


@dataclass
class RunState:
    """epoch, batch: the next batch to learn from. elapsed: seconds of all parts of the run. loss_sum over loss_steps:
    since the last look, and `parts` over parts_steps likewise. lines: of the history. scaler: of fp16's gradients."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    elapsed: float = 0.0
    progress: float = 0.0
    lr: float = 0.0
    lines: int = 0
    loss_sum: float = 0.0
    loss_steps: int = 0
    parts: dict[str, float] = field(default_factory=dict)
    parts_steps: int = 0
    average_at: float = 0.0
    best: Best | None = None
    config: dict[str, Any] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any], *, file: Path) -> RunState:
        """Read the state of a checkpoint, checked. Raises ModelFileError naming the field."""
        if not record:
            raise ModelFileError("resume.no_state", file=file)
        values = {f.name: _checked(f.name, record, file) for f in fields(cls)}
        best = values["best"]
        if best is not None:
            values["best"] = Best(**{f.name: _checked(f.name, best, file) for f in fields(Best)})
        return cls(**values)


_WHOLE = ("step", "epoch", "batch", "loss_steps", "parts_steps", "lines")
_TABLES = ("config", "hardware", "scaler", "parts")


def _checked(name: str, record: Mapping[str, Any], file: Path) -> Any:
    value = record.get(name)
    if name == "best" or (name == "score" and value is None):
        good = value is None or isinstance(value, dict)
    elif name in _TABLES:
        good = isinstance(value, dict)
    else:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        # The epoch of the best look is a fraction, that of the state a whole number.
        if good and name in _WHOLE and "progress" in record:
            good = isinstance(value, int) and value >= 0
    if not good:
        raise ModelFileError("checkpoint.field", file=file, field=name, value=repr(value)[:60])
    return value


def check_same_run(state: RunState, config: RunConfig, *, data: str, card_data: str) -> None:
    """Raises DataError if the data are not those of the checkpoint, ConfigError naming the setting that changed.

    Only a budget may grow (epochs, minutes).
    """
    if data != card_data:
        raise DataError("resume.data_changed")
    for name, now in asdict(config).items():
        before = state.config.get(name)
        if name in MAY_CHANGE or before == now:
            continue
        if name in MAY_GROW and before is not None and now is not None and now > before:
            continue
        raise ConfigError("resume.config_changed", field=name, before=before, now=now)
