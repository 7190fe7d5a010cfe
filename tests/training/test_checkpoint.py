"""Checkpoints: whole or not at all on the disk, and never trusted when read."""

import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from training_helpers import TinyNet, small_card, small_fit

from manako.errors import ModelFileError, StorageError
from manako.runtime.card import METADATA_KEY
from manako.training.checkpoint import STATE_KEY, Checkpoint, load_checkpoint, load_into, save_checkpoint
from manako.training.history import append_history, read_history


def checkpoint(value: float = 1.0) -> Checkpoint:
    return Checkpoint(small_card(), {"a": torch.full((3, 5), value), "n": torch.tensor(7)}, {"step": 3})


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "x.safetensors"
    tensors = {"half": torch.rand(2, 3).bfloat16(), "one": torch.tensor(2.5), "turned": torch.rand(4, 6).T}
    save_checkpoint(path, Checkpoint(small_card(scores={"accuracy": 0.5}), tensors, {"step": 1, "lr": 0.1 + 0.2}))
    read = load_checkpoint(path, task="classification")
    assert read.card == small_card(scores={"accuracy": 0.5})
    assert read.state == {"step": 1, "lr": 0.1 + 0.2}
    assert read.tensors.keys() == tensors.keys()
    assert all(torch.equal(read.tensors[name], tensors[name]) for name in tensors)


# --- the disk --------------------------------------------------------------------------------------------------------


