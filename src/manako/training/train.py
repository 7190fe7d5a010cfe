"""The verb: from a folder of images to a run folder. Read this to follow the whole of training in one place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manako.blocks.folding import fix_norms
from manako.blocks.model import Model
from manako.config import RunConfig
from manako.console import counter, quiet, say
from manako.doctor.objects import nothing_to_learn
from manako.errors import ConfigError, DataError
from manako.formats import read_dataset
from manako.images import Preprocess
from manako.messages import message
from manako.models import find_model
from manako.paths import atomic_write
from manako.run_folder import RunFolder, new_run_folder, open_run_folder, read_classes
from manako.runtime.card import ModelCard
from manako.splits import read_split_csv, split_dataset
from manako.tasks import get_task, spread, task_of
from manako.training.augment import Augmentation, augmentation
from manako.training.batch import Batch
from manako.training.build import build, preprocess
from manako.training.cache import ImageCache, cache_images, own_widths
from manako.training.distributed import Processes, join_processes
from manako.training.feed import TrainingData, learning_half, make_feed, plain_collate, targets_of
from manako.training.hardware import Hardware, choose_device, keep_memory, measure
from manako.training.head_start import start_head
from manako.training.learning_rate_finder import find_learning_rate
from manako.training.lock import run_lock
from manako.training.loop import FitResult, fit
from manako.training.mirror import mirror_test
from manako.training.once import fit_once
from manako.training.plan import make_plan
from manako.training.record import tell_plan, tell_problems, write_record
from manako.training.validate import Judge
from manako.types import Dataset, Problem

MAY_GIVE = ("data", "epochs", "minutes", "patience", "workers")  # when a run is resumed
PRECISIONS = ("fp32", "bf16", "fp16")
_PLAIN = RunConfig()


@dataclass(frozen=True, eq=False)
class Trained:
    """A run folder with its best weights, before it is measured."""

    folder: RunFolder
    dataset: Dataset
    result: FitResult
    device: str
    max_pixels: int
    problems: tuple[Problem, ...]
    first: bool = True  # of several processes; the others have nothing left to do
    before: float | None = None  # the main metric of packaged weights on the validation images, before they learnt on


def train(config: RunConfig, *, out: str | Path | None = None, resume: str | Path | None = None) -> Trained:
    """Learn from `config.data`. Everything that is left open is chosen, said, and written down.

    out: the run folder to make. resume: a run folder to go on with; settings come from its `config.yaml`, and those
    given in `config` may only lengthen it. Raises UsageError, DataError, DivergedError, StorageError.
    """
    began = time.monotonic()
    keep_memory()
    find = open_run_folder(resume) if resume else None
    if find:
        config = _resumed(config, find)
    elif not config.data:
        raise DataError("train.no_data")
    dataset = read_dataset(config.data, task=config.task, group_by=config.group_by)
    _check_learnable(dataset, config.data)
    with join_processes() as processes, quiet(not processes.first):
        folder = find or new_run_folder(out, config.data)
        processes.wait()  # all have found the same folder free before the first makes it
        with run_lock(folder.path) if processes.first else nullcontext():
            dataset = _split(dataset, config, folder)
            if resume:
                _same_classes(dataset, folder)
            config, reasons = make_plan(config, dataset)
            if processes.first:
                tell_plan(config, dataset, reasons)
                write_record(folder, config, dataset, reasons)
            return _learn(config, dataset, folder, processes, resume=bool(resume), began=began)


def _learn(
    config: RunConfig, dataset: Dataset, folder: RunFolder, processes: Processes, *, resume: bool, began: float
) -> Trained:
    dataset = getattr(learning_half(dataset.task), "with_known", _as_it_is)(config, dataset)
    data = _load(config, dataset)
    problems = data.train.problems + data.validation.problems
    tell_problems(problems, config.data)
    config, how = _flips(config, data, folder, tell=processes.first)
    card, model = build(config, dataset)
    for code, facts in model.notes:
        say(code, **facts)
    config = _from_nothing(config, model, folder, tell=processes.first)
    if model.learns == "once":
        device = choose_device(config.device)
        result, strange = fit_once(
            model,
            task=task_of(dataset),
            data=data,
            config=config,
            run=folder,
            card=card,
            hardware=Hardware(device),
            spent=time.monotonic() - began,
        )
        for problem in strange:
            say(problem.code, **problem.facts)
        dataset = replace(dataset, problems=dataset.problems + strange)
        return Trained(folder, dataset, result, device, config.max_pixels, problems, processes.first)
    _prepare(model, config, data, mirror=how.flip > 0, start=not resume)
    hardware, reserve = _hardware(config, card, model, data, evaluated=_evaluated(dataset))
    hardware = _agreed(hardware, processes)
    if config.find_lr and not resume:
        config = _find_rate(config, card, model, data, hardware, processes)
        if processes.first:
            atomic_write(folder.config, config.dumps())
    before = _untouched(config, card, model, data, hardware) if not resume else None
    spent, reserve = _times(config, spent=time.monotonic() - began, reserve=reserve)
    result = fit(
        model,
        task=task_of(dataset),
        data=data,
        config=config,
        run=folder,
        card=card,
        hardware=hardware,
        processes=processes,
        how=how,
        spent=spent,
        reserve=reserve,
        resume=resume,
    )
    return Trained(folder, dataset, result, hardware.device, config.max_pixels, problems, processes.first, before)


def _untouched(
    config: RunConfig, card: ModelCard, model: Model, data: TrainingData, hardware: Hardware
) -> float | None:
    """What a model that is ready without training scores before it learns on; None of all others."""
    if not model.pretrained or find_model(card.model, card.task).ready is None:
        return None
    judge = Judge(
        model=model,
        task=get_task(card.task),
        cache=data.validation,
        classes=card.classes,
        collate=plain_collate(card.task, classes=len(card.classes), size=data.validation.images.shape[1:3]),
        settings=card.settings,
        hardware=hardware,
    )
    score = judge.look().score
    say("train.before", metric=message(f"metric.{get_task(card.task).main_metric}"), score=score)
    return score


def _as_it_is(config: RunConfig, dataset: Dataset) -> Dataset:
    return dataset


def _flips(config: RunConfig, data: TrainingData, folder: RunFolder, *, tell: bool) -> tuple[RunConfig, Augmentation]:
    """Whether images may be mirrored: as told, else by the mirror test. The answer goes into `config.yaml`."""
    how = augmentation(config.augment, side=config.imgsz or 0, fit=get_task(str(config.task)).fit)
    how = replace(how, quarters=config.turns)
    ids = class_ids(data.train, config.task)
    if config.flip == "auto" and ids is None:
        config = config.with_(flip="on")
    elif config.flip == "auto" and ids is not None:
        found = mirror_test(data.train, ids, seed=config.seed)
        config = config.with_(flip="off" if found.flips_harm else "on")
        if tell:
            say("train.flips_off" if found.flips_harm else "train.flips_on", **vars(found))
            atomic_write(folder.config, config.dumps())
    return config, how if config.flip == "on" else replace(how, flip=0.0)


def _from_nothing(config: RunConfig, model: Model, folder: RunFolder, *, tell: bool) -> RunConfig:
    """Without learned weights no stage is worth keeping: all learn, and at the same rate."""
    if model.pretrained or model.learns == "once" or (not config.frozen_stages and config.layer_decay in (None, 1.0)):
        return config
    config = config.with_(frozen_stages=0, layer_decay=1.0)
    if tell:
        say("train.from_nothing")
        atomic_write(folder.config, config.dumps())
    return config


def _prepare(model: Model, config: RunConfig, data: TrainingData, *, mirror: bool, start: bool) -> None:
    """What only pretrained networks need: a head that fits, lower stages held still, statistics held fixed."""
    for stage in list(model.stages())[: config.frozen_stages or 0]:
        for parameter in stage:
            parameter.requires_grad_(False)
    if config.fixed_norms:
        fix_norms(model)
    ids = class_ids(data.train, config.task)
    if model.pretrained and start and ids is not None:
        start_head(model, data.train, ids, size=config.imgsz or 0, mirror=mirror)


def class_ids(cache: ImageCache, task: str | None) -> NDArray[np.int64] | None:
    """(N,): the class of each image; None for tasks whose images have no single class."""
    ids: NDArray[np.int64] | None = learning_half(str(task)).classes_of(targets_of(cache))
    return ids


def _agreed(hardware: Hardware, processes: Processes) -> Hardware:
    """The first process's choice, for all."""
    precision, layout = processes.agree(PRECISIONS.index(hardware.precision), hardware.channels_last)
    return replace(hardware, precision=PRECISIONS[int(precision)], channels_last=bool(layout))


