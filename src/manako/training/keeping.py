"""What a run keeps on disk while it goes: its checkpoints and its history, always consistent with each other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite

import torch
from torch import Tensor

from manako.blocks.model import Model
from manako.errors import ModelFileError
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.training.average import WeightAverage
from manako.training.checkpoint import Checkpoint, load_into, save_checkpoint
from manako.training.history import Line, append_history, read_history, write_history
from manako.training.optimisers import Optimisers
from manako.training.run_state import RunState

SAVE_SECONDS = 30.0  # a crash loses at most this much
SAVE_SHARE = 0.05  # of the time, at most


@dataclass(kw_only=True, eq=False)
class Keeper:
    """Writes the files of one run, in the first process; in the others it only remembers."""

    run: RunFolder
    card: ModelCard
    model: Model
    optimisers: Optimisers
    average: WeightAverage | None
    writes: bool = True
    history: list[dict[str, float]] = field(default_factory=list)
    _best: Checkpoint | None = None
    _saved: tuple[int, int] = (-1, 0)
    _saved_at: float = field(default_factory=time.monotonic)
    _save_seconds: float = 0.0

    def take_best(self, scores: Mapping[str, float]) -> None:
        """Remember the weights that were just looked at; the next `save` writes them. scores: finite ones are kept."""
        if not self.writes:
            return
        weights = self.average.tensors if self.average else self.model.state_dict()
        copies = {name: tensor.detach().clone() for name, tensor in weights.items()}
        self._best = Checkpoint(replace(self.card, scores={n: v for n, v in scores.items() if isfinite(v)}), copies)

    def add_line(self, line: Line) -> None:
        self.history.append(dict(line))
        if self.writes:
            append_history(self.run.history, line)

    def due(self, *, epoch_ended: bool) -> bool:
        """Every half minute, and at an epoch's end unless saving takes too much of the time."""
        since = time.monotonic() - self._saved_at
        return since >= SAVE_SECONDS or (epoch_ended and since * SAVE_SHARE >= max(self._save_seconds, 0.05))

    def save(self, state: RunState) -> None:
        """`best.safetensors` first: the state in `last.safetensors` may speak of it. Raises StorageError.

        Does nothing where nothing has changed since the last time.
        """
        state.lines = len(self.history)
        if self._best is None and self._saved == (state.step, state.lines):
            return
        started = time.monotonic()
        if self.writes:
            if self._best is not None:
                save_checkpoint(self.run.best, self._best)
                self._best = None
            save_checkpoint(self.run.last, Checkpoint(self.card, self._tensors(), state.as_json()))
        self._saved = (state.step, state.lines)
        self._saved_at = time.monotonic()
        self._save_seconds = self._saved_at - started

    def finite(self) -> bool:
        """Whether what `save` would write may be gone on from."""
        return all(bool(torch.isfinite(t).all()) for t in self._tensors().values() if t.is_floating_point())

    def restore(self, checkpoint: Checkpoint, state: RunState) -> None:
        """Bring model, average, optimisers and history to where the checkpoint stands."""
        load_into(self.model, checkpoint.part("model"), file=self.run.last)
        try:
            if self.average:
                self.average.load(checkpoint.part("average"), at=state.average_at)
            self.optimisers.load(checkpoint.part("optimiser"))
        except (KeyError, ValueError, RuntimeError) as error:
            reason = str(error.args[0])[:120]
            raise ModelFileError("resume.state_mismatch", file=self.run.last, field=reason) from None
        self.history = read_history(self.run.history)[: state.lines]
        if self.writes:
            write_history(self.run.history, self.history)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"model/{name}": t for name, t in self.model.state_dict().items()}
        if self.average:
            tensors |= {f"average/{name}": t for name, t in self.average.tensors.items()}
        return tensors | {f"optimiser/{name}": t for name, t in self.optimisers.tensors().items()}
