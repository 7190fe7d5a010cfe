"""A label file of COCO's size: how long it takes to read and to judge, and how much memory.

    python benchmarks/label_file.py [--images 118000] [--objects 860000] [--task detection] [--folder KEEP] [--json]

Writes a data set of COCO's form (each image a tiny PNG; boxes, polygons of 12 points, ids of classes with holes) once,
then reads it with `read_dataset` in a new process: seconds by the clock and of the processor, and the peak of memory.
The claims are 30 s and 1.5 GB.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path, images: int, objects: int, seed: int = 0) -> None:
    random = np.random.default_rng(seed)
    pixels = io.BytesIO()
    Image.new("RGB", (8, 8)).save(pixels, "PNG")
    (folder / "train2017").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for number in range(images):
        (folder / "train2017" / f"{number:012}.png").write_bytes(pixels.getvalue())
    ids = np.sort(random.choice(np.arange(1, 91), 80, replace=False)).tolist()
    corner, side = random.uniform(0, 400, (objects, 2)), random.uniform(4, 200, (objects, 2))
    side[:, 1] = np.minimum(side[:, 1], 480 - corner[:, 1])
    of_image, of_class = random.integers(0, images, objects).tolist(), random.integers(0, 80, objects).tolist()
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    circle = (np.stack([np.cos(angles), np.sin(angles)], 1) + 1) / 2
    with (folder / "annotations" / "instances_train2017.json").open("w") as file:
        file.write('{"images": [')
        for number in range(images):
            entry = {"id": number, "file_name": f"{number:012}.png", "height": 480, "width": 640}
            file.write((", " if number else "") + json.dumps(entry))
        file.write('], "annotations": [')
        for number in range(objects):
            entry = {
                "id": number + 1,
                "image_id": of_image[number],
                "category_id": ids[of_class[number]],
                "segmentation": [np.round(corner[number] + circle * side[number], 2).reshape(-1).tolist()],
                "bbox": np.round([*corner[number], *side[number]], 2).tolist(),
                "area": round(float(side[number].prod()), 2),
                "iscrowd": 0,
            }
            file.write((", " if number else "") + json.dumps(entry))
        categories = [{"id": number, "name": f"class {number}"} for number in ids]
        file.write('], "categories": ' + json.dumps(categories) + "}")


def measure(folder: Path, task: str) -> dict[str, float]:
    from manako.formats import read_dataset
    from manako.types import Detections

    start, begun = time.perf_counter(), time.process_time()
    dataset = read_dataset(folder, task=task)
    seconds, processor = time.perf_counter() - start, time.process_time() - begun
    found = sum(len(s.target) for s in dataset.samples if isinstance(s.target, Detections))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "gigabytes": peak,
        "images": len(dataset.samples),
        "objects": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=118_000)
    parser.add_argument("--objects", type=int, default=860_000)
    parser.add_argument("--task", default="detection", choices=("detection", "instances"))
    parser.add_argument("--folder", type=Path, help="write the data here, or read what is there")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.task)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary) / "data"
        if not folder.exists():
            write(folder, arguments.images, arguments.objects)
        command = [sys.executable, __file__, "--measure", str(folder), "--task", arguments.task]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    if arguments.json:
        print(json.dumps(result))
    else:
        print("  ".join(f"{key} {value:,.2f}" for key, value in result.items()))


if __name__ == "__main__":
    main()
