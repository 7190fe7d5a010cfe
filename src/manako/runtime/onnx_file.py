"""What an ONNX file holds, found without running or trusting it: a walk over the protobuf wire format.

A Manako model is one flat graph of standard operators with all weights inside. Whatever could reach beyond that is
refused before ONNX Runtime sees the file: external data (reads other files), operators of other domains (load code),
local functions, subgraphs (loops without end), training graphs, settings for the runtime.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from manako.errors import ModelFileError
from manako.runtime.card import METADATA_KEY, ModelCard

LARGEST = 2**31 - 1  # bytes; the format itself ends there
LARGEST_CARD = 8 * 2**20
_DEEPEST = 8

# Field numbers of onnx.proto (ONNX 1.17), by message. Messages that are walked into, and what they are.
_INSIDE = {
    "model": {7: "graph", 8: "opset", 14: "property"},
    "graph": {1: "node", 5: "tensor", 15: "sparse_tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 10: "tensor", 22: "sparse_tensor", 23: "sparse_tensor"},
    "sparse_tensor": {1: "tensor", 2: "tensor"},
}
_REFUSED = {
    ("model", 20): "training graph",
    ("model", 25): "local function",
    ("attribute", 6): "subgraph",
    ("attribute", 11): "subgraph",
    ("attribute", 21): "reference to a function's attribute",
    ("tensor", 13): "external data",
}
_DOMAINS = (b"", b"ai.onnx")


@contextmanager
def checked_onnx(path: Path) -> Iterator[tuple[str, ModelCard]]:
    """A name for ONNX Runtime to open the checked file by, and its card. Raises ModelFileError; opens no other file.

    On Linux the name is that of the open file itself: what was checked is what is opened, even if another file takes
    its place meanwhile.
    """
    with _open(path) as file:
        yield _name(file, path), _card(file, path)


def _card(file: BinaryIO, path: Path) -> ModelCard:
    try:
        text = _Walk(memoryview(file.read()), path).card()
    except (ValueError, IndexError, RecursionError) as error:
        raise ModelFileError("onnx.damaged", file=path, reason=str(error)) from None
    except OSError as error:
        raise ModelFileError("onnx.unreadable", file=path, reason=error.strerror or str(error)) from None
    return ModelCard.loads(text, file=str(path))


def _open(path: Path) -> BinaryIO:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
            raise ModelFileError("onnx.not_a_file", file=path)
        if not 0 < status.st_size <= LARGEST:
            raise ModelFileError("onnx.size", file=path, size=status.st_size, limit=LARGEST)
        return path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError("onnx.unreadable", file=path, reason=reason) from None


def _name(file: BinaryIO, path: Path) -> str:
    name = Path("/proc/self/fd") / str(file.fileno())
    return str(name if name.exists() else path)


class _Walk:
    """One pass over the file. Raises ValueError where the wire format is broken, ModelFileError for what is refused."""

    def __init__(self, data: memoryview, path: Path) -> None:
        self._data = data
        self._path = path
        self._properties: dict[bytes, bytes] = {}

    def card(self) -> str:
        self._message("model", 0, len(self._data), 0)
        text = self._properties.get(METADATA_KEY.encode())
        if text is None or set(self._properties) != {METADATA_KEY.encode()}:
            raise ModelFileError("onnx.no_card", file=self._path)
        if len(text) > LARGEST_CARD:
            raise ValueError("the model card is too long")
        return text.decode("utf-8")

    def _message(self, kind: str, start: int, end: int, depth: int) -> None:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        inside = _INSIDE.get(kind, {})
        texts: dict[int, bytes] = {}
        for number, wire, low, high in _fields(self._data, start, end):
            self._check(kind, number, wire, low, high)
            if wire == 2 and number in inside:
                self._message(inside[number], low, high, depth + 1)
            elif wire == 2 and kind == "property":
                texts[number] = bytes(self._data[low:high])
        if kind == "property":
            name = texts.get(1, b"")
            if name in self._properties:
                raise ValueError("two entries of one name in the metadata")
            self._properties[name] = texts.get(2, b"")

    def _check(self, kind: str, number: int, wire: int, low: int, high: int) -> None:
        if (kind, number) in _REFUSED:
            self._refuse(_REFUSED[kind, number])
        if (kind, number) == ("tensor", 14) and (wire != 0 or _varint(self._data, low, high)[0] != 0):
            self._refuse("external data")
        if (kind, number) in (("opset", 1), ("node", 7)):
            domain = bytes(self._data[low : min(high, low + 60)])
            if domain not in _DOMAINS:
                self._refuse(f"operators of {domain.decode('utf-8', 'replace')!r}")

    def _refuse(self, what: str) -> None:
        raise ModelFileError("onnx.refused", file=self._path, what=what)


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, wire type, start, end) of each field of a message. Raises ValueError where it is broken."""
    place = start
    while place < end:
        tag, place = _varint(data, place, end)
        number, wire = tag >> 3, tag & 7
        if number == 0 or tag >= 2**32:
            raise ValueError("a field without a number")
        low = place
        if wire == 0:
            _, place = _varint(data, place, end)
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        elif wire == 2:
            size, low = _varint(data, place, end)
            place = low + size
        else:
            raise ValueError(f"a field of the unknown kind {wire}")
        if place > end:
            raise ValueError("cut off")
        yield number, wire, low, place


def _varint(data: memoryview, start: int, end: int) -> tuple[int, int]:
    value = 0
    for place in range(start, min(end, start + 10)):
        value |= (data[place] & 127) << 7 * (place - start)
        if data[place] < 128:
            return value & (2**64 - 1), place + 1
    raise ValueError("cut off")
