"""Train with Manako's defaults on real data and print the test score: one JSON line a run.

    python benchmarks/scores.py FOLDER --minutes 5
    python benchmarks/scores.py FOLDER --minutes 5 -- --weights none

FOLDER: Fashion-MNIST's IDX files (Debian: `dpkg -L dataset-fashion-mnist`), or photographs in train/val/test folders.
What stands after `--` goes to `manako train`. Called without a folder (by `make bench`), it uses Fashion-MNIST where
Debian's package is installed, and says so where it isn't.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def measure(data: Path, minutes: float, extra: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        command = [sys.executable, "-m", "manako"]
        options = ["--minutes", str(minutes), "--out", run, "--json", *extra]
        trained = json.loads(subprocess.check_output([*command, "train", str(data), *options]))
        scored = json.loads(subprocess.check_output([*command, "evaluate", run, "--split", "test", "--json"]))
    wanted = ("seconds", "epochs", "model")
    return {"data": data.name, "minutes": minutes, **{k: trained[k] for k in wanted}, "test": scored["main"]}


def main() -> None:
    words, _, extra = "\0".join(sys.argv[1:]).partition("\0--\0")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=DEBIAN)
    parser.add_argument("--minutes", type=float, default=5.0)
    arguments = parser.parse_args([w for w in words.split("\0") if w])
    if not arguments.data.exists():
        print(f"skipped: there is no folder {arguments.data}")
        return
    print(json.dumps(measure(arguments.data, arguments.minutes, [w for w in extra.split("\0") if w])))


if __name__ == "__main__":
    main()
