"""Runs an exported model with ONNX Runtime. The file may come from a stranger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from manako.errors import ModelFileError
from manako.runtime.ahead import cores
from manako.runtime.card import ModelCard
from manako.runtime.onnx_file import checked_onnx
from manako.tasks import Output, get_task, task_names

# Pixels. A detector of 640 x 480: 47 ms of a processor for each of single images, 58 of four, 67 of sixteen.
_AT_ONCE = 2**18
_FATAL_ONLY = 4  # ONNX Runtime's own log, which would stand between our lines


class _Port(NamedTuple):
    """One input or output of the graph. A size is a number, or the name of one that is not fixed."""

    name: str
    type: str
    shape: list[int | str | None]


class OnnxEngine:
    """An `Engine` on the CPU. threads: 0 is one for each processor that this process may use.

    Raises ModelFileError where the file is damaged, holds more than a plain graph, or does not do what its card says.
    """

    def __init__(self, path: str | Path, *, threads: int = 0) -> None:
        self.path = Path(path)
        with checked_onnx(self.path) as (name, card):
            if card.task not in task_names():
                raise ModelFileError("onnx.task", file=self.path, task=card.task[:60])
            try:
                self._session = _session(name, threads or cores())
                inputs = [_Port(i.name, i.type, list(i.shape)) for i in self._session.get_inputs()]
                outputs = [_Port(o.name, o.type, list(o.shape)) for o in self._session.get_outputs()]
            except Exception as error:  # ONNX Runtime has its own tree of exceptions, which it does not publish
                reason = _first_line(error).replace(name, self.path.name)
                raise ModelFileError("onnx.damaged", file=self.path, reason=reason) from None
        self._card = card
        self._outputs = get_task(self._card.task).outputs
        self._input = self._checked_input(inputs)
        self._check_outputs(outputs)

    @property
    def card(self) -> ModelCard:
        return self._card

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """A few images at a time: what is between the layers then stays in the processors' caches."""
        few = max(1, _AT_ONCE // (images.shape[1] * images.shape[2]))
        parts = [self._run(images[start : start + few]) for start in range(0, len(images), few)]
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        names = [output.key for output in self._outputs]
        try:
            values = self._session.run(names, {self._input: images})
        except Exception as error:
            raise ModelFileError("onnx.failed", file=self.path, reason=_first_line(error)) from None
        for output, value in zip(self._outputs, values, strict=True):
            if not self._fits(output, value.shape, len(images)) or value.dtype != np.dtype(output.dtype):
                self._wrong(f"{output.key} {value.dtype} {value.shape}")
        return dict(zip(names, values, strict=True))

    def _checked_input(self, inputs: Sequence[_Port]) -> str:
        plan = self._card.preprocess
        wanted = [plan.height, plan.width, plan.channels]
        only = inputs[0] if len(inputs) == 1 else _Port("", "", [])
        found_sides = only.shape[1:]
        if plan.fit == "line" and len(found_sides) == 3 and not isinstance(found_sides[1], int):
            found_sides = [found_sides[0], plan.width, found_sides[2]]  # lines have widths of their own
        if only.type != "tensor(uint8)" or found_sides != wanted or isinstance(only.shape[0], int):
            found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs) or "-"
            self._wrong(f"{found}; uint8 [N, {plan.height}, {plan.width}, {plan.channels}]")
        return only.name

    def _check_outputs(self, outputs: Sequence[_Port]) -> None:
        shapes = {port.name: port.shape for port in outputs}
        for output in self._outputs:
            shape = shapes.get(output.key)
            if shape is None or not self._fits(output, shape):
                self._wrong(f"{output.key} {shape or '-'}")

    def _fits(self, output: Output, shape: Sequence[int | str | None], count: int | None = None) -> bool:
        """A size that is only a name, on either side, fits any."""
        known = {"N": count, "classes": len(self._card.classes)}
        wanted = [known.get(size) if isinstance(size, str) else size for size in output.shape]
        return len(shape) == len(wanted) and all(
            w is None or not isinstance(s, int) or w == s for w, s in zip(wanted, shape, strict=True)
        )

    def _wrong(self, found: str) -> None:
        raise ModelFileError("onnx.shape", file=self.path, found=found)


def _session(file: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Else its threads wait by keeping processors busy, which open the next images: on a shared machine, half the time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        file,
        options,
        providers=["CPUExecutionProvider"],
        # Folding runs parts of the graph while it is only being opened; exports have it done already.
        disabled_optimizers=["ConstantFolding"],
        # Its fallback to other devices prints on standard output, which belongs to results.
        enable_fallback=0,
    )


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
