"""What a person calls: the verbs as functions, with the names of the command line.

This file stands above both halves; whatever needs PyTorch is imported only when it is used.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manako.config import RunConfig
from manako.console import counter, quiet
from manako.errors import DataError, MissingExtraError, ModelFileError, UsageError
from manako.images import MAX_PIXELS
from manako.models import ModelEntry, is_ready, model_entries
from manako.results import Run as Run
from manako.runtime.evaluate import Evaluated
from manako.runtime.predictor import Predictor
from manako.tasks import get_task
from manako.threads import wait_briefly

FINDER = "ppocr_finder"  # of lines of text, where no other is named
DEMO_SCENES = 240  # generated for `manako demo --task`

if TYPE_CHECKING:
    from manako.conversion import Converted
    from manako.doctor.data import DataReport
    from manako.learn.neighbours.clustering import Clustering
    from manako.runtime.generate import Made
    from manako.runtime.writer import Written
    from manako.training.export import ExportResult
    from manako.types import Dataset


def models(task: str | None = None) -> tuple[ModelEntry, ...]:
    """All models, or those for one task."""
    if task is not None:
        get_task(task)
    return tuple(entry for entry in model_entries().values() if task is None or task in entry.tasks)


def check(
    data: str | Path,
    *,
    task: str | None = None,
    format: str | None = None,
    group_by: str | None = None,
    max_pixels: int = MAX_PIXELS,
    fix: str | Path | None = None,
    verbose: bool = False,
) -> DataReport:
    """What is in a folder of data and what is wrong with it. fix: write a cleaned copy to this new folder."""
    from manako.doctor.data import check as check_data

    with quiet(not verbose), counter("check.bar") as progress:
        return check_data(
            data, task=task, format=format, group_by=group_by, max_pixels=max_pixels, fix=fix, progress=progress
        )


def train(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    verbose: bool = False,
    **settings: Any,
) -> Run:
    """Learn from a folder of images, a CSV or IDX files; measure; write a report.

    settings: fields of `RunConfig` (`model="resnet18"`, `minutes=5`, ...); what is left out is chosen. Raises
    ConfigError for unknown ones, DataError for unusable data, DivergedError when the loss is not finite.
    """
    began = time.monotonic()
    config = RunConfig.of({"data": "" if data is None else str(data)} | settings)
    _need("torch", "train")
    from manako.training.finish import finish
    from manako.training.train import train as learn

    with quiet(not verbose):
        trained = learn(config, out=out, resume=resume)
        if not trained.first:
            raise SystemExit(0)  # under torchrun, one process is enough for what follows
        return finish(trained, began=began)


def load(model: str | Path, *, device: str = "auto") -> Predictor:
    """A run folder (needs PyTorch), an exported `.onnx` file, or the name of a model that needs no training, ready to
    predict. Raises ModelFileError."""
    if is_ready(model):
        _need("torch", "train")
        from manako.training.ready import ready_predictor

        return ready_predictor(str(model), device=device)
    if Path(model).is_dir():
        _need("torch", "train")
        from manako.training.run import load_run

        return load_run(model, device=device).predictor
    if not Path(model).exists():
        ready = sorted(name for name, entry in model_entries().items() if entry.ready is not None)
        raise ModelFileError("model.missing", file=model, ready=", ".join(ready))
    from manako.runtime.onnx_engine import OnnxEngine

    return Predictor(OnnxEngine(Path(model)))


def _loaded(model: str | Path, *, pages: bool, finder: str | Path | None, device: str) -> Predictor:
    """A model; a reader of whole pages with its finder of lines."""
    if not pages and finder is None:
        return load(model, device=device)
    from manako.runtime.pages import PagePredictor

    return PagePredictor(load(model, device=device), load(finder or FINDER, device=device))


def evaluate(
    model: str | Path,
    *,
    data: str | Path | None = None,
    split: str = "test",
    out: str | Path | None = None,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    beam: int | None = None,
    lexicon: str | Path | None = None,
    language_model: str | Path | None = None,
    language_weight: float | None = None,
    pages: bool = False,
    finder: str | Path | None = None,
    verbose: bool = False,
) -> Evaluated:
    """Metrics with intervals on one split of the run's own data, or on all of other `data` that has no splits.

    Writes `evaluation.json` and figures to `out` (default: the run folder). beam, lexicon, language_model,
    language_weight, pages, finder: of reading, as in `PredictOptions`; pages are scored from finding to reading.
    """
    _need("sklearn", "report")
    from manako.runtime.evaluate import evaluate as score
    from manako.runtime.evaluation_files import write_evaluation
    from manako.runtime.reading import say_unknown, with_beam

    with quiet(not verbose):
        predictor = with_beam(
            _loaded(model, pages=pages, finder=finder, device=device),
            beam=beam,
            lexicon=lexicon,
            language_model=language_model,
            language_weight=language_weight,
        )
        dataset = _dataset_for(model, data, predictor, split)
        samples = dataset.of(split) or (dataset.samples if data is not None else ())  # type: ignore[arg-type]
        if not samples:
            raise DataError("evaluate.empty_split", split=split)
        say_unknown(samples, dataset.classes, predictor.card.classes)
        scored = score(predictor, samples, dataset.classes, split=split, max_pixels=max_pixels)
        result = replace(scored, left_out=dataset.left_out)
        folder = Path(out) if out else Path(model) if Path(model).is_dir() else None
        if folder:
            write_evaluation(result, folder)
        return result


def predict(
    model: str | Path,
    sources: Iterable[str | Path],
    *,
    out: str | Path | None = None,
    device: str = "auto",
    lines: bool = False,
    verbose: bool = False,
    **options: Any,
) -> Written:
    """Predict on images, folders, globs, videos and cameras ("camera:0"); write to `out` (and, with `lines`, to
    standard output) one line an image, or labels in another `format`.

    options: fields of `PredictOptions` (`draw=True`, `tile="auto"`, `format="coco"`, ...). Raises ConfigError for
    unknown ones. For predictions as Python objects use `load(model).predict(sources)`.
    """
    from manako.runtime.options import PredictOptions
    from manako.runtime.predict import predict as run

    chosen = PredictOptions.of(options)
    with quiet(not verbose):
        predictor = _loaded(model, pages=chosen.pages, finder=chosen.finder, device=device)
        stream = sys.stdout if lines else None
        return run(predictor, list(sources), chosen, out=Path(out) if out else None, stream=stream)


def export(
    run: str | Path, *, to: str = "onnx", out: str | Path | None = None, nms: bool = False, verbose: bool = False
) -> ExportResult:
    """Write a file that predicts without PyTorch, compared with the run on its validation images first (with a model
    that needs no training, on generated ones).

    nms: of objects, also leave out within the graph what was found twice.
    """
    _need("torch", "train")
    if is_ready(run):
        from manako.training.ready import export_ready

        with quiet(not verbose):
            return export_ready(str(run), Path(out or f"{run}.onnx"))
    from manako.training.export import export_onnx
    from manako.training.run import load_run

    with quiet(not verbose):
        loaded = load_run(run, device="cpu")
        dataset = _own_dataset(run)
        samples = dataset.of("val") or dataset.of("train")
        target = Path(out) if out else loaded.folder.exported
        return export_onnx(loaded.model, loaded.card, target, samples=samples, classes=dataset.classes, suppress=nms)


def generate(
    model: str | Path,
    *,
    count: int = 64,
    seed: int = 0,
    class_name: str | None = None,
    out: str | Path = "generated",
    interpolate: bool = False,
    device: str = "auto",
    verbose: bool = False,
) -> Made:
    """Write `count` made images and a contact sheet to `out`; the same seed gives the same images.

    class_name: of one class only. interpolate: also a GIF on the way from image to image.
    """
    from manako.runtime.generate import generate as make

    with quiet(not verbose):
        engine = load(model, device=device).engine
        return make(engine, Path(out), count=count, seed=seed, class_name=class_name, interpolate=interpolate)


def cluster(
    data: str | Path,
    *,
    out: str | Path = "clusters",
    clusters: int | None = None,
    features: str = "hog",
    method: str = "k-means",
    seed: int = 0,
    verbose: bool = False,
) -> Clustering:
    """Sort a folder of unlabelled images: a contact sheet, a dendrogram and a CSV in `out`.

    clusters: None chooses. features: "hog", "pixels", or "backbone" (needs PyTorch; sorts by what images show).
    """
    _need("sklearn", "learn")
    from manako.learn.neighbours.cluster import cluster_folder

    embed = None
    if features == "backbone":
        _need("torch", "train")
        from manako.training.embed import embed_images

        embed = embed_images

    with quiet(not verbose):
        return cluster_folder(
            data,
            out,
            features=features,  # type: ignore[arg-type]
            clusters="auto" if clusters is None else clusters,
            method=method,  # type: ignore[arg-type]
            seed=seed,
            embed=embed,
        )


def convert(
    data: str | Path,
    out: str | Path,
    *,
    to: str,
    task: str | None = None,
    format: str | None = None,
    link: bool = False,
    verbose: bool = False,
) -> Converted:
    """The same labels, with their images, in another format ("coco", "yolo", "voc", "csv") in the new folder `out`."""
    from manako.conversion import convert as convert_labels

    with quiet(not verbose), counter("convert.bar") as progress:
        return convert_labels(data, out, to=to, task=task, format=format, link=link, progress=progress)


def demo_data(folder: str | Path, *, task: str = "classification") -> Path:
    """Images that come with Manako for a task, written as people have them: real handwritten digits for
    classification, generated scenes with exact truth for the others."""
    rules, target = get_task(task), Path(folder)
    if task == "classification":
        from manako.samples.digits import write_digits

        return write_digits(target)
    if target.exists() and any(target.iterdir()):
        raise UsageError("demo.folder_used", folder=target)
    target.mkdir(parents=True, exist_ok=True)
    rules.synthetic(target, seed=0, count=DEMO_SCENES)
    return target


def _dataset_for(model: str | Path, data: str | Path | None, predictor: Predictor, split: str) -> Dataset:
    if data is None:
        if not Path(model).is_dir():
            raise DataError("evaluate.needs_data", model=model)
        return _own_dataset(model)
    from manako.formats import read_dataset

    return read_dataset(data, task=predictor.card.task)


def _own_dataset(run: str | Path) -> Dataset:
    """The data of a run, split as they were."""
    from manako.formats import read_dataset
    from manako.run_folder import open_run_folder
    from manako.splits import read_split_csv

    folder = open_run_folder(run)
    config = RunConfig.read(folder.config)
    dataset = read_dataset(config.data, task=config.task, group_by=config.group_by)
    splits = read_split_csv(folder.split)
    samples = tuple(replace(s, split=splits[s.id]) for s in dataset.samples if s.id in splits)
    return replace(dataset, samples=samples)


def _need(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if package == "torch":
        wait_briefly()
    if find_spec(package) is None:
        raise MissingExtraError("extra.missing", package=package, extra=extra)
