"""One of two processes of a run (rank 0 writes); started by test_distributed.py as torchrun would."""

import sys
from pathlib import Path

import torch
from training_helpers import TinyNet, small_fit

from manako.console import quiet
from manako.training.distributed import join_processes

torch.set_num_threads(1)
with quiet(), join_processes() as processes:
    small_fit(
        Path(sys.argv[1]),
        model=TinyNet(plain=True, seed=processes.rank),  # the first process's weights count
        processes=processes,
        epochs=3,
        batch="13",
        mixup=0.4,
        augment="strong",
        class_weights="balanced",
        clip=1.0,
        resume=len(sys.argv) > 2,
    )
