"""What every task promises, checked on everything that the discovery finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

import manako.tasks
import manako.training.targets
from manako.config import RunConfig
from manako.errors import UsageError
from manako.images import open_image
from manako.messages import message
from manako.models import model_entries
from manako.tasks import Output, Outputs, Task, get_task, task_names, task_of
from manako.training.plan import make_plan
from manako.types import Anomaly, Dataset, Frame, Prediction, Skeleton

COUNT = 24
TASKS = [get_task(name) for name in task_names()]


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def plain(request: pytest.FixtureRequest) -> Task[Any]:
    found: Task[Any] = request.param
    return found


@pytest.fixture(scope="module")
def dataset(plain: Task[Any], tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return plain.synthetic(tmp_path_factory.mktemp(plain.name), seed=3, count=COUNT)


@pytest.fixture(scope="module")
def task(dataset: Dataset) -> Task[Any]:
    return task_of(dataset)


def truths_of(dataset: Dataset) -> list[Prediction]:
    return [truth for sample in dataset.samples if (truth := sample.truth) is not None]


def any_outputs(task: Task[Any], count: int, classes: int) -> Outputs:
    """Tensors of the promised shapes with random numbers; sides that the task leaves open are 5."""
    known = {"N": count, "classes": classes} | ({"limbs": len(skeleton.limbs)} if (skeleton := _skeleton(task)) else {})
    random = np.random.default_rng(1)
    shapes = {o.key: [known.get(str(s), 5 if isinstance(s, str) else s) for s in o.shape] for o in task.outputs}
    return {o.key: _any(o, shapes[o.key], classes, random) for o in task.outputs}


def _skeleton(task: Task[Any]) -> Skeleton | None:
    return getattr(task, "skeleton", None)


def _any(output: Output, shape: list[int], classes: int, random: np.random.Generator) -> NDArray[Any]:
    if output.kind == "classes":
        return random.integers(0, max(1, classes), shape).astype(output.dtype)
    if output.kind == "boxes":
        return np.sort(random.uniform(0, 48, [*shape[:-1], 2, 2]), axis=-2).reshape(shape).astype(output.dtype)
    if output.kind in ("probabilities", "distances"):
        return random.uniform(0.01, 1, shape).astype(output.dtype)
    return random.normal(size=shape).astype(output.dtype)


def test_a_task_is_two_files_and_has_a_model() -> None:
    meaning = {path.stem for path in Path(manako.tasks.__file__).parent.glob("[!_]*.py")}
    learning = {path.stem for path in Path(manako.training.targets.__file__).parent.glob("[!_]*.py")}
    served = {name for entry in model_entries().values() for name in entry.tasks}
    assert meaning == learning == served == {task.name for task in TASKS}


def test_a_near_name_is_suggested() -> None:
    for name in task_names():
        with pytest.raises(UsageError) as caught:
            get_task(name + "x")
        assert name in str(caught.value)


def test_generated_data_have_truth_and_repeat(task: Task[Any], dataset: Dataset, tmp_path: Path) -> None:
    assert dataset.task == task.name and len(dataset.samples) == COUNT
    assert not [problem for problem in dataset.problems if problem.severity == "error"]
    assert all(sample.target is not None for sample in dataset.samples)
    for folder in (tmp_path / "same", tmp_path / "other"):
        folder.mkdir()
    same = task.synthetic(tmp_path / "same", seed=3, count=COUNT)
    other = task.synthetic(tmp_path / "other", seed=4, count=COUNT)
    bytes_of = [[s.image.read_bytes() for s in found.samples] for found in (dataset, same, other)]
    assert bytes_of[0] == bytes_of[1] != bytes_of[2]


def test_a_run_says_why_it_chose_each_setting(task: Task[Any], dataset: Dataset) -> None:
    config, reasons = make_plan(RunConfig(data=str(dataset.root)), dataset)
    assert config.model and reasons
    assert all(message(reason.code, **reason.facts) for reason in reasons)


def test_a_budget_is_taken_as_it_is_given(dataset: Dataset) -> None:
    minutes, _ = make_plan(RunConfig(data=str(dataset.root), minutes=3), dataset)
    epochs, _ = make_plan(RunConfig(data=str(dataset.root), epochs=2), dataset)
    assert (minutes.minutes, minutes.epochs) == (3, None) and (epochs.minutes, epochs.epochs) == (None, 2)


def test_the_truth_scores_perfectly(task: Task[Any], dataset: Dataset) -> None:
    truths = truths_of(dataset)
    found = task.evaluate(truths, truths, dataset.classes)
    best = 1.0 if task.higher_is_better else 0.0
    assert found.main.name == task.main_metric
    assert found.main.value == best and found.main.low <= best <= found.main.high
    assert found.metrics[task.main_metric] == best
    assert found.count == COUNT and not found.worst
    kinds = {truth.kind for truth in truths if isinstance(truth, Anomaly)}  # a defect's name is no class
    assert set(found.per_class) <= set(dataset.classes) | kinds
    json.dumps({"metrics": dict(found.metrics), "per_class": dict(found.per_class)}, allow_nan=False)


def test_any_outputs_become_predictions_that_can_be_shown(task: Task[Any], dataset: Dataset) -> None:
    classes, count = dataset.classes, len(dataset.samples)
    outputs = any_outputs(task, count, len(classes))
    opened = [open_image(sample.image) for sample in dataset.samples]
    frames = [Frame(image.height, image.width) for image in opened]
    truths = truths_of(dataset)
    settings = task.calibrate([(outputs, frames, truths)])
    assert set(settings) == set(task.settings) and all(np.isfinite(value) for value in settings.values())
    predictions = task.decode(outputs, frames, settings)
    assert len(predictions) == count
    before = opened[0].tobytes()
    for image, prediction, truth in zip(opened, predictions, truths, strict=True):
        assert isinstance(json.loads(json.dumps(task.as_json(prediction, classes), allow_nan=False)), list)
        assert task.same(prediction, prediction) and task.same(truth, truth)
        drawn = [task.draw(image, shown, classes) for shown in (prediction, truth)]
        assert drawn[0].width >= image.width and any(d.tobytes() != image.tobytes() for d in drawn)
        assert all(picture.width >= image.width for _, picture in task.compare(image, prediction, truth, classes))
        assert task.describe(prediction, classes)
    assert opened[0].tobytes() == before, "drawing leaves the image as it was"


def test_figures_can_be_drawn(task: Task[Any], dataset: Dataset) -> None:
    truths = truths_of(dataset)
    outputs = any_outputs(task, len(truths), len(dataset.classes))
    opened = [open_image(sample.image) for sample in dataset.samples]
    predictions = task.decode(outputs, [Frame(image.height, image.width) for image in opened], task.settings)
    evaluation = task.evaluate(predictions, truths, dataset.classes, intervals=False)
    figures = task.figures(evaluation, dataset.classes)
    assert figures
    for name, figure in figures.items():
        assert name == name.lower() and "." not in name
        assert ElementTree.fromstring(figure.svg()).tag.endswith("svg")
        assert len(figure.png().getcolors(1 << 24) or ()) > 2
