"""What a report is made of. Everything but the evaluation may be missing; its section is then left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from manako.doctor.curves import Reading
from manako.runtime.card import ModelCard
from manako.runtime.evaluate import Evaluated
from manako.types import Dataset, Sample


class Choice(Protocol):
    """Why a setting has its value: a message key and its facts (`training.plan.Reason`)."""

    @property
    def setting(self) -> str: ...
    @property
    def value(self) -> object: ...
    @property
    def code(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, object]: ...


class Explain(Protocol):
    """Where the network looked: (height, width) 0..1 over the whole image (`training.saliency.Explainer`)."""

    def __call__(self, sample: Sample, class_id: int, *, size: tuple[int, int]) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class ReportContent:
    """name: the title. run: the run folder or model file as typed, for the commands. history: lines of
    `metrics.jsonl`. learning: pictures of how samples changed. config: text of `config.yaml`. environment:
    `environment.json`. best_epoch: of the kept weights.
    """

    name: str
    run: str
    card: ModelCard
    evaluated: Evaluated
    history: Sequence[Mapping[str, float]] = ()
    learning: Sequence[Path] = ()
    reading: Reading | None = None
    choices: Sequence[Choice] = ()
    config: str = ""
    dataset: Dataset | None = None
    environment: Mapping[str, object] | None = None
    best_epoch: float | None = None
    seconds: float | None = None
    explain: Explain | None = None
    max_pixels: int = 64_000_000
