"""Every model of a task on one folder of data, in the same minutes: a table in Markdown.

    python benchmarks/model_table.py FOLDER --task segmentation --minutes 15
    python benchmarks/model_table.py FOLDER --task depth --minutes 10 --models depth_net --split val     to choose by
    python benchmarks/model_table.py FOLDER --task segmentation --json found.jsonl -- --class-weights balanced

Each model is trained by `manako train` with its defaults (and what stands after `--`), scored by `manako evaluate` on
the split, exported, and timed: `ms` is the network alone, in ONNX Runtime, one image at a time; `ms, whole` is from the
file to the prediction in original pixels. Both are the median over up to 24 images after three to warm up, so nothing
else may run meanwhile. `seconds`: of all learning. Brackets are 95 % intervals (bootstrap over images). A model that
fails has a row that says why; one that can't be exported is timed in PyTorch, and says so.

--json FILE: one line a model is added to the file as soon as it is done; models that have one there are not trained
again, so that an interrupted table goes on where it was. Without --models all names are taken, every size of a family.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import manako
from manako.formats import read_dataset
from manako.messages import message
from manako.tasks import get_task, task_names
from manako.types import Sample

Row = dict[str, Any]
TIMED, WARM_UP, UNEXPORTED = 24, 3, 3
# Beside the main metric, where nothing is asked for.
SHOWN = {
    "anomaly": ("pixel_auroc", "aupro"),
    "classification": ("macro_f1",),
    "depth": ("abs_rel", "rmse"),
    "detection": ("ap50", "ap75"),
    "instances": ("ap50", "box_ap"),
    "pose": ("pck", "pixel_error"),
    "segmentation": ("dice", "boundary_f1"),
}


def models_of(task: str) -> list[str]:
    """All that a name of its own chooses and whose extra is installed."""
    entries = [entry for entry in manako.models(task) if not entry.name.endswith(":")]
    needed = {e.family: getattr(import_module(f"manako.models.{e.family}"), "NEEDS", "torch") for e in entries}
    return [entry.name for entry in entries if find_spec(needed[entry.family])]


def called(*words: str) -> Row:
    """What a verb prints with --json. Raises RuntimeError with its message."""
    done = subprocess.run([sys.executable, "-m", "manako", *words, "--json"], capture_output=True, text=True)
    found: Row = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if done.returncode > 1 or "error" in found:
        raise RuntimeError(found.get("message") or " ".join(done.stderr.split())[-300:])
    return found


def milliseconds(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """Median of one item after the other."""
    times = []
    for number in range(len(items) + WARM_UP):
        began = time.perf_counter()
        work(items[number % len(items)])
        times.append(time.perf_counter() - began)
    return 1000 * median(times[WARM_UP:])


def timed(file: Path, samples: Sequence[Sample]) -> Row:
    predictor = manako.load(file)
    plan = predictor.card.preprocess
    pixels = [plan.open(sample.image, sample.frame)[0] for sample in samples]
    network = milliseconds(lambda one: predictor.engine.run(one[None]), pixels)
    whole = milliseconds(lambda one: list(predictor.predict(one, batch=1)), samples)
    return {"ms": network, "ms_whole": whole, "size": [plan.width, plan.height]}


def measured(data: Path, task: str, model: str, minutes: float, split: str, extra: Sequence[str]) -> Row:
    row: Row = {"model": model, "task": task, "data": data.name, "minutes": minutes, "split": split, "extra": [*extra]}
    samples = read_dataset(data, task=task).samples
    samples = samples[:: max(1, len(samples) // TIMED)][:TIMED]
    with tempfile.TemporaryDirectory() as folder:
        run, file = str(Path(folder) / "run"), Path(folder) / "model.onnx"
        try:
            chosen = ("--task", task, "--model", model, "--minutes", str(minutes), *extra)
            trained = called("train", str(data), *chosen, "--out", run)
            scored = called("evaluate", run, "--split", split)
        except RuntimeError as error:
            return row | {"error": str(error)}
        row |= {"images": scored["count"], "main": scored["main"], "metrics": scored["metrics"]}
        row |= {"epochs": trained["epochs"], "seconds": trained["seconds"]}
        try:
            exported = called("export", run, "--out", str(file))
        except RuntimeError as error:  # it stays with PyTorch, and is timed there
            size = (Path(run) / "best.safetensors").stat().st_size
            return row | {"not_exported": str(error), "bytes": size} | timed(Path(run), samples[:UNEXPORTED])
        return row | {"bytes": exported["bytes"]} | timed(file, samples)


def table(rows: Iterable[Row], main: str, shown: Sequence[str]) -> str:
    names = [message(f"metric.{name}") for name in (main, *shown)]
    heads = ["model", *names, "epochs", "seconds", "ms", "ms, whole", "MB"]
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    for row in rows:
        if "error" in row:
            lines.append([f"`{row['model']}`", row["error"].replace("|", "/"), *[""] * (len(heads) - 2)])
            continue
        cells = [ranged(row["main"]["value"], row["main"]["low"], row["main"]["high"])]
        found: Mapping[str, float] = row["metrics"]
        cells += [ranged(found.get(n), found.get(f"{n}_low"), found.get(f"{n}_high")) for n in shown]
        numbers = [f"{row[name]:.3g}" for name in ("epochs", "seconds", "ms", "ms_whole")]
        mark = " (PyTorch)" if "not_exported" in row else ""
        lines.append([f"`{row['model']}`{mark}", *cells, *numbers, f"{row['bytes'] / 1e6:.1f}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ranged(value: float | None, low: float | None, high: float | None) -> str:
    """ ".812 (.790–.831)"; a dash where there is no number."""
    if value is None:
        return "–"
    one, *ends = (f"{number:.3f}".removeprefix("0") for number in (value, low, high) if number is not None)
    return f"{one} ({'–'.join(ends)})" if len(ends) == 2 else one


def main() -> None:
    words, _, extra = "\0".join(sys.argv[1:]).partition("\0--\0")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path)
    parser.add_argument("--task", choices=task_names())
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--models", help="names, separated by commas; all of the task where it is left out")
    parser.add_argument("--metrics", help="columns beside the main metric, separated by commas")
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="add a line a model to this file, and go on from it")
    arguments = parser.parse_args([word for word in words.split("\0") if word])
    if arguments.data is None or arguments.task is None:
        print("skipped: give a folder of data and --task")
        return
    task = get_task(arguments.task)
    shown = arguments.metrics.split(",") if arguments.metrics else SHOWN.get(task.name, ())
    file: Path | None = arguments.json
    known = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file and file.exists() else []
    done = {row["model"]: row for row in known if "error" not in row}
    rows = []
    for model in arguments.models.split(",") if arguments.models else models_of(task.name):
        row = done.get(model)
        if row is None:
            given = [word for word in extra.split("\0") if word]
            row = measured(arguments.data, task.name, model, arguments.minutes, arguments.split, given)
            line = json.dumps(row, ensure_ascii=False)
            print(line, file=sys.stderr, flush=True)
            if file:
                with file.open("a", encoding="utf-8") as out:
                    out.write(line + "\n")
        rows.append(row)
    print(table(rows, task.main_metric, shown))


if __name__ == "__main__":
    main()
