import pytest
from test_checkpoint import largest_file

from manako.errors import StorageError
from manako.training.history import append_history, read_history, write_history


def test_lines_come_back_and_a_cut_off_one_does_not(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_history(path) == []
    lines = [{"epoch": 1.0, "loss": 0.1 + 0.2}, {"epoch": 2.0, "loss": 1e-9}]
    for line in lines:
        append_history(path, line)
    assert read_history(path) == lines
    for cut in range(1, 20):
        path.write_bytes(path.read_bytes()[:-1])
        assert read_history(path) == lines[: 2 if cut == 1 else 1]
    path.write_bytes(b'\xff\xfe\n[1]\n{"epoch": 3}\n')
    assert read_history(path) == [{"epoch": 3}]
    write_history(path, lines)
    assert read_history(path) == lines


def test_a_full_disk_is_our_error(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_history(path, {"epoch": 1.0})
    with largest_file(20), pytest.raises(StorageError):
        append_history(path, {"epoch": 2.0, "loss": 0.123456789})
    assert read_history(path) == [{"epoch": 1.0}]
