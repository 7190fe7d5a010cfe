"""`metrics.jsonl`: what each look at the validation images showed, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path

from manako.errors import StorageError
from manako.paths import atomic_write

Line = Mapping[str, float]


def read_history(path: Path) -> list[dict[str, float]]:
    """All whole lines; one that a crash cut off is left out. [] if there is no file."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    lines = []
    for raw in text.split("\n"):
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if isinstance(line, dict):
            lines.append(line)
    return lines


def append_history(path: Path, line: Line) -> None:
    """Add one line and bring it to the disk. Raises StorageError."""
    data = (json.dumps(line) + "\n").encode()
    try:
        with path.open("ab", buffering=0) as file:
            _write_whole(file, data)
    except OSError as error:
        raise StorageError("storage.full", file=path, reason=error.strerror) from error


def _write_whole(file: FileIO, data: bytes) -> None:
    """All of it or nothing: a full disk takes a part of a line without an error."""
    start, rest = file.seek(0, os.SEEK_END), memoryview(data)
    try:
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
    except OSError:
        file.truncate(start)
        raise


def write_history(path: Path, lines: Sequence[Line]) -> None:
    """The whole file anew: a resumed run drops what came after its checkpoint."""
    atomic_write(path, "".join(json.dumps(line) + "\n" for line in lines))
