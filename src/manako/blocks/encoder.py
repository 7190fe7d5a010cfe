"""Networks of timm with their weights: whole ones, and encoders that give maps of several scales.

Source: PyTorch Image Models (R. Wightman, Apache-2.0). Weights come through timm's own loaders, except those of the
packaged backbone, which need no download.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import timm
from torch import Tensor, nn

from manako.blocks.pretrained import LITE0, LITE0_NOTICE, Note, fit_weights, packaged_lite0, reachable
from manako.errors import ConfigError

# Terms that let anyone use and sell what was trained from the weights.
FREE_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc-by-4.0", "cc0-1.0")


@dataclass(frozen=True, eq=False)
class Library:
    """A network of a library and what goes with its weights. mean, std: one number a channel."""

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pretrained: bool = False
    notice: str = ""
    notes: list[Note] = field(default_factory=list)


def timm_network(
    name: str,
    *,
    channels: int,
    imgsz: int,
    weights: str,
    any_licence: bool = False,
    arguments: Mapping[str, Any],
) -> Library:
    """Build a timm network. weights: "auto" loads learned ones where they can be had, any other value doesn't.

    arguments: passed on to `timm.create_model`. Without a connection the network starts from random weights and a
    note says so. Raises ConfigError for an unknown name and for weights whose licence forbids some uses.
    """
    config = _config(name)
    given = dict(arguments) | {"in_chans": channels} | ({"img_size": imgsz} if config.fixed_input_size else {})
    mean, std = (_for_channels(values, channels) for values in (config.mean, config.std))
    if weights != "auto":
        return Library(_create(name, given), mean, std)
    if name == LITE0:
        network = _create(name, given)
        return Library(network, mean, std, True, LITE0_NOTICE, _load_lite0(network))
    if config.license not in FREE_LICENCES and not any_licence:
        raise ConfigError("weights.licence", network=name, licence=config.license or "?")
    return _downloaded(name, config, given, Library(nn.Identity(), mean, std))


def _config(name: str) -> Any:
    base = name.split(".")[0]
    if not timm.is_model(base):
        near = get_close_matches(base, timm.list_models(), n=3)
        raise ConfigError("model.unknown_network", network=name, near=", ".join(near) or "resnet18")
    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # no such tag
        config = None
    if config is None:
        raise ConfigError("model.unknown_network", network=name, near=base)
    return config


def _create(name: str, given: Mapping[str, Any]) -> nn.Module:
    try:
        network: nn.Module = timm.create_model(name, pretrained=False, **given)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            "model.network_unfit", network=name, imgsz=given.get("img_size", "-"), reason=reason
        ) from None
    return network


def _for_channels(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return values if channels == len(values) else (sum(values) / len(values),) * channels


def _load_lite0(network: nn.Module) -> list[Note]:
    own = network.state_dict()
    state = {name: value for name, value in packaged_lite0().items() if name in own}
    head = [name for name in own if name.startswith("classifier.")]
    if head and own["classifier.bias"].numel() != state["classifier.bias"].numel():
        state = {name: value for name, value in state.items() if name not in head}
    fit_weights(network, state, head=head, source=LITE0)
    return [("weights.packaged", {})]


def _downloaded(name: str, config: Any, given: Mapping[str, Any], plain: Library) -> Library:
    """timm's own download, but without its minute of retries where there is no connection."""
    from huggingface_hub import constants, try_to_load_from_cache

    overlay = None
    cached = try_to_load_from_cache(config.hf_hub_id, "model.safetensors") if config.hf_hub_id else None
    if isinstance(cached, str):
        overlay = {"file": cached}
    reason = "no connection"
    if overlay or reachable(constants.ENDPOINT if config.hf_hub_id else str(config.url)):
        try:
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **given)
            note: Note = ("weights.downloaded", {"network": name, "licence": config.license or "?"})
            notice = f"Started from the weights of {name} (timm, {config.license or 'unknown licence'})."
            return Library(network, plain.mean, plain.std, True, notice, [note])
        except (OSError, RuntimeError) as error:
            reason = str(error).split("\n")[0]
    return Library(
        _create(name, given), plain.mean, plain.std, notes=[("weights.offline", {"network": name, "reason": reason})]
    )


class Encoder(nn.Module):
    """A backbone as a source of feature maps, from fine to coarse.

    forward: (N, C, H, W), normalised -> a list of maps (N, channels[i], H / strides[i], W / strides[i]).
    mean, std, pretrained, notice and notes are the library's, for the model that holds the encoder to take over.
    stride: what the coarsest maps are reduced by; below 32 the last layers are dilated instead, where the network knows
    that. levels: how many maps; None: all that the network has.
    """

    def __init__(
        self,
        network: str = LITE0,
        *,
        channels: int = 3,
        imgsz: int = 224,
        weights: str = "auto",
        any_licence: bool = False,
        stride: int = 32,
        levels: int | None = None,
    ) -> None:
        super().__init__()
        arguments: dict[str, Any] = {"features_only": True}
        arguments |= {"output_stride": stride} if stride != 32 else {}
        arguments |= {"out_indices": tuple(range(levels))} if levels else {}
        made = timm_network(
            network,
            channels=channels,
            imgsz=imgsz,
            weights=weights,
            any_licence=any_licence,
            arguments=arguments,
        )
        self.network = made.network
        self.mean, self.std, self.pretrained = made.mean, made.std, made.pretrained
        self.notice, self.notes = made.notice, made.notes
        information: Any = made.network.feature_info
        self.channels: tuple[int, ...] = tuple(information.channels())
        self.strides: tuple[int, ...] = tuple(information.reduction())
        if levels and hasattr(self.network, "blocks"):  # some networks keep the layers behind the last map
            last = str(information.module_name()[-1]).partition(".")[2]
            blocks = self.network.blocks
            assert isinstance(blocks, (nn.Sequential, nn.ModuleList))
            self.network.blocks = blocks[: int(last) + 1]

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.network(images)
        return maps

    def stages(self) -> list[list[nn.Parameter]]:
        """Parameters from the input's side on: plain layers, then every numbered part, as `Model.stages` wants them."""
        groups: list[list[nn.Parameter]] = []
        last: str | None = None
        for name, parameter in self.network.named_parameters():
            first, second, *deeper = name.split(".")
            part = "" if not deeper else f"{first}.{second}" if second.isdecimal() else first
            if part != last or not groups:
                groups.append([])
            groups[-1].append(parameter)
            last = part
        return groups
