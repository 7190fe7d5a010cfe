"""A finished run as something to predict with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from manako.blocks.model import Model
from manako.models import create_model
from manako.run_folder import RunFolder, open_run_folder
from manako.runtime.card import ModelCard
from manako.runtime.evaluate import calibrate
from manako.runtime.predictor import Predictor
from manako.training.checkpoint import Checkpoint, load_checkpoint, load_into, save_checkpoint
from manako.training.engine import TorchEngine
from manako.training.hardware import choose_device
from manako.types import Dataset


@dataclass(frozen=True, eq=False)
class LoadedRun:
    """folder: where it came from. predictor: runs `model`."""

    folder: RunFolder
    model: Model
    card: ModelCard
    predictor: Predictor


def load_run(path: str | Path, *, device: str = "auto") -> LoadedRun:
    """The best weights of a run folder. Raises DataError where there are none, ModelFileError for a damaged file."""
    folder = open_run_folder(path)
    file = folder.best if folder.best.exists() else folder.last
    checkpoint = load_checkpoint(file)
    card = checkpoint.card
    model = create_model(
        card.model,
        task=card.task,
        classes=len(card.classes),
        channels=card.preprocess.channels,
        imgsz=max(card.preprocess.height, card.preprocess.width),
        options=card.options,
    )
    load_into(model, checkpoint.tensors, file=file)
    model.eval()
    return LoadedRun(folder, model, card, Predictor(TorchEngine(model, card, device=choose_device(device))))


def calibrate_run(run: LoadedRun, dataset: Dataset) -> LoadedRun:
    """Set the numbers that decoding uses from the validation images, and store them in `best.safetensors`."""
    settings = calibrate(run.predictor, dataset.of("val"), dataset.classes)
    card = replace(run.card, settings=settings)
    save_checkpoint(run.folder.best, Checkpoint(card, run.model.state_dict()))
    return load_run(run.folder.path)
