"""`metrics.jsonl`: what each look at the validation images showed, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
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
            file.write(data)
            os.fsync(file.fileno())
    except OSError as error:
        raise StorageError("storage.full", file=path, reason=error.strerror) from error


def write_history(path: Path, lines: Sequence[Line]) -> None:
    """The whole file anew: a resumed run drops what came after its checkpoint."""
    atomic_write(path, "".join(json.dumps(line) + "\n" for line in lines))
