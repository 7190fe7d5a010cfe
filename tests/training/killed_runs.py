"""Trains in child processes that are killed at random moments; run by test_killed.py.

A program of its own: it forks, which a test process full of other libraries' threads should not.
Prints one JSON object: {"kills", "runs", "different", "leftovers"}.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from training_helpers import EVERYTHING, small_fit

from manako.console import quiet
from manako.training import keeping
from manako.training.checkpoint import load_checkpoint
from manako.training.lock import run_lock

torch.set_num_threads(1)
keeping.SAVE_SECONDS = 0.0  # after every step, so that many kills hit a save


def train(run: Path) -> None:
    with quiet(), run_lock(run):
        small_fit(run, resume=(run / "last.safetensors").exists(), epochs=3, **EVERYTHING)


def in_child(run: Path, *, after: float | None) -> bool:
    """Train in a child; kill it `after` seconds. Whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            train(run)
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise SystemExit("a child failed")
    return True


def tensors(run: Path, name: str) -> dict[str, bytes]:
    found = load_checkpoint(run / name).tensors
    return {key: value.numpy().tobytes() for key, value in found.items()}


def main(folder: Path, wanted: int) -> None:
    with quiet():
        small_fit(folder / "warm", epochs=1)  # load every library once, before the children are forked
    whole = folder / "whole"
    started = time.monotonic()
    in_child(whole, after=None)
    seconds = time.monotonic() - started
    expected = {name: tensors(whole, name) for name in ("last.safetensors", "best.safetensors")}
    history = (whole / "metrics.jsonl").read_text().count("\n")
    chance, kills, runs, different, leftovers = random.Random(0), 0, 0, 0, 0
    while kills < wanted:
        run = folder / f"run{runs}"
        while not in_child(run, after=chance.uniform(0, 1.1 * seconds) if kills < wanted else None):
            kills += 1
        same = all(tensors(run, name) == expected[name] for name in expected)
        same = same and (run / "metrics.jsonl").read_text().count("\n") == history
        if not same:
            print(f"{run.name} differs", file=sys.stderr)
        different += not same
        known = {"last.safetensors", "best.safetensors", "metrics.jsonl"}
        leftovers += len({path.name for path in run.iterdir()} - known)
        runs += 1
    print(json.dumps({"kills": kills, "runs": runs, "different": different, "leftovers": leftovers}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
