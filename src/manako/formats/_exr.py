"""Depth in OpenEXR files: one plane of numbers among the channels. Read by the package OpenEXR (the extra `exr`)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manako.errors import LabelError, MissingExtraError

_DEPTH = ("z", "depth", "v", "y")  # the last part of a channel's name, the surer before the less sure
_ALONE = Lock()


def exr_size(path: Path) -> tuple[int, int]:
    """(height, width) from the header alone. Raises LabelError, MissingExtraError."""
    (left, top), (right, bottom) = _opened(path, header_only=True).header()["dataWindow"]
    return int(bottom) - int(top) + 1, int(right) - int(left) + 1


def read_exr(path: Path) -> NDArray[np.float32]:
    """(H, W): the channel that says it is depth, the only one, or a grey picture's. Raises LabelError."""
    file = _opened(path, header_only=False)
    if not file.parts:  # damaged ones are left out, without an error
        raise LabelError("depth.unreadable", file=path, reason="OpenEXR")
    plane = _plane(path, {name: channel.pixels for name, channel in file.channels().items()})
    size = exr_size(path)
    if plane.shape != size:
        raise LabelError("depth.unreadable", file=path, reason=f"{plane.shape}, {size}")
    return plane.astype(np.float32)


def _plane(path: Path, channels: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    ends = {name.rpartition(".")[2].lower(): name for name in reversed(list(channels))}
    for end in _DEPTH:
        if end in ends:
            return channels[ends[end]]
    if len(channels) == 1:
        (only,) = channels.values()
        if only.ndim == 2:
            return only
        if np.array_equal(only[..., 0], only[..., 1]) and np.array_equal(only[..., 0], only[..., 2]):
            return only[..., 0]
    raise LabelError("depth.exr_channels", file=path, channels=", ".join(channels)[:120])


def _opened(path: Path, *, header_only: bool) -> Any:
    if find_spec("OpenEXR") is None:
        raise MissingExtraError("extra.missing", package="OpenEXR", extra="exr")
    import OpenEXR

    try:
        with (
            _ALONE,
            contextlib.redirect_stdout(sys.stderr),
        ):  # it prints; standard output is for results
            return OpenEXR.File(str(path), header_only=header_only)
    except Exception as error:  # RuntimeError, ValueError, and what the C++ library raises
        raise LabelError("depth.unreadable", file=path, reason=" ".join(str(error).split())[:160]) from None
