"""Small pieces of networks that several models share, and the checks of their options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from manako.errors import ConfigError

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def activation(name: str, *, model: str) -> nn.Module:
    """The activation called `name`. Raises ConfigError naming the known ones."""
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ConfigError("model.option_choice", model=model, option="activation", value=name, choices=known)
    return ACTIVATIONS[name]()


def check_range(value: float, low: float, high: float, *, model: str, option: str) -> None:
    """Raises ConfigError unless low <= value <= high."""
    if not low <= value <= high:
        raise ConfigError("model.option_range", model=model, option=option, value=value, low=low, high=high)


def check_imgsz(imgsz: int, low: int, *, model: str) -> None:
    """Raises ConfigError where the network's poolings would leave nothing of the image."""
    if imgsz < low:
        raise ConfigError("model.imgsz", model=model, imgsz=imgsz, low=low)


def parameter_stages(*parts: nn.Module) -> Iterator[list[nn.Parameter]]:
    """The parameters of each part, in order; parts without any are left out."""
    for part in parts:
        found = list(part.parameters())
        if found:
            yield found


def check_variant(name: str, variants: Mapping[str, object], *, option: str) -> str:
    """`name`, if it is one of `variants`. Raises ConfigError naming them."""
    if name not in variants:
        known = ", ".join(variants)
        raise ConfigError("model.option_choice", model=name, option=option, value=name, choices=known)
    return name
