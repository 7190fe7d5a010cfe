import json
import os
import subprocess
import sys
from pathlib import Path

KILLS = int(os.environ.get("MANAKO_KILLS", "20"))


def test_killed_runs_resume_to_the_same_bytes(tmp_path):
    """SIGKILL at random moments of training and saving; MANAKO_KILLS=200 for the long version."""
    program = Path(__file__).with_name("killed_runs.py")
    done = subprocess.run(
        [sys.executable, program, tmp_path, str(KILLS)], capture_output=True, text=True, timeout=60 + 10 * KILLS
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kills"] >= KILLS
    assert result["runs"] >= 1
    assert (result["different"], result["leftovers"]) == (0, 0), result
