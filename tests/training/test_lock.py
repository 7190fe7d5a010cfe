import os
import signal
import subprocess
import sys
import time

import pytest

from manako.errors import RunBusyError
from manako.training.lock import run_lock

HOLDER = """
import sys, pathlib
from manako.training.lock import run_lock
with run_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_second_process_leaves_at_once_naming_the_first(tmp_path, holder):
    started = time.monotonic()
    with pytest.raises(RunBusyError) as error, run_lock(tmp_path):
        pass
    assert time.monotonic() - started < 2
    assert error.value.facts["pid"] == str(holder.pid)
    assert str(holder.pid) in str(error.value)
    assert error.value.exit_status == 2


def test_a_lock_of_a_killed_process_is_taken_over(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / ".lock").exists()
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert not (tmp_path / ".lock").exists()
    with run_lock(tmp_path):
        pass


def test_a_lock_is_let_go_of_after_an_error(tmp_path):
    with pytest.raises(ValueError), run_lock(tmp_path):
        raise ValueError
    with run_lock(tmp_path), pytest.raises(RunBusyError), run_lock(tmp_path):
        pass
