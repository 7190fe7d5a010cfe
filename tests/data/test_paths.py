"""Untrusted names, atomic writing, sources of images."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manako import paths
from manako.errors import DataError, StorageError, UsageError
from manako.paths import atomic_write, find_images, inside, printable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "x.png").touch()
    (tmp_path / "root2").mkdir()
    (tmp_path / "root2" / "x.png").touch()
    (tmp_path / "secret.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "outer").symlink_to(tmp_path)
    (folder / "in.png").symlink_to(folder / "a" / "x.png")
    (folder / "round").symlink_to(folder / "round")
    return folder


def test_names_inside(root: Path) -> None:
    real = root.resolve() / "a" / "x.png"
    for name in ("a/x.png", "./a//x.png", "a/../a/x.png", "a\\x.png", str(real), str(root / "a/x.png")):
        assert inside(root, name) == real, name
    assert inside(root, "in.png").resolve() == real
    (root.parent / "link").symlink_to(root)
    assert inside(root.parent / "link", "a/x.png") == real


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../secret.png", "escapes"),
        ("a/../../secret.png", "escapes"),
        ("../root2/x.png", "escapes"),
        ("../nothing-there.png", "escapes"),
        ("..\\secret.png", "escapes"),
        ("out.png", "escapes"),
        ("outer/secret.png", "escapes"),
        ("outer/root2/x.png", "escapes"),
        ("/etc/passwd", "escapes"),
        ("~/x.png", "missing"),
        ("C:\\x.png", "missing"),
        ("\\\\server\\share\\x.png", "missing"),
        ("a/none.png", "missing"),
        ("a/x.png/y.png", "missing"),
        ("", "bad_name"),
        ("a\0.png", "bad_name"),
        ("a" * 5000, "bad_name"),
        ("a" * 400, "bad_name"),
        ("round", "bad_name"),
    ],
)
def test_names_that_are_refused(root: Path, name: str, code: str) -> None:
    with pytest.raises(DataError) as caught:
        inside(root, name)
    assert caught.value.code == f"paths.{code}" and str(caught.value)


def test_a_neighbours_absolute_name_is_refused(root: Path) -> None:
    with pytest.raises(DataError):
        inside(root, str(root.parent / "root2" / "x.png"))


PARTS = st.sampled_from(["..", ".", "a", "x.png", "out.png", "outer", "secret.png", "root2", "in.png", "", "~"])


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(PARTS, min_size=1, max_size=6),
    joint=st.sampled_from(["/", "\\", "//"]),
    start=st.sampled_from(["", "/"]),
)
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, parts: list[str], joint: str, start: str) -> None:
    base = tmp_path_factory.getbasetemp() / "escape"
    if not base.exists():
        (base / "root" / "a").mkdir(parents=True)
        for name in ("root/a/x.png", "root/x.png", "secret.png"):
            (base / name).touch()
        (base / "root" / "outer").symlink_to(base)
        (base / "root" / "out.png").symlink_to(base / "secret.png")
    try:
        found = inside(base / "root", start + joint.join(parts))
    except DataError:
        return
    assert found.resolve().is_relative_to((base / "root").resolve())


def test_both_forms_of_accented_names(root: Path) -> None:
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        name = unicodedata.normalize(form, "ガラス_é.png")  # type: ignore[arg-type]
        (root / "a" / name).touch()
        assert inside(root, unicodedata.normalize(other, "a/ガラス_é.png")).name == name  # type: ignore[arg-type]
        (root / "a" / name).unlink()
    assert printable("cafe\u0301") == "café"
    assert printable(os.fsdecode(b"\xff.png")) == "\\xff.png"


def test_writing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    atomic_write(path, "日本語\n")
    assert path.read_bytes() == "日本語\n".encode()
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second" and names(path.parent) == ["file.txt"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_order_of_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file reaches the disk before its name does, and the name before we go on."""
    seen: list[str] = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda d: (seen.append(str(Path(f"/proc/self/fd/{d}").readlink())), sync(d))[1])
    monkeypatch.setattr(Path, "replace", lambda s, t: (seen.append("rename"), rename(s, t))[1])
    atomic_write(tmp_path / "file", b"x")
    assert [Path(s).name if i != 1 else s for i, s in enumerate(seen)][1:] == ["rename", tmp_path.name]
    assert Path(seen[0]).suffix == ".tmp"


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The kernel itself refuses to write further: the limit of a file's size stands for the disk's."""
    script = """
        import resource, signal, sys
        from pathlib import Path
        from manako.errors import StorageError
        from manako.paths import atomic_write
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        path = Path(sys.argv[1])
        atomic_write(path, b"old")
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            atomic_write(path, bytes(1_000_000))
        except StorageError as error:
            print(error.code, path.read_bytes(), len(list(path.parent.iterdir())))
        """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "storage.full b'old' 1\n"


def test_what_cant_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        atomic_write(tmp_path / "file" / "below", b"x")
    assert caught.value.code == "storage.unwritable"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "full").touch()
    with pytest.raises(StorageError):
        atomic_write(tmp_path / "folder", b"x")
    assert names(tmp_path) == ["file", "folder"]


def test_ctrl_c_leaves_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        atomic_write(tmp_path / "file", b"x")
    assert not names(tmp_path)


def test_temporaries_of_the_dead_are_removed_those_of_the_living_are_not(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    stale, alive = tmp_path / f".file.{dead.pid}-1.tmp", tmp_path / f".file.{os.getppid()}-1.tmp"
    stale.touch()
    alive.touch()
    atomic_write(tmp_path / "file", b"x")
    assert not stale.exists() and alive.exists()


def test_two_writers_never_mix(tmp_path: Path) -> None:
    contents = [bytes([number]) * 200_000 for number in range(4)]
    threads = [
        threading.Thread(target=lambda c=c: [atomic_write(tmp_path / "file", c) for _ in range(5)]) for c in contents
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "file").exists():
            assert (tmp_path / "file").read_bytes() in contents
    assert names(tmp_path) == ["file"]


def test_finding_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", ".hidden.png", "sub/c.webp", "sub/.git/d.png", "__MACOSX/e.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    assert [str(p.relative_to(tmp_path)) for p in find_images([tmp_path])] == ["a.png", "b.JPG", "sub/c.webp"]
    assert [p.name for p in find_images([str(tmp_path / "*.*p*g")])] == ["a.png"]
    assert [p.name for p in find_images([str(tmp_path / "**" / "*.webp")])] == ["c.webp"]
    assert [p.name for p in find_images([tmp_path / "notes.txt", "missing.png"])] == ["notes.txt", "missing.png"]
    monkeypatch.chdir(tmp_path)
    assert [str(p) for p in find_images(["*/*.webp", "./a.*"])] == ["sub/c.webp", "a.png"]
    with pytest.raises(UsageError):
        list(find_images(["a**b/*.png"]))
    (tmp_path / "[x].png").touch()
    assert [p.name for p in find_images([tmp_path / "[x].png"])] == ["[x].png"]
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{tmp_path}/a.png\r\n\n{tmp_path}/sub\n"))
    assert [p.name for p in find_images(["-"])] == ["a.png", "c.webp"]
    with pytest.raises(UsageError):
        list(find_images(["https://example.com/a.png"]))


class Lines:
    """Standard input with so many names; few differ, and those are known, since Python itself keeps a table of the
    names in paths, which it may have to enlarge for new ones."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.known = [sys.intern(f"{number}.png") for number in range(100)]

    def __iter__(self) -> Iterator[str]:
        return (f"{self.known[number % 100]}\n" for number in range(self.count))


def test_a_long_list_is_never_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """150,000 paths in a list take about 50 MB."""
    monkeypatch.setattr(sys, "stdin", Lines(150_000))
    tracemalloc.start()
    assert sum(1 for _ in find_images(["-"])) == 150_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_an_unreadable_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(paths.os, "scandir", refuse)
    with pytest.raises(DataError) as caught:
        list(find_images([tmp_path]))
    assert str(tmp_path) in str(caught.value)
