"""A trained model as one ONNX file that needs no PyTorch, checked on real images before it is given out.

The graph takes uint8 images (N, H, W, C) of any number N; normalisation is inside, resizing outside (`Preprocess`).
PyTorch's newer exporter (`dynamo=True`) was chosen by trying both: it exports VGG at any input size, folds batch norm,
leaves no warning, and the other one is to be removed.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from manako.blocks.model import Model
from manako.errors import DataError, ModelFileError, StorageError, UsageError
from manako.images import LINE_STEP
from manako.messages import message
from manako.paths import atomic_write
from manako.runtime.card import METADATA_KEY, ModelCard
from manako.runtime.onnx_engine import OnnxEngine
from manako.runtime.parity import Parity, compare
from manako.tasks import get_task
from manako.training.engine import TorchEngine, WithPixels
from manako.training.suppressed import Suppressed
from manako.types import Sample

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18


@dataclass(frozen=True)
class ExportResult:
    """What was written, and what the export was measured to keep (see `runtime.parity.Parity`)."""

    path: Path
    format: str
    opset: int
    bytes: int
    parity: Parity

    def as_json(self) -> dict[str, object]:
        return {
            "path": str(self.path),
            "format": self.format,
            "opset": self.opset,
            "bytes": self.bytes,
            "images": self.parity.count,
            "max_difference": self.parity.max_difference,
            "same_answers": self.parity.same_answers,
            "score_before": _number(self.parity.score_before),
            "score_after": _number(self.parity.score_after),
        }

    def text(self) -> str:
        numbers = asdict(self.parity) | {"path": self.path, "megabytes": self.bytes / 1e6, "opset": self.opset}
        return message("export.done_unscored" if math.isnan(self.parity.score_before) else "export.done", **numbers)


def _number(value: float) -> float | None:
    """None where the images can't tell the score."""
    return value if math.isfinite(value) else None


def export_onnx(
    model: Model,
    card: ModelCard,
    path: str | Path,
    *,
    samples: Sequence[Sample],
    classes: Sequence[str],
    opset: int = OPSET,
    suppress: bool = False,
) -> ExportResult:
    """Write `model` to `path`, compared with PyTorch (float32, CPU) on validation `samples` first.

    classes: the names behind the ids of the samples' targets. suppress: of objects, what was found twice is left out
    within the graph. Raises UsageError where that can't be asked, ModelFileError, and leaves no file, where the
    model is no plain graph, outputs differ or over a tenth of a point of the score is lost; DataError where no image
    can be compared.
    """
    if model.not_exportable:
        raise ModelFileError("export.impossible", model=card.model, reason=message(model.not_exportable))
    if not samples:
        raise DataError("parity.nothing")
    if suppress and card.task != "detection":
        raise UsageError("export.nms_task", task=card.task)
    network = Suppressed(model, card.settings["iou"]) if suppress else model
    target = Path(path)
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError("storage.unwritable", file=folder, reason=error.strerror) from error
    graph = _graph(network, card, opset)
    trial = folder / f".{target.name}.{os.getpid()}.trial"
    try:
        atomic_write(trial, _with_card(graph, card))
        parity = compare(TorchEngine(network, card), OnnxEngine(trial), samples, classes)
    finally:
        trial.unlink(missing_ok=True)
    if not parity.kept:
        raise ModelFileError("export.lost" if parity.lost else "export.differs", file=target, **asdict(parity))
    numbers = {name: float(value) for name, value in asdict(parity).items() if math.isfinite(value)}
    numbers["opset"] = float(opset)
    data = _with_card(graph, replace(card, parity=numbers))
    atomic_write(target, data)
    return ExportResult(target, "onnx", opset, len(data), parity)


def _graph(model: Model | Suppressed, card: ModelCard, opset: int) -> ModelProto:
    """The network as an ONNX graph, its input `images` and its outputs named as in the task."""
    keys = tuple(output.key for output in get_task(card.task).outputs)
    network = WithPixels(model, keys).cpu().eval()
    plan = card.preprocess
    lines = plan.fit == "line"  # of any width
    width = 5 * LINE_STEP if lines else plan.width
    example = torch.zeros((2, plan.height, width, plan.channels), dtype=torch.uint8)
    free = {0: torch.export.Dim("N")} | ({2: LINE_STEP * torch.export.Dim("W", min=1)} if lines else {})
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            input_names=["images"],
            output_names=list(keys),
            dynamic_shapes=(free,),
            opset_version=opset,
            verbose=False,
        )
    if program is None:
        raise ModelFileError("export.failed", model=card.model)
    graph: ModelProto = program.model_proto
    _forget_sources(graph)
    if lines:
        _free_steps(graph)
    return graph


def _free_steps(graph: ModelProto) -> None:
    """The exporter writes down how many steps an LSTM took in the example, [steps, -1, width]: 0 takes those there."""
    from onnx import numpy_helper

    shapes = {node.input[1] for node in graph.graph.node if node.op_type == "Reshape"}
    recurrent = any(node.op_type == "LSTM" for node in graph.graph.node)
    for tensor in graph.graph.initializer if recurrent else ():
        sizes = numpy_helper.to_array(tensor).tolist() if tensor.name in shapes else []
        if len(sizes) == 3 and sizes[0] > 0 and sizes[1] == -1:
            tensor.CopyFrom(numpy_helper.from_array(np.array([0, *sizes[1:]], np.int64), tensor.name))
            for node in graph.graph.node:
                if node.op_type == "Reshape" and node.input[1] == tensor.name:
                    del node.attribute[:]  # `allowzero` would take the 0 at its word


def _forget_sources(graph: ModelProto) -> None:
    """Leave out what the exporter notes for debugging: stack traces with the paths of this machine."""
    del graph.metadata_props[:], graph.graph.metadata_props[:]
    graph.doc_string, graph.graph.doc_string = "", ""
    for part in (
        *graph.graph.node,
        *graph.graph.value_info,
        *graph.graph.initializer,
        *graph.graph.input,
        *graph.graph.output,
    ):
        del part.metadata_props[:]
        part.doc_string = ""


def _with_card(graph: ModelProto, card: ModelCard) -> bytes:
    del graph.metadata_props[:]
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, card.dumps()
    data: bytes = graph.SerializeToString()
    return data


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """The exporter's warnings and log say nothing that a person could act on; the comparison afterwards does."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
