"""The machine's part: which device, which number format and memory layout, and how memory is kept."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from manako.blocks.model import Model
from manako.errors import ConfigError, ModelFileError
from manako.training.batch import Batch

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
TRIAL_SECONDS = 0.3  # of each candidate
HALF_MUST_GAIN = 0.9  # bfloat16 rounds: it must be clearly faster to be chosen
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Hardware:
    """precision: fp32, bf16 or fp16 (autocast). channels_last: memory layout of images and weights."""

    device: str = "cpu"
    precision: str = "fp32"
    channels_last: bool = True

    @property
    def layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    @property
    def waits(self) -> bool:
        """Whether reading a number from the device makes the program wait for it."""
        return not self.device.startswith("cpu")

    def autocast(self) -> AbstractContextManager[Any]:
        if self.precision == "fp32":
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, TYPES[self.precision])

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any], *, file: Path) -> Hardware:
        """From a checkpoint, which may be a stranger's. Raises ModelFileError."""
        good = set(record) == {"device", "precision", "channels_last"} and isinstance(record["device"], str)
        if not good or record["precision"] not in ("fp32", *TYPES) or not isinstance(record["channels_last"], bool):
            raise ModelFileError("checkpoint.field", file=file, field="hardware", value=repr(record)[:60])
        return cls(choose_device(record["device"]), record["precision"], record["channels_last"])


def choose_device(wanted: str) -> str:
    """ "auto": CUDA, else Apple's MPS, else the CPU. Raises ConfigError for one that isn't there."""
    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError("hardware.no_device", device=wanted, reason=str(error).splitlines()[0][:120]) from None
    return wanted


def keep_memory() -> None:
    """Let the C library keep freed memory. By default every large tensor is given back to the system and its pages
    are made anew at the next step: up to 40 % of the time of a training step on a CPU. Only glibc has this."""
    if sys.platform != "linux":
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(M_MMAP_THRESHOLD, 2**30)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    except (OSError, AttributeError):
        pass


def measure(
    model: Model,
    batch: Batch,
    *,
    device: str,
    precision: str = "auto",
) -> tuple[Hardware, dict[str, float]]:
    """The fastest combination for this model and batch on this machine, and the images a second of each tried.

    Takes about two seconds on a CPU, with as much of the batch as fits in them; weights and buffers come out as they
    went in. A GPU that has fast bfloat16 takes it untried. precision: not "auto" leaves only the layout to be chosen.
    """
    if torch.device(device).type != "cpu":
        fast = "bf16" if _gpu_likes_bf16(device) else "fp32"
        return Hardware(device, fast if precision == "auto" else precision, device.startswith("cuda")), {}
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    first = precision if precision != "auto" else "fp32"
    part = _affordable(model, batch, Hardware(device, first))
    tried = dict.fromkeys((Hardware(device, first), Hardware(device, first, False)), 0.0)
    if precision == "auto" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        tried[Hardware(device, "bf16")] = 0.0
    for hardware in tried:
        tried[hardware] = len(part) / _seconds(model, part, hardware)
    model.load_state_dict(kept)
    best = max(tried, key=lambda h: tried[h] * (1.0 if h.precision == first else HALF_MUST_GAIN))
    model.to(memory_format=best.layout)
    return best, {f"{h.precision}{' channels-last' if h.channels_last else ''}": speed for h, speed in tried.items()}


def _gpu_likes_bf16(device: str) -> bool:
    return device.startswith("cuda") and torch.cuda.get_device_capability(device)[0] >= 8


def _affordable(model: Model, batch: Batch, hardware: Hardware) -> Batch:
    """As many images of the batch as take `TRIAL_SECONDS`, two at least."""
    few = _first(batch, 2)
    _trial(model, few, hardware)
    seconds = _trial(model, few, hardware)
    return _first(batch, max(2, min(len(batch), round(2 * TRIAL_SECONDS / seconds))))


def _first(batch: Batch, count: int) -> Batch:
    index = torch.arange(min(count, len(batch)), device=batch.images.device)
    return Batch(batch.images[index], batch.targets.take(index))


def _seconds(model: Model, batch: Batch, hardware: Hardware) -> float:
    """The shortest of a few trials: other programs can only make one longer. The first one warms up."""
    _trial(model, batch, hardware)
    times = [_trial(model, batch, hardware)]
    while sum(times) < TRIAL_SECONDS:
        times.append(_trial(model, batch, hardware))
    return min(times)


def _trial(model: Model, batch: Batch, hardware: Hardware) -> float:
    """Seconds of one forward and backward."""
    model.to(memory_format=hardware.layout)
    started = time.perf_counter()
    images = model.normalise(batch.images).contiguous(memory_format=hardware.layout)
    with hardware.autocast():
        outputs = model(images)
    loss = model.loss({key: value.float() for key, value in outputs.items()}, batch.targets)
    loss.backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)
    return time.perf_counter() - started


def seed_device(seed: int, device: str) -> None:
    """Set the generators that dropout and its kin draw from."""
    torch.default_generator.manual_seed(seed)
    if device.startswith("cuda"):
        torch.cuda.manual_seed(seed)
