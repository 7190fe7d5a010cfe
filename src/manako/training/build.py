"""The model that a complete configuration describes, with its card."""

from __future__ import annotations

import torch

from manako import __version__
from manako.blocks.model import Model
from manako.config import RunConfig
from manako.doctor.data import fingerprint
from manako.images import Preprocess
from manako.models import alphabet_option, create_model, find_model, model_options, skeleton_options
from manako.runtime.card import ModelCard
from manako.tasks import get_task, task_of
from manako.training.plan import network_size
from manako.types import Dataset


def build(config: RunConfig, dataset: Dataset) -> tuple[ModelCard, Model]:
    """The model that a complete configuration describes, with its card."""
    assert config.model and config.imgsz and config.channels
    entry = find_model(config.model, dataset.task)
    from_data = skeleton_options(entry, dataset.skeleton) | alphabet_option(entry, dataset.classes)
    options = model_options(entry, {**from_data, **config.options})
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # the first weights follow from the seed, too
        model = create_model(
            config.model,
            task=dataset.task,
            classes=len(dataset.classes),
            channels=config.channels,
            imgsz=config.imgsz,
            weights=config.weights,
            options=options,
        )
    card = ModelCard(
        task=dataset.task,
        model=config.model,
        classes=dataset.classes,
        preprocess=preprocess(config),
        mean=tuple(model.mean),
        std=tuple(model.std),
        options=options,
        settings=task_of(dataset).settings,
        data=fingerprint(dataset),
        manako=__version__,
        notice=model.notice,
        skeleton=dataset.skeleton,
    )
    return card, model


def preprocess(config: RunConfig) -> Preprocess:
    """How validation and all later images are brought to the network's size."""
    assert config.imgsz and config.channels and config.aspect and config.task
    height, width = network_size(config.imgsz, config.aspect)
    fit = get_task(config.task).fit
    if fit == "line":  # the height is the network's own
        height = max(1, round(config.imgsz / config.aspect))
    return Preprocess(height=height, width=width, fit=fit, channels=config.channels)
