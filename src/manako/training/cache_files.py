"""Where decoded images lie between runs: one array file and one note beside it, named after what they hold.

The array is mapped, not loaded: a split larger than the memory can be trained on. The name follows from the images'
paths, sizes and times, so changed data are decoded again. The array is renamed into place last, so half a cache is
never found.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.errors import StorageError
from manako.paths import atomic_write
from manako.types import Frame, Problem, Sample

KEPT_ON_DISK = 20 * 2**30  # bytes of all caches together; the longest unused ones go first
Outcome = Frame | Problem  # of one image: how it was fitted, or why it can't be read


def cache_folder() -> Path:
    """MANAKO_CACHE, else `manako` in the user's cache folder."""
    own = os.environ.get("MANAKO_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "manako"


@dataclass(frozen=True)
class CacheFile:
    """The array `path` (raw uint8 of `shape`) and the outcomes in `path` with the suffix .json."""

    path: Path
    shape: tuple[int, ...]

    @classmethod
    def of(cls, folder: Path, samples: Sequence[Sample], *, shape: tuple[int, ...], facts: str) -> CacheFile:
        """The file for these samples, decoded in the way that `facts` tells."""
        digest = hashlib.sha256(facts.encode())
        state: dict[Path, str] = {}
        for sample in samples:
            if sample.image not in state:
                state[sample.image] = _state(sample.image)
            digest.update(f"{state[sample.image]}\0{sample.frame}\n".encode())
        return cls(folder / f"{digest.hexdigest()[:32]}.images", shape)

    @property
    def _partial(self) -> Path:
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")

    def find(self) -> tuple[NDArray[np.uint8], list[Outcome]] | None:
        """What an earlier run has left, or None. Marks it as used now."""
        try:
            outcomes = [_outcome(o) for o in json.loads(self.path.with_suffix(".json").read_text("utf-8"))]
            if self.path.stat().st_size != prod(self.shape) or len(outcomes) != self.shape[0]:
                return None
            os.utime(self.path)
            return np.memmap(self.path, np.uint8, "r", shape=self.shape), outcomes
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def reserve(self) -> NDArray[np.uint8]:
        """A writable array on disk, its room taken beforehand: a mapped file on a full disk would kill the process."""
        size = prod(self.shape)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_abandoned(self.path.parent)
            with self._partial.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(self._partial, np.uint8, "r+", shape=self.shape)
        except OSError as error:
            self.discard()
            code = "storage.full" if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "storage.unwritable"
            raise StorageError(code, file=self.path, reason=error.strerror) from error

    def commit(self, images: NDArray[np.uint8], outcomes: list[Outcome]) -> None:
        """The array is whole: give it its name."""
        assert isinstance(images, np.memmap)
        images.flush()
        atomic_write(self.path.with_suffix(".json"), json.dumps([_as_json(o) for o in outcomes]))
        self._partial.replace(self.path)

    def discard(self) -> None:
        with suppress(OSError):
            self._partial.unlink()


def purge(folder: Path, *, keep: Path, limit: int = KEPT_ON_DISK) -> None:
    """Remove the longest unused caches until all together take at most `limit` bytes. Never `keep`."""
    files = [(p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.images")]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total > limit and path != keep:
            with suppress(OSError):
                path.unlink()
                path.with_suffix(".json").unlink(missing_ok=True)
            total -= size


def _state(path: Path) -> str:
    try:
        seen = path.stat()
    except OSError:
        return f"{path} missing"
    return f"{path.absolute()} {seen.st_size} {seen.st_mtime_ns}"


def _remove_abandoned(folder: Path) -> None:
    """Partial files of processes that were killed."""
    for path in folder.glob(".*.partial"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            path.unlink(missing_ok=True)


def _as_json(outcome: Outcome) -> dict[str, object]:
    if isinstance(outcome, Frame):
        return asdict(outcome)
    facts = {name: value if isinstance(value, (int, float)) else str(value) for name, value in outcome.facts.items()}
    return {"code": outcome.code, "facts": facts, "severity": outcome.severity, "samples": list(outcome.samples)}


def _outcome(record: dict[str, object]) -> Outcome:
    if "code" not in record:
        return Frame(**record)  # type: ignore[arg-type]
    return Problem(**record | {"samples": tuple(record["samples"])})  # type: ignore[arg-type]
