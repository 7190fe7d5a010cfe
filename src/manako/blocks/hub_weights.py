"""Published weights of transformers' networks: from a local file or folder, or from the hub."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from manako.blocks.model import Model
from manako.blocks.pretrained import fit_weights, reachable, read_weights, start

_FILE = "model.safetensors"


def take_weights(
    model: Model, weights: str, *, name: str, head: Iterable[str] = (), unused: tuple[str, ...] = ()
) -> None:
    """What `weights` says, into `model.network`, which is transformers' own.

    "none"; "auto": the Apache-2.0 weights `name` of the hub ("" where none are published); else a folder or file with
    published weights, or another run's file. Without a connection the network stays as it was made, and a note says so.
    head: see `fit_weights`. unused: beginnings of names that the network doesn't have. Raises ModelFileError.
    """
    if weights == "none" or (weights == "auto" and not name):
        return
    path = _from_hub(model, name) if weights == "auto" else Path(weights)
    if path is None:
        return
    path = path / _FILE if path.is_dir() else path
    state = read_weights(path)
    if any(key.startswith("network.") for key in state):
        start(model, str(path))
        return
    network = model.network
    assert isinstance(network, nn.Module)
    notes = fit_weights(network, _without(state, unused), head=head, source=path)
    model.pretrained = True
    if weights == "auto":
        model.notice = f"Started from the weights of {name} (Apache-2.0)."
        model.notes.append(("weights.downloaded", {"network": name, "licence": "Apache-2.0"}))
    else:
        model.notes.append(("weights.file", {"file": path}))
    model.notes += notes


def _without(state: dict[str, Tensor], unused: tuple[str, ...]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.startswith(unused)} if unused else state


def _from_hub(model: Model, name: str) -> Path | None:
    """The file, kept in the library's own cache."""
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, _FILE)
        if not isinstance(cached, str):
            if not reachable(constants.ENDPOINT):
                raise OSError("no connection")
            cached = hf_hub_download(name, _FILE)
    except (OSError, RuntimeError, ValueError) as error:
        model.notes.append(("weights.offline", {"network": name, "reason": str(error).split("\n")[0]}))
        return None
    return Path(cached)
