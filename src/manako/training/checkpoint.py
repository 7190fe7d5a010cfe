"""Checkpoints: one safetensors file each, the model card and the state as JSON in its metadata.

`best.safetensors` holds the weights to use and the card, nothing else; `last.safetensors` all that is needed to go
on. Reading either can run no code. What comes from a file is checked before it is used: it may be a stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from manako.errors import ModelFileError
from manako.paths import atomic_write
from manako.runtime.card import METADATA_KEY, ModelCard

STATE_KEY = "manako.state"
HEADER_LIMIT = 16 * 2**20  # bytes; a network of 10,000 tensors needs 1.5 MB
TYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """tensors: by name. state: plain values, empty in a file that holds only weights."""

    card: ModelCard
    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any] = field(default_factory=dict)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin with `prefix` and a slash, without it."""
        return {name[len(prefix) + 1 :]: t for name, t in self.tensors.items() if name.startswith(prefix + "/")}


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file so that a crash at any moment leaves the old one or the new one. Raises StorageError."""
    metadata = {METADATA_KEY: checkpoint.card.dumps()}
    if checkpoint.state:
        metadata[STATE_KEY] = json.dumps(checkpoint.state, sort_keys=True, allow_nan=False)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
    atomic_write(path, save(tensors, metadata))


def load_checkpoint(path: Path, *, task: str | None = None) -> Checkpoint:
    """Read and check a file that may come from a stranger.

    task: the only one accepted. Raises ModelFileError naming the file and the field: damaged, cut off, another
    version, another task, values that are not finite.
    """
    _check_header(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no iterator
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ModelFileError("checkpoint.damaged", file=path, reason=_one_line(error)) from None
    if METADATA_KEY not in metadata:
        raise ModelFileError("checkpoint.foreign", file=path)
    card = ModelCard.loads(metadata[METADATA_KEY], file=str(path))
    if task is not None and card.task != task:
        raise ModelFileError("checkpoint.task", file=path, found=card.task, task=task)
    _check_values(tensors, path)
    return Checkpoint(card, tensors, _state(metadata.get(STATE_KEY), path))


def load_into(model: nn.Module, tensors: Mapping[str, Tensor], *, file: Path) -> None:
    """Set the model's weights and buffers. Raises ModelFileError naming the first that does not fit."""
    own = model.state_dict()
    for name in own.keys() ^ tensors.keys():
        code = "checkpoint.missing" if name in own else "checkpoint.surplus"
        raise ModelFileError(code, file=file, field=name[:120])
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            shapes = {"found": tuple(tensor.shape), "expected": tuple(own[name].shape)}
            raise ModelFileError("checkpoint.shape", file=file, field=name[:120], **shapes)
    model.load_state_dict(dict(tensors))


def _check_header(path: Path) -> None:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
    except OSError as error:
        raise ModelFileError("checkpoint.unreadable", file=path, reason=error.strerror) from None
    if size < 8 or length > min(size - 8, HEADER_LIMIT):
        raise ModelFileError("checkpoint.damaged", file=path, reason=f"header of {length:,} bytes in {size:,}")


def _check_values(tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in TYPES:
            raise ModelFileError("checkpoint.type", file=path, field=name[:120], found=tensor.dtype)
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelFileError("checkpoint.not_finite", file=path, field=name[:120])


def _state(text: str | None, path: Path) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError("checkpoint.damaged", file=path, reason=_one_line(error)) from None
    if not isinstance(state, dict):
        raise ModelFileError("checkpoint.damaged", file=path, reason="state is no object")
    return state


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
