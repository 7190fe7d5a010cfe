"""JPEG files to JSON lines: what everything around the network costs, relative to the network.

   python benchmarks/predict_pipeline.py MODEL.onnx [--images FOLDER | --size 640x480] [--count 96] [--batch 16]
   python benchmarks/predict_pipeline.py --train yolo --imgsz 640       # a barely trained model instead of a file

Each round goes through the same images twice: once only through the network, as pixels that are ready (N batches), and
once from files to lines of JSON, as `manako predict FOLDER` does. `overhead` is how much longer the whole takes (median
over rounds): the claim is below 15 % at 640 pixels. `processor_overhead` is the same by the time of the processors,
which tells more where others work on the machine. The stages alone, in one thread and without overlap, stand beside
it. Without --images, photographs are made (texture, quality 90). Larger ones take longer to open, in proportion to
their pixels up to twice the network's size and little more beyond.

A model that is barely trained is sure of nothing and gives the most candidates: the hardest case for what follows the
network.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np

import manako
from decode import photograph
from manako.paths import find_images
from manako.runtime.ahead import in_batches
from manako.runtime.predictor import Predictor
from manako.runtime.writer import write_results


def barely_trained(model: str, imgsz: int, folder: Path) -> Path:
    """An exported model after one epoch on generated scenes."""
    from manako.tasks import get_task

    data = get_task("detection").synthetic(folder / "data", seed=0, count=24)
    settings = {"task": "detection", "model": model, "imgsz": imgsz, "epochs": 1, "batch": "4"}
    run = manako.train(data.root, out=folder / "run", **settings)
    return Path(manako.export(run.folder).path)


def photographs(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """Eight different ones, each several times under its own name."""
    files = []
    for number in range(count):
        path = folder / f"{number:04}.jpg"
        if number < 8:
            photograph(height, width, number).save(path, quality=90)
        else:
            path.write_bytes(files[number % 8].read_bytes())
        files.append(path)
    return files


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def spent(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of the clock and of the processors."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def whole(predictor: Predictor, files: Sequence[Path], batch: int) -> None:
    write_results(predictor.predict(files, batch=batch), predictor, stream=io.StringIO())


def measure(predictor: Predictor, files: Sequence[Path], *, batch: int, rounds: int) -> dict[str, float]:
    plan = predictor.card.preprocess
    groups = [list(group) for group in in_batches(files, batch)]
    ready = [np.stack([plan.open(file)[0] for file in group]) for group in groups]

    def network() -> None:
        for pixels in ready:
            predictor.engine.run(pixels)

    network()
    whole(predictor, files[: 2 * batch], batch)
    rows = [(*spent(network), *spent(lambda: whole(predictor, files, batch))) for _ in range(rounds)]
    pairs, count = [(clock, whole_clock) for clock, _, whole_clock, _ in rows], len(files)
    return {
        "network_ms": 1000 * median(a for a, _ in pairs) / count,
        "whole_ms": 1000 * median(b for _, b in pairs) / count,
        "overhead": median(b / a for a, b in pairs) - 1,
        "processor_overhead": median(b / a for _, a, _, b in rows) - 1,
        "images_per_second": count / median(b for _, b in pairs),
        **stages(predictor, files[:batch]),
    }


def stages(predictor: Predictor, files: Sequence[Path]) -> dict[str, float]:
    """Milliseconds an image in one thread: decode and resize, candidates and their suppression, JSON."""
    plan, count = predictor.card.preprocess, len(files)
    opened = [plan.open(file) for file in files]
    outputs = predictor.engine.run(np.stack([pixels for pixels, _ in opened]))
    frames = [frame for _, frame in opened]
    found = predictor.task.decode(outputs, frames, predictor.settings)

    def as_json() -> None:
        for prediction in found:
            json.dumps(predictor.task.as_json(prediction, predictor.card.classes))

    parts = {
        "open_ms": lambda: [plan.open(file) for file in files],
        "decode_ms": lambda: predictor.task.decode(outputs, frames, predictor.settings),
        "json_ms": as_json,
    }
    return {name: 1000 * min(seconds(part) for _ in range(3)) / count for name, part in parts.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?")
    parser.add_argument("--train", metavar="MODEL", default="yolo")
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--images")
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--count", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or barely_trained(arguments.train, arguments.imgsz, folder)
        if arguments.images:
            files = list(find_images([arguments.images]))[: arguments.count]
        else:
            width, height = map(int, arguments.size.split("x"))
            files = photographs(folder, arguments.count, width, height)
        predictor = manako.load(model).to_show()  # as `manako predict` does
        plan = predictor.card.preprocess
        result: dict[str, object] = {"model": predictor.card.model, "pixels": f"{plan.width}x{plan.height}"}
        result |= measure(predictor, files, batch=arguments.batch, rounds=arguments.rounds)
    if arguments.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:>20}  {value:.3f}" if isinstance(value, float) else f"{key:>20}  {value}")


if __name__ == "__main__":
    main()
