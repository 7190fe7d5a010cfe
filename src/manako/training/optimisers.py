"""Which rule moves which weight: parameter groups by depth, SGD, AdamW, Muon, and their state as plain tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.errors import ConfigError
from manako.training.muon import Muon, suits_muon


class Optimisers:
    """The optimisers of one model behind one `step`. Each group has its `scale`: its rate against the run's rate."""

    def __init__(self, model: nn.Module, rules: Iterable[Optimizer], *, lr: float) -> None:
        self.rules = tuple(rules)
        self.lr = lr
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}

    def set_rate(self, factor: float) -> float:
        """Set every group's rate to its share of `factor` (0..1) of the highest rate, and return the run's rate."""
        for rule in self.rules:
            for group in rule.param_groups:
                group["lr"] = self.lr * group["scale"] * factor
        return self.lr * factor

    def step(self) -> None:
        for rule in self.rules:
            rule.step()

    def clear(self) -> None:
        for rule in self.rules:
            rule.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The whole state: `<parameter>/<quantity>` -> tensor."""
        found: dict[str, Tensor] = {}
        for rule in self.rules:
            for parameter, state in rule.state.items():
                for key, value in state.items():
                    if isinstance(value, Tensor):
                        found[f"{self._names[parameter]}/{key}"] = value
        return found

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave. Raises KeyError for a parameter that isn't there, ValueError for a shape."""
        owners = {self._names[p]: (rule, p) for rule in self.rules for g in rule.param_groups for p in g["params"]}
        for name, value in tensors.items():
            owner, key = name.rsplit("/", 1)
            rule, parameter = owners[owner]
            if key not in _STATE[type(rule)]:
                raise KeyError(name)
            if value.ndim and value.shape != parameter.shape:
                raise ValueError(name)
            # A counter of steps stays where the rule keeps it (AdamW: on the CPU unless fused on a GPU).
            rule.state[parameter][key] = value.to(parameter.device if value.ndim else "cpu").clone()


_STATE: dict[type[Optimizer], tuple[str, ...]] = {
    SGD: ("momentum_buffer",),
    AdamW: ("step", "exp_avg", "exp_avg_sq"),
    Muon: ("momentum_buffer",),
}


def make_optimisers(
    model: Model,
    *,
    name: str,
    lr: float,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    layer_decay: float = 1.0,
) -> Optimisers:
    """name: "sgd" (Nesterov), "adamw", or "muon" (hidden weights by Muon, the rest by SGD)."""
    groups = parameter_groups(model, weight_decay=weight_decay, layer_decay=layer_decay)
    options: dict[str, Any] = {"lr": lr, "momentum": momentum, "nesterov": momentum > 0, "foreach": True}
    if name == "adamw":
        rules: list[Optimizer] = [AdamW(groups, lr=lr, betas=(momentum, 0.999), foreach=True)]
    elif name == "sgd":
        rules = [SGD(groups, **options)]
    elif name != "muon":
        raise ConfigError("training.open_setting", field="optimiser")
    else:
        hidden = suits_muon(model)
        mine = _only(groups, lambda p: hidden.get(p) is False) + [
            group | {"normalised": True} for group in _only(groups, lambda p: hidden.get(p) is True)
        ]
        rest = _only(groups, lambda p: p not in hidden)
        rules = [Muon(mine, lr=lr, momentum=momentum)] if mine else []
        rules += [SGD(rest, **options)] if rest else []
    return Optimisers(model, rules, lr=lr)


def configured_optimisers(model: Model, config: RunConfig, *, lr: float | None = None) -> Optimisers:
    """Those that `config` describes. lr: in place of its own. Raises ConfigError if the rate is still open."""
    highest = config.lr if lr is None else lr
    if highest is None:
        raise ConfigError("training.open_setting", field="lr")
    return make_optimisers(
        model,
        name=config.optimiser,
        lr=highest,
        momentum=0.9 if config.momentum is None else config.momentum,
        weight_decay=config.weight_decay or 0.0,
        layer_decay=1.0 if config.layer_decay is None else config.layer_decay,
    )


def parameter_groups(model: Model, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    """Groups of parameters with their `scale` and weight decay, from the input's side to the head.

    Each stage learns at `layer_decay` times the next one's rate (Howard and Ruder 2018). Biases and the vectors of
    normalisation layers aren't decayed.
    """
    stages = [list(stage) for stage in model.stages()]
    known = {p for stage in stages for p in stage}
    stages[-1] += [p for p in model.parameters() if p not in known]
    alike: dict[tuple[float, float], list[nn.Parameter]] = {}
    for depth, stage in enumerate(stages):
        scale = layer_decay ** (len(stages) - 1 - depth)
        for parameter in stage:
            alike.setdefault((scale, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": group, "weight_decay": decay, "scale": scale} for (scale, decay), group in alike.items()]


def _only(groups: list[dict[str, Any]], wanted: Any) -> list[dict[str, Any]]:
    kept = [group | {"params": [p for p in group["params"] if wanted(p)]} for group in groups]
    return [group for group in kept if group["params"]]
