"""How the threads of PyTorch wait for each other. To be called before PyTorch is imported for the first time."""

from __future__ import annotations

import os


def wait_briefly() -> None:
    """Let OpenMP's threads (GNU's, which PyTorch brings) spin only shortly before they sleep, unless the person chose.

    By default a waiting thread spins for milliseconds: where anything else runs, it takes the core that the thread it
    waits for needs. Sleeping at once is slow on a quiet machine: a step of `small_resnet` on 2 quiet cores took 32 ms
    spinning, 50 ms sleeping, 34 ms spinning shortly.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
