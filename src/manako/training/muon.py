"""Muon: steps along the orthogonalised momentum of whole weight matrices (Jordan et al. 2024, "Muon")."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from manako.blocks.model import Model

QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of Jordan's iteration: singular values go to about 0.7 .. 1.2
ITERATIONS = 5
PIXELS = 27  # columns of a 3 x 3 convolution of colours; matrices up to this width are left to SGD
PASSING = (nn.MaxPool2d, nn.AvgPool2d, nn.Identity)  # hand a change of scale on as it is
NORMS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def orthogonalise(matrices: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(B, R, C) -> about U V^T of each U S V^T, by Newton-Schulz iteration; bfloat16 suffices where it is fast."""
    a, b, c = QUINTIC
    x = matrices.to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(gram, gram, gram, beta=b, alpha=c) @ x
    turned: Tensor = x.mT if tall else x
    return turned.to(matrices.dtype)


class Muon(Optimizer):
    """For weights of two or more dimensions; a convolution counts as (out, in * height * width).

    A group with `normalised` keeps each weight's norm and turns it by an angle of about the learning rate (Jordan 2024,
    "94% on CIFAR-10 in 3.29 seconds", but there all norms are sqrt(rows)): right where a normalisation layer follows,
    which makes the weight's size meaningless. Otherwise the step is scaled by sqrt(max(1, rows / columns)) and the
    weight decays.
    """

    def __init__(self, params: Any, *, lr: float, momentum: float = 0.9, weight_decay: float = 0.0) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "normalised": False}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[parameter.flatten(1).shape].append(parameter)
            for parameters in alike.values():
                self._move(parameters, group)

    def _move(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        """One step of parameters that are the same matrix shape, orthogonalised together."""
        wanted = torch.stack([self._direction(p, group["momentum"]).flatten(1) for p in parameters])
        steps = orthogonalise(wanted, dtype=_fast_type(wanted.device))
        rows, columns = wanted.shape[1:]
        for parameter, step in zip(parameters, steps, strict=True):
            if group["normalised"]:
                _turn(parameter, step.view_as(parameter), lr=group["lr"])
            else:
                parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
                parameter.add_(step.view_as(parameter), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _direction(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        buffer: Tensor = state["momentum_buffer"]
        buffer.mul_(momentum).add_(parameter.grad)
        return parameter.grad.add(buffer, alpha=momentum)


def _turn(weight: Tensor, step: Tensor, *, lr: float) -> None:
    """Move on the sphere of the weight's own norm, by an angle that doesn't depend on the norm."""
    rows = weight.shape[0] ** 0.5
    norm = weight.norm()
    norm = torch.where(norm > 0, norm, rows)
    weight.sub_(step * (lr * norm / rows))
    weight.mul_(norm / weight.norm().clamp_min(1e-12))


def _fast_type(device: torch.device) -> torch.dtype:
    if device.type == "cuda" or (device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return torch.bfloat16
    return torch.float32


def suits_muon(model: Model) -> dict[Tensor, bool]:
    """The weights that Muon should move -> whether a normalisation layer takes the output (it stands next to the
    convolution in their common parent). Not the head; not convolutions of narrow matrices: depthwise ones, and first
    ones of 3 x 3 pixels."""
    *_, head = model.stages()
    last: set[Tensor] = set(head)
    found: dict[Tensor, bool] = {}
    for parent in model.modules():
        children = [child for child in parent.children() if not isinstance(child, PASSING)]
        for child, following in zip(children, [*children, None][1:], strict=True):
            if isinstance(child, (nn.Conv2d, nn.Linear)) and _wide(child.weight) and child.weight not in last:
                found[child.weight] = isinstance(child, nn.Conv2d) and isinstance(following, NORMS)
    return found


def _wide(weight: Tensor) -> bool:
    return weight.flatten(1).shape[1] > PIXELS
