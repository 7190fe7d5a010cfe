"""One process a run folder: a lock that the system itself lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from manako.errors import RunBusyError, StorageError

NAME = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the run folder while inside. Raises RunBusyError at once, naming the process that holds it.

    A file left by a killed process doesn't matter: what counts is the system's lock on it, which died with it.
    """
    path = folder / NAME
    descriptor = _acquire(path)
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        # Removed while still held, so that no other process can have taken this very file meanwhile.
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError("storage.unwritable", file=path, reason=error.strerror) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "?"
            os.close(descriptor)
            raise RunBusyError("run.busy", run=path.parent, pid=holder) from None
        if _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)  # its holder removed it between our open and our lock


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
