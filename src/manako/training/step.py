"""One step of learning: forward, backward, together with the other processes, clip, move the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from manako.blocks.model import Model
from manako.training.batch import Batch
from manako.training.distributed import Processes
from manako.training.hardware import Hardware
from manako.training.optimisers import Optimisers


@dataclass(frozen=True, kw_only=True, eq=False)
class Stepper:
    """run: the model or its compiled form. clip: largest norm of the gradient, 0: none. scaler: for fp16 only."""

    model: Model
    run: Callable[[Tensor], dict[str, Tensor]]
    optimisers: Optimisers
    hardware: Hardware
    processes: Processes
    clip: float = 0.0
    scaler: torch.amp.GradScaler | None = None

    @property
    def scale(self) -> dict[str, float]:
        """The state of fp16's scaling, empty without."""
        return self.scaler.state_dict() if self.scaler else {}

    def load_scale(self, state: dict[str, float]) -> None:
        if self.scaler and state:
            self.scaler.load_state_dict(state)

    def step(self, parts: Iterable[tuple[Batch, float]]) -> Tensor:
        """Learn from the parts of one batch (each with its share). Returns this process's share of the loss."""
        losses = [self._backward(batch, share) for batch, share in parts]
        self.processes.sum_gradients(self.model)
        if self.scaler:
            for rule in self.optimisers.rules:
                self.scaler.unscale_(rule)
        if self.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self._move()
        self.optimisers.clear()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, batch: Batch, share: float) -> Tensor:
        images = self.model.normalise(batch.images).contiguous(memory_format=self.hardware.layout)
        with self.hardware.autocast():
            outputs = self.run(images)
        loss = self.model.loss(as_float(outputs), batch.targets) * share
        (self.scaler.scale(loss) if self.scaler else loss).backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _move(self) -> None:
        if not self.scaler:
            self.optimisers.step()
            return
        for rule in self.optimisers.rules:
            self.scaler.step(rule)
        self.scaler.update()


def as_float(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Outputs of half precision as float32, which losses and metrics need."""
    return {key: value.float() if value.is_floating_point() else value for key, value in outputs.items()}


class Freeze:
    """Holds all but the head still while `on`: their weights and the statistics of their normalisation layers."""

    def __init__(self, model: Model) -> None:
        *self._body, _ = [list(stage) for stage in model.stages()]
        self._model = model
        self._learning = {p for stage in self._body for p in stage if p.requires_grad}
        self.on: bool | None = None

    def set(self, on: bool) -> None:
        """Also puts the model into training mode."""
        self.on = on
        for parameter in self._learning:
            parameter.requires_grad_(not on)
        self._model.train()
        for module in self._model.modules():
            own: list[Any] = list(module.parameters(recurse=False))
            if on and isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in own):
                module.eval()
