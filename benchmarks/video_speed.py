"""How fast `manako predict MODEL VIDEO --draw --out DIR` is from end to end: decoding, the network, drawing, writing.

    python benchmarks/video_speed.py model.onnx video.mp4
    python benchmarks/video_speed.py pose.onnx depth.onnx video.mp4 --pictures 200

One JSON line a model: pictures a second by the clock (a whole process, its start included and without it), and by CPU
time on two cores, which says the same on a machine that others use, too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from manako.runtime.video import VideoFile
from manako.runtime.video import pictures as pictures_of

CORES = 2


def run(model: Path, video: Path, out: Path) -> tuple[int, float, float]:
    """Pictures, seconds by the clock, seconds of CPU."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "manako", "predict", str(model), str(video), "--draw", "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = (out / "predictions.jsonl").read_text("utf-8").splitlines()
    return sum("error" not in json.loads(line) for line in lines), wall, busy


def shortened(video: Path, folder: Path, pictures: int) -> Path:
    """The first `pictures` of the video, as a file of its own."""
    file: VideoFile | None = None
    for picture in itertools.islice(pictures_of(str(video)), pictures):
        file = file or VideoFile(folder / f"first_{pictures}.mp4", rate=picture.rate)
        file.add(picture.image, picture.seconds)
    assert file is not None
    file.finish()
    return file.file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="ONNX files or run folders, then a video")
    parser.add_argument("--pictures", type=int, default=120)
    arguments = parser.parse_args()
    if len(arguments.files) < 2:
        print("skipped: give models and a video")
        return
    *models, video = arguments.files
    os.environ.setdefault("OMP_NUM_THREADS", str(CORES))
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            few, many = (shortened(video, Path(folder), n) for n in (8, arguments.pictures))
            start = run(model, few, Path(folder) / "few")
            done = run(model, many, Path(folder) / "many")
            pictures, wall, busy = (a - b for a, b in zip(done, start, strict=True))
            rates = {
                "by_the_clock": pictures / wall,
                "with_the_start": done[0] / done[1],
                "by_cpu_time_on_two_cores": CORES * pictures / busy,
            }
            shown = {name: round(value, 2) for name, value in rates.items()}
            print(json.dumps({"model": str(model), "pictures": done[0], **shown}), flush=True)


if __name__ == "__main__":
    main()
