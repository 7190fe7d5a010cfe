import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from training_helpers import TinyNet, small_fit

from manako.training.checkpoint import load_checkpoint

PROGRAM = Path(__file__).with_name("two_processes.py")


def run_two(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, PROGRAM, folder],
            env=os.environ | own | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        errors = process.communicate(timeout=120)[1]
        assert process.returncode == 0, errors


def test_two_processes_learn_what_one_learns(tmp_path):
    """Without batch norm, up to rounding: augmentation, mixup, class weights, clipping and averaging included."""
    options = {"epochs": 3, "batch": "13", "mixup": 0.4, "augment": "strong", "class_weights": "balanced", "clip": 1.0}
    one = small_fit(tmp_path / "one", model=TinyNet(plain=True), **options)
    run_two(tmp_path / "two")
    for name in ("best.safetensors", "last.safetensors"):
        alone, together = (load_checkpoint(tmp_path / run / name) for run in ("one", "two"))
        start = TinyNet(plain=True).state_dict()
        for key, value in alone.tensors.items():
            assert torch.allclose(value, together.tensors[key], atol=2e-4), key
            if key.startswith("model/"):
                assert not torch.allclose(value, start[key[6:]], atol=2e-3), key  # it did learn
    lines = (tmp_path / "two/metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(one.history)
