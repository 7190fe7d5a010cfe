"""How good are the images of a generator? One JSON line: class accuracy, distances of sets, near copies, speed.

    manako train FOLDER --task generation --minutes 15 --out gen
    manako train FOLDER --minutes 5 --out classifier
    python benchmarks/generation.py gen classifier --split test

CLASSIFIER (a run folder or model.onnx, of the same class names) says which class each made image shows: the share that
shows the class it was made for is the class accuracy. It is held against the same classifier's accuracy on as many
real images of the split, since what it can't tell of real images it can't tell of made ones. --sheet FILE keeps a sheet
of ten images a class.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from manako import api
from manako.config import RunConfig
from manako.formats import read_dataset
from manako.paths import atomic_write
from manako.run_folder import open_run_folder
from manako.runtime.evaluate import beside_training
from manako.splits import read_split_csv


def class_accuracy(generator: str, classifier: str, *, count: int, seed: int, sheet: Path | None) -> dict[str, object]:
    """Share of made images whose class the classifier recognises, in all and by class."""
    predictor = api.load(classifier)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = api.generate(generator, count=count, seed=seed, out=folder)
        seconds = time.perf_counter() - began
        files = sorted(Path(folder).glob("[0-9]*.png"))
        answers = [predictor.card.classes[r.prediction.best] for r in predictor.predict(files)]
    told = np.array([made.classes[i % len(made.classes)] for i in range(count)])
    right = told == np.array(answers)
    if sheet:
        with tempfile.TemporaryDirectory() as folder:
            shown = api.generate(generator, count=10 * len(made.classes), seed=seed, out=folder)
            atomic_write(sheet, shown.sheet.read_bytes())
    return {
        "made": count,
        "class_accuracy": float(right.mean()),
        "by_class": {name: round(float(right[told == name].mean()), 3) for name in made.classes},
        "images_a_second": round(count / seconds, 1),
    }


def distances(run: str, *, split: str) -> dict[str, object]:
    """fid_hog and its kin on real images of the split, and near copies among the run's training images."""
    with tempfile.TemporaryDirectory() as folder:
        found = api.evaluate(run, split=split, out=folder)
    kept = open_run_folder(run)
    data = read_dataset(RunConfig.read(kept.config).data, task="generation")
    splits = read_split_csv(kept.split)
    training = [sample for sample in data.samples if splits.get(sample.id) == "train"]
    found = beside_training(found, api.load(run), training)
    return {**found.as_json()["metrics"], "measured_with": found.as_json()["measured_with"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of a generator")
    parser.add_argument("classifier", help="run folder or model.onnx of a classifier of the same classes")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--split", default="val", choices=("val", "test"))
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    accuracy = class_accuracy(given.run, given.classifier, count=given.count, seed=given.seed, sheet=given.sheet)
    real = api.evaluate(given.classifier, split=given.split, out=tempfile.mkdtemp()).evaluation.metrics["accuracy"]
    print(
        json.dumps(
            {"run": given.run, **accuracy, "classifier_accuracy": real, **distances(given.run, split=given.split)}
        )
    )


if __name__ == "__main__":
    main()