def _find_rate(
    config: RunConfig, card: ModelCard, model: Model, data: TrainingData, hardware: Hardware, processes: Processes
) -> RunConfig:
    """Replace the learning rate by one that is measured on this model and these data."""
    size = (card.preprocess.height, card.preprocess.width)
    classes = len(card.classes)
    feed = make_feed(
        data,
        task=card.task,
        config=config,
        classes=classes,
        size=size,
        device=hardware.device,
        skeleton=card.skeleton,
    )
    trial = find_learning_rate(model, feed=feed, config=config, hardware=hardware)
    say("train.rate_found", lr=trial.chosen, tried=len(trial.rates), lowest=min(trial.losses))
    return config.with_(lr=processes.agree(trial.chosen)[0])


def _load(config: RunConfig, dataset: Dataset) -> TrainingData:
    """Decode both splits. Training images are kept larger than the network's where augmentation crops them."""
    validation = preprocess(config)
    height, width = validation.height, validation.width
    varied = augmentation(config.augment, side=max(height, width), fit=validation.fit)
    if varied.resamples and not config.crop and validation.fit != "line":
        height, width = round(height * 1.15), round(width * 1.15)
    fit = "stretch" if validation.fit == "crop" else validation.fit
    training = Preprocess(height=height, width=width, fit=fit, channels=validation.channels)
    chosen: Mapping[str, Any] = {"max_pixels": config.max_pixels, "workers": config.workers}
    looked = spread(dataset.of("val"), task_of(dataset).looked)
    return TrainingData(
        train=own_widths(cache_images(dataset.of("train"), preprocess=training, **chosen), training),
        validation=own_widths(cache_images(looked, preprocess=validation, **chosen), validation),
    )


