"""Names from data become paths here, and files are written here so that a crash leaves the old one or the new one.

Nothing else in Manako joins an untrusted name to a folder or replaces a file.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

from manako.errors import DataError, StorageError, UsageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".avif"}
)
_SYSTEM_NAMES = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN", "lost+found"})
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def inside(root: Path, name: str) -> Path:
    """The existing file `name` below `root`, where `name` comes from a stranger's label file.

    Windows' backslashes and both Unicode forms of accented names (NFC, NFD) are understood. An absolute name is
    taken only if it lies in `root`. Raises DataError: "paths.bad_name", "paths.escapes" (also through a link), or
    "paths.missing".
    """
    if not name or "\0" in name or len(name) > 4096:
        raise DataError("paths.bad_name", name=name[:80])
    real_root = os.path.realpath(root)
    for spelling in _spellings(name):
        path = os.path.normpath(os.path.join(real_root, spelling))  # noqa: PTH118 - os.path is 5 times faster
        if not _within(real_root, path):
            if _ABSOLUTE.match(spelling) and _within(real_root, os.path.realpath(path)):
                path = os.path.realpath(path)
            else:
                raise DataError("paths.escapes", name=name, root=root)
        try:
            found = os.path.realpath(path, strict=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:  # a loop of links, a name too long
            raise DataError("paths.bad_name", name=name[:80]) from error
        if not _within(real_root, found):
            raise DataError("paths.escapes", name=name, root=root)
        return Path(path)
    raise DataError("paths.missing", name=name, root=root)


def _spellings(name: str) -> list[str]:
    slashed = name.replace("\\", "/")
    forms = [name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)]
    if slashed != name and not name.startswith("\\"):
        forms += [slashed, unicodedata.normalize("NFC", slashed), unicodedata.normalize("NFD", slashed)]
    return list(dict.fromkeys(forms))


def _within(root: str, path: str) -> bool:
    return path == root or path.startswith(root if root.endswith(os.sep) else root + os.sep)


def leads_outside(root: Path, path: Path) -> bool:
    """Whether `path`, links followed, lies outside `root`."""
    return not _within(os.path.realpath(root), os.path.realpath(path))


def printable(name: str) -> str:
    """A file's name as text that every file and screen can hold: NFC; bytes that aren't UTF-8 are written `\\x..`."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return unicodedata.normalize("NFC", text)


def is_hidden(name: str) -> bool:
    """Hidden files, and those that operating systems leave behind."""
    return name.startswith(".") or name in _SYSTEM_NAMES


def atomic_write(path: Path, data: bytes | str) -> None:
    """Write a whole file (text as UTF-8): after a crash or a full disk there is the old file or the new one.

    Raises StorageError; no temporary file is left, and those of killed processes are removed.
    """
    path = Path(path)
    content = data.encode("utf-8") if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(path)
        temporary.unlink(missing_ok=True)
        _write_synced(temporary, content)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        raise StorageError(
            "storage.full" if full else "storage.unwritable", file=path, reason=error.strerror
        ) from error
    except BaseException:  # Ctrl-C
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


@contextlib.contextmanager
def new_folder(out: Path, *, apart_from: Path) -> Iterator[Path]:
    """A folder to fill, which gets the name `out` when all went well and is removed when not.

    Raises UsageError where `out` holds something or lies within `apart_from`, StorageError where it can't be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError("check.out_not_empty", folder=out)
    if out.resolve().is_relative_to(apart_from.resolve()):
        raise UsageError("check.out_in_data", folder=out, data=apart_from)
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    except OSError as error:
        raise StorageError("storage.unwritable", file=out, reason=error.strerror) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows can't open a folder; it has no need to
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Temporaries of processes that were killed while writing this file."""
    for old in path.parent.glob(f".{glob.escape(path.name)}.*-*.tmp"):
        pid = old.name[len(path.name) + 2 :].partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            old.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # there, os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def find_images(sources: Iterable[str | Path], *, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> Iterator[Path]:
    """Image files named by `sources`, one at a time: files, folders (searched through, sorted by name), patterns
    such as `photos/*.jpg`, and "-" for a list on standard input, one name a line.

    A named file that doesn't exist is passed on: opening it reports it, and the others still come. Only one folder's
    names are held in memory. suffixes: of the files that are taken from folders. Raises UsageError for a URL: Manako
    fetches nothing.
    """
    for source in sources:
        text = os.fspath(source)
        if text == "-":
            for line in sys.stdin:
                if name := line.rstrip("\r\n"):
                    yield from _expand(name, suffixes)
        else:
            if _URL.match(text):
                raise UsageError("paths.url", source=text)
            yield from _expand(text, suffixes)


def _expand(text: str, suffixes: frozenset[str]) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        yield from _walk(path, suffixes)
    elif not path.exists() and glob.has_magic(text):
        for match in _matches(text):
            yield from _walk(match, suffixes) if match.is_dir() else [match]
    else:
        yield path


def _matches(pattern: str) -> list[Path]:
    """`Path.glob`, unlike the glob module, doesn't follow links round in circles."""
    named, anchor = Path(pattern).parts, Path(pattern).anchor
    try:
        found = Path(anchor).glob(str(Path(pattern))[len(anchor) :])
        return sorted(p for p in found if not any(is_hidden(part) for part in p.parts if part not in named))
    except ValueError as error:
        raise UsageError("paths.bad_pattern", pattern=pattern, reason=error) from error


def _walk(folder: Path, suffixes: frozenset[str]) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries if not is_hidden(e.name))
    except OSError as error:
        raise DataError("paths.unreadable_folder", folder=folder, reason=error.strerror) from error
    for name, is_folder in names:
        if is_folder:
            yield from _walk(folder / name, suffixes)
        elif os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122
            yield folder / name
