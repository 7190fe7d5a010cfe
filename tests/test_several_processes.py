"""`torchrun -m manako train` with two processes on the CPU: the same command, one run folder, the same result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from manako.samples.scenes import write_shapes

OPTIONS = [
    "--model",
    "mlp",
    "--option",
    "dropout=0.0",
    "--imgsz",
    "16",
    "--epochs",
    "4",
    "--batch",
    "16",
    "--precision",
    "fp32",
    "--json",
]


def train(folder: Path, out: str, *launcher: str) -> dict[str, object]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MANAKO_LANG": "en"}
    command = [sys.executable, *launcher, "-m", "manako", "train", "data", "--out", out, *OPTIONS]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_two_processes_are_one_run(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", seed=2, count=64)
    alone = train(tmp_path, "alone")
    together = train(tmp_path, "together", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert alone["epochs"] == together["epochs"] == 4
    histories = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("alone", "together")]
    for one, other in zip(*(map(json.loads, lines) for lines in histories), strict=True):
        assert one["validation_loss"] == pytest.approx(other["validation_loss"], rel=1e-3)
        assert one["training_loss"] == pytest.approx(other["training_loss"], rel=1e-3)
