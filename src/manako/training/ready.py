"""Models that predict as they are installed, with no training: their names stand where a run folder may.

Such a model's file holds a literal `READY` (its task and the size of the network's images), its class a static method
`packaged_classes()`, and its `weights="auto"` are packaged ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from manako import __version__
from manako.blocks.model import Model
from manako.images import Preprocess
from manako.models import create_model, model_class, model_entries
from manako.runtime.card import ModelCard
from manako.runtime.predictor import Predictor
from manako.tasks import get_task
from manako.training.engine import TorchEngine
from manako.training.export import ExportResult, export_onnx
from manako.training.hardware import choose_device
from manako.types import Sample

TRIED = 32  # generated samples on which an export is compared


def ready_model(name: str) -> tuple[ModelCard, Model]:
    """A model by its name, with its packaged weights, in evaluation mode. Raises MissingExtraError without them."""
    entry = model_entries()[name]
    assert entry.ready is not None
    task, (height, width, channels) = entry.ready["task"], (entry.ready[n] for n in ("height", "width", "channels"))
    classes = model_class(entry).packaged_classes()
    model = create_model(
        name, task=task, classes=len(classes), channels=channels, imgsz=max(height, width), weights="auto"
    )
    rules = get_task(task)
    card = ModelCard(
        task=task,
        model=name,
        classes=classes,
        preprocess=Preprocess(height=height, width=width, fit=rules.fit, channels=channels),
        mean=tuple(model.mean),
        std=tuple(model.std),
        options=entry.options,
        settings=rules.settings,
        manako=__version__,
        notice=model.notice,
    )
    return card, model.eval()


def ready_predictor(name: str, *, device: str = "auto") -> Predictor:
    card, model = ready_model(name)
    return Predictor(TorchEngine(model, card, device=choose_device(device)))


def export_ready(name: str, out: Path) -> ExportResult:
    """As `export_onnx`; the outputs are compared on generated samples."""
    card, model = ready_model(name)
    with TemporaryDirectory() as folder:
        dataset = get_task(card.task).synthetic(Path(folder), seed=0, count=TRIED)
        samples: Sequence[Sample] = dataset.samples
        return export_onnx(model, card, out, samples=samples, classes=dataset.classes)