def _hardware(
    config: RunConfig, card: ModelCard, model: Model, data: TrainingData, *, evaluated: int
) -> tuple[Hardware, float]:
    """The fastest number format, and the seconds that measuring and reporting will need after the training."""
    device = choose_device(config.device)
    size = (card.preprocess.height, card.preprocess.width)
    feed = make_feed(
        data,
        task=card.task,
        config=config,
        classes=len(card.classes),
        size=size,
        device=device,
        skeleton=card.skeleton,
    )
    index = feed.order(0)[0][: feed.chunk]
    batch, _ = next(feed.parts(index, epoch=0, number=0))
    hardware, speeds = measure(model, Batch(batch.images, batch.targets), device=device, precision=config.precision)
    rounded = ", ".join(f"{name} {speed:.0f}/s" for name, speed in speeds.items())
    say("train.hardware", device=device, precision=hardware.precision, speeds=rounded or "-")
    fastest = max(speeds.values(), default=1000.0)
    beside = get_task(card.task).beside_training_seconds * len(data.train)
    return hardware, 3.0 + 1.5 * model.effort * evaluated / fastest + beside


def _evaluated(dataset: Dataset) -> int:
    """Images that are predicted after the training: validation images to calibrate, test images to measure."""
    enough = task_of(dataset).enough
    return sum(min(len(found), enough or len(found)) for found in (dataset.of("val"), dataset.of("test")))


def _times(config: RunConfig, *, spent: float, reserve: float) -> tuple[float, float]:
    """Loading and measuring count as part of `minutes`, but learning always gets half of them."""
    half = (config.minutes or 0.0) * 60 / 2
    spent = min(spent, half)
    return spent, min(reserve, half - spent)


def _split(dataset: Dataset, config: RunConfig, folder: RunFolder) -> Dataset:
    previous = read_split_csv(folder.split) if folder.split.exists() else None
    with counter("check.bar") as progress:
        return split_dataset(
            dataset, seed=config.seed, previous=previous, progress=progress, max_pixels=config.max_pixels
        )


def _resumed(config: RunConfig, folder: RunFolder) -> RunConfig:
    """The run's own settings; a longer budget may be given, and another place of the data."""
    own = RunConfig.read(folder.config)
    given = {
        f.name: getattr(config, f.name) for f in fields(config) if getattr(config, f.name) != getattr(_PLAIN, f.name)
    }
    for name, value in given.items():
        if name not in MAY_GIVE and value != getattr(own, name):
            raise ConfigError("train.resume_setting", field=name, run=folder.path, own=getattr(own, name), given=value)
    changes = {name: value for name, value in given.items() if name in MAY_GIVE}
    return own.with_(**changes)


def _check_learnable(dataset: Dataset, data: str) -> None:
    """Raises DataError where no image is for training, or where those that are teach nothing."""
    training = [sample for sample in dataset.samples if sample.split in (None, "train")]
    if not training:
        raise DataError("train.no_training_images", data=data, count=len(dataset.samples))
    if found := nothing_to_learn(dataset):
        raise DataError(found.code, **{**found.facts, "data": data})


def _same_classes(dataset: Dataset, folder: RunFolder) -> None:
    known = read_classes(folder)
    if known != dataset.classes:
        raise DataError(
            "train.other_classes", run=folder.path, known=", ".join(known), found=", ".join(dataset.classes)
        )
