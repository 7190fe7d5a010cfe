"""The weights of a packaged ONNX file, layer by layer in the order of its graph: for networks written anew here.

The graph itself is never run; only its structure is read and its numbers are copied.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from manako.errors import MissingExtraError, ModelFileError

if TYPE_CHECKING:
    from onnx import NodeProto

KINDS: dict[str, tuple[type[nn.Module], ...]] = {
    "convolution": (nn.Conv2d, nn.ConvTranspose2d),
    "batch_norm": (nn.BatchNorm2d,),
    "layer_norm": (nn.LayerNorm,),
    "linear": (nn.Linear,),
}


class OnnxWeights:
    """layers: for each of KINDS the tensors of each layer, by PyTorch's names, as the graph goes through them."""

    def __init__(self, path: Path, *, package: str) -> None:
        """Raises ModelFileError where the file can't be read as ONNX."""
        import onnx
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

        self.path, self.package = path, package
        try:
            model = onnx.load(path)
        except (OSError, DecodeError, ValueError):
            raise ModelFileError("weights.damaged", file=path, package=package) from None
        self._facts = {entry.key: entry.value for entry in model.metadata_props}
        arrays = {i.name: np.array(onnx.numpy_helper.to_array(i)) for i in model.graph.initializer}
        self.layers: dict[str, list[dict[str, Tensor]]] = defaultdict(list)
        for kind, found in _layers(list(model.graph.node), arrays):
            self.layers[kind].append({name: torch.from_numpy(np.ascontiguousarray(v)) for name, v in found.items()})

    @classmethod
    def packaged(cls, package: str, file: str) -> OnnxWeights:
        """Of a file in an installed package, which is not imported. Raises MissingExtraError without the package."""
        spec = find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise MissingExtraError("weights.package", package=package)
        return cls(Path(spec.submodule_search_locations[0], file), package=package)

    def metadata(self, key: str) -> str:
        """Raises ModelFileError where the file has none."""
        if key not in self._facts:
            raise ModelFileError("weights.damaged", file=self.path, package=self.package)
        return str(self._facts[key])

    @torch.no_grad()
    def fill(self, network: nn.Module) -> None:
        """Give each layer of `network`, in its order, the tensors of the file's next layer of the same kind.

        Raises ModelFileError where the file has too few, or others.
        """
        rest = {kind: iter(found) for kind, found in self.layers.items()}
        for name, module in network.named_modules():
            kind = next((kind for kind, types in KINDS.items() if isinstance(module, types)), "")
            if not kind:
                continue
            found, own = next(rest.get(kind, iter(())), {}), module.state_dict()
            own.pop("num_batches_tracked", None)
            for key, value in own.items():
                if key not in found or found[key].shape != value.shape:
                    shape = tuple(found[key].shape) if key in found else ()
                    facts = {"name": f"{name}.{key}", "found": shape, "wanted": tuple(value.shape)}
                    raise ModelFileError("weights.shape", file=self.path, **facts)
                value.copy_(found[key])


def _layers(nodes: list[NodeProto], arrays: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each layer that has weights, with its arrays. A bias is what is added next; so is a layer norm's."""
    made = {output: node for node in nodes for output in node.output}
    used = {node.input[0]: node for node in reversed(nodes) if node.input}

    def added(node: NodeProto) -> dict[str, Any]:
        following = used.get(node.output[0])
        while following is not None and following.op_type == "Identity":  # only another name
            following = used.get(following.output[0])
        if following is None or following.op_type != "Add" or following.input[1] not in arrays:
            return {}
        return {"bias": arrays[following.input[1]].reshape(-1)}

    for node in nodes:
        known = [arrays[name] for name in node.input if name in arrays]
        if not known:
            continue
        if node.op_type in ("Conv", "ConvTranspose"):
            yield "convolution", {"weight": known[0], **({"bias": known[1]} if len(known) > 1 else added(node))}
        elif node.op_type == "BatchNormalization":
            yield "batch_norm", dict(zip(("weight", "bias", "running_mean", "running_var"), known, strict=True))
        elif node.op_type == "MatMul":
            yield "linear", {"weight": known[0].T, **added(node)}
        elif node.op_type == "Mul" and node.input[0] in made and made[node.input[0]].op_type == "Div" and known[0].ndim:
            yield "layer_norm", {"weight": known[0], **added(node)}
