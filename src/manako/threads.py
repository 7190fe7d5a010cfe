"""How the threads of PyTorch wait for each other. To be called before PyTorch is imported for the first time."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let OpenMP's threads sleep rather than spin while they wait, unless the person chose otherwise.

    On a machine where anything else runs, a spinning thread takes the core that the one it waits for needs: training a
    small network on 2 busy cores went 3 times faster asleep (benchmarks/training_loop.py has the quiet case).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