@contextmanager
def largest_file(size: int):
    """No file may grow beyond `size` bytes: the write fails in the system, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if done.returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_the_old_checkpoint(small_disk):
    path = small_disk / "last.safetensors"
    save_checkpoint(path, checkpoint())
    before = path.read_bytes()
    large = Checkpoint(small_card(), {"a": torch.rand(30_000)})
    with pytest.raises(StorageError) as error:
        save_checkpoint(path, large)
    assert error.value.code == "storage.full"
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [path.name for path in small_disk.iterdir()] == ["last.safetensors"]
    (small_disk / "fill").write_bytes(b"0" * (60 * 1024 - len(before) // 4096 * 4096 - 4096))
    with pytest.raises(StorageError):
        for _ in range(4096):
            append_history(small_disk / "metrics.jsonl", {"epoch": 1.0, "loss": 0.5})
    assert all(line == {"epoch": 1.0, "loss": 0.5} for line in read_history(small_disk / "metrics.jsonl"))


def test_a_write_that_fails_half_way_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.safetensors"
    save_checkpoint(path, checkpoint())
    before = path.read_bytes()
    with largest_file(8192), pytest.raises(StorageError) as error:
        save_checkpoint(path, Checkpoint(small_card(), {"a": torch.rand(30_000)}))
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]


def test_training_on_a_full_disk_ends_with_our_error_and_the_last_good_state(tmp_path, monkeypatch):
    run = tmp_path / "run"
    small_fit(run, epochs=1)
    before = load_checkpoint(run / "last.safetensors")
    with largest_file(2048), pytest.raises(StorageError):
        small_fit(run, epochs=3, resume=True)
    after = load_checkpoint(run / "last.safetensors")
    assert after.state["step"] == before.state["step"]
    assert not list(run.glob(".*.tmp"))


def test_a_checkpoint_reaches_the_disk_before_its_name_does(tmp_path, monkeypatch):
    """Power loss: fsync of the file, rename, fsync of the folder, in this order."""
    steps = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor):
        steps.append(("fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink())))
        fsync(descriptor)

    def seen_replace(source, target, **options):
        steps.append(("rename", str(target)))
        replace(source, target, **options)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    save_checkpoint(tmp_path / "last.safetensors", checkpoint())
    assert [kind for kind, _ in steps] == ["fsync", "rename", "fsync"]
    assert steps[0][1].endswith(".tmp")
    assert steps[1][1] == str(tmp_path / "last.safetensors")
    assert steps[2][1] == str(tmp_path)


# --- strangers' files ------------------------------------------------------------------------------------------------


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, checkpoint())
    whole = path.read_bytes()
    for length in range(0, len(whole), 1 if len(whole) < 2000 else 7):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError) as error:
            load_checkpoint(path)
        assert "\n" not in str(error.value)


@settings(max_examples=300, deadline=2000)
@given(data=st.data())
def test_changed_bytes_are_refused_or_harmless(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "x.safetensors"
    save_checkpoint(path, checkpoint())
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole)
    try:
        read = load_checkpoint(path)
    except ModelFileError:
        return
    assert all(torch.isfinite(t).all() for t in read.tensors.values() if t.is_floating_point())


def raw(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def at(start: int, stop: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [start, stop]}


CARD = {METADATA_KEY: small_card().dumps()}
NAN = save({"a": torch.tensor([1.0, float("nan")])}, CARD)
BAD = {
    "pickle": pickle.dumps({"a": 1}),
    "huge header": struct.pack("<Q", 2**63) + b"{}",
    "header beyond the file": struct.pack("<Q", 4000) + b"{}",
    "overlap": raw({"a": at(0, 4), "b": at(0, 4), "__metadata__": CARD}, b"1234"),
    "hole": raw({"a": at(4, 8), "__metadata__": CARD}, b"12345678"),
    "outside": raw({"a": at(0, 2**60), "__metadata__": CARD}, b"1234"),
    "shape overflow": raw({"a": at(0, 4) | {"shape": [2**62, 8]}, "__metadata__": CARD}, b"1234"),
    "deep": raw(b"[" * 100_000),
    "deep card": save({"a": torch.ones(1)}, {METADATA_KEY: "[" * 100_000}),
    "deep state": save({"a": torch.ones(1)}, CARD | {STATE_KEY: "[" * 100_000}),
    "list as state": save({"a": torch.ones(1)}, CARD | {STATE_KEY: "[1]"}),
    "no card": save({"a": torch.ones(1)}),
    "NaN": NAN,
    "empty": b"",
    "another task": save({"a": torch.ones(1)}, {METADATA_KEY: small_card(task="detection").dumps()}),
    "another version": save(
        {"a": torch.ones(1)}, {METADATA_KEY: small_card().dumps().replace('"format_version": 1', '"format_version": 9')}
    ),
    "odd numbers": save({"a": torch.ones(1).to(torch.float8_e4m3fn)}, CARD),
}


@pytest.mark.parametrize("name", BAD)
def test_malicious_files_are_refused_quickly(name, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(BAD[name])
    started = time.monotonic()
    with pytest.raises(ModelFileError) as error:
        load_checkpoint(path, task="classification")
    assert time.monotonic() - started < 1
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600 + len(str(path))


def test_reading_bad_files_runs_no_code_and_opens_no_connection(tmp_path):
    for number, data in enumerate(BAD.values()):
        (tmp_path / f"{number}.safetensors").write_bytes(data)
    program = """
import sys, pathlib
from manako.errors import ModelFileError
from manako.training.checkpoint import load_checkpoint
seen = []
loud = ("exec", "compile", "socket", "subprocess", "os.system", "os.exec", "os.fork", "pickle", "import", "ctypes")
sys.addaudithook(lambda event, args: seen.append((event, str(args)[:99])) if event.startswith(loud) else None)
refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        load_checkpoint(path, task="classification")
    except ModelFileError:
        refused += 1
code = [s for s in seen if s[0] != "import" or "manako" not in s[1]]
print(refused, code)
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{len(BAD)} []", done.stdout


def test_weights_of_another_network_name_the_first_difference():
    model = TinyNet()
    good = {name: t.clone() for name, t in model.state_dict().items()}
    load_into(model, good, file=Path("x"))
    for change, code in (
        ({"head.bias": None}, "checkpoint.missing"),
        ({"extra": torch.ones(1)}, "checkpoint.surplus"),
        ({"head.bias": torch.ones(4)}, "checkpoint.shape"),
    ):
        wrong = {name: t for name, t in (good | change).items() if t is not None}
        with pytest.raises(ModelFileError) as error:
            load_into(model, wrong, file=Path("x"))
        assert error.value.code == code
        assert error.value.facts["field"] == next(iter(change))
