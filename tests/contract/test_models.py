"""What every model promises, checked on everything that the discovery finds: a new file is tested by being there."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

import manako.models
from manako.blocks.folding import fix_norms, same_function
from manako.blocks.model import Model
from manako.errors import ConfigError, UsageError
from manako.models import COMMON, create_model, find_model, model_entries, model_options
from manako.runtime.card import ModelCard
from manako.runtime.parity import LARGEST_DIFFERENCE
from manako.tasks import Output, get_task, task_names, task_of
from manako.training.checkpoint import Checkpoint, load_checkpoint, load_into, save_checkpoint
from manako.training.export import export_onnx

from .conftest import (
    BARS,
    FASTER,
    GAMES,
    LONGER,
    OTHER_RATE,
    OTHER_STEPS,
    RATES,
    SMALLER,
    STEPS,
    Examples,
    build,
    build_empty,
    preprocess_of,
    size_of,
)

Pair = tuple[str, str]
FILES = sorted(Path(manako.models.__file__).parent.glob("[!_]*.py"))


def check_outputs(outputs: dict[str, torch.Tensor], task: str, count: int, classes: int) -> None:
    """The task's tensors: keys, shapes, type. A model may add some for its own loss."""
    promised: tuple[Output, ...] = get_task(task).outputs
    assert set(outputs) >= {output.key for output in promised}
    for output in promised:
        known = {"N": count, "classes": classes}
        tensor = outputs[output.key]
        assert len(tensor.shape) == len(output.shape)
        for side, symbol in zip(tensor.shape, output.shape, strict=True):
            assert side == known.get(str(symbol), side if isinstance(symbol, str) else symbol)
        assert str(tensor.dtype) == f"torch.{output.dtype}"


def test_every_file_is_found_once() -> None:
    assert {entry.family for entry in model_entries().values()} == {path.stem for path in FILES}
    for entry in model_entries().values():
        kind = getattr(import_module(f"manako.models.{entry.family}"), entry.class_name)
        assert issubclass(kind, Model)
        assert entry.tasks and set(entry.tasks) <= set(task_names())


def test_no_model_is_called_like_another_thing() -> None:
    assert not set(model_entries()) & set(task_names())
    assert len({name.replace("_", "").lower() for name in model_entries()}) == len(model_entries())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_header_says_what_the_model_is(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    header = ast.get_docstring(tree) or ""
    for word in ("Paper: ", "Licence: ", "Expected: "):
        assert f"\n{word}" in header
    named = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    entry = next(entry for entry in model_entries().values() if entry.family == path.stem)
    constructor = next(n for n in named[entry.class_name].body if getattr(n, "name", "") == "__init__")
    assert isinstance(constructor, ast.FunctionDef)
    arguments = constructor.args
    assert len(arguments.args) == 1 and not arguments.vararg and not arguments.kwarg  # keyword-only, no typo swallowed
    assert [a.arg for a in arguments.kwonlyargs][: len(COMMON)] == list(COMMON)


def test_wrong_options_are_refused_before_pytorch_is_imported() -> None:
    code = """if True:
        import sys
        from manako.errors import ConfigError
        from manako.models import create_model, model_entries
        sizes = dict(classes=2, channels=3, imgsz=32)
        for name, entry in model_entries().items():
            bad = [{"no_such_option": 1}]
            bad += [{o: [1]} for o, default in entry.options.items() if default is not None]
            for options in bad:
                try:
                    chosen = name + "resnet18" if name[-1] == ":" else name
                    create_model(chosen, task=entry.tasks[0], options=options, **sizes)
                except ConfigError:
                    continue
                sys.exit(f"{name} took {options}")
        loaded = {"torch", "torchvision", "timm"} & set(sys.modules)
        sys.exit(f"imported {loaded}" if loaded else 0)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_options_have_types(entry: Pair) -> None:
    found = find_model(*entry)
    for option, default in found.options.items():
        assert isinstance(default, (bool, int, float, str)), "options are plain values, so that they fit a model card"
        assert model_options(found, {option: default}) == dict(found.options)
        wrong = 1 if isinstance(default, (str, bool)) else True
        with pytest.raises(ConfigError) as caught:
            model_options(found, {option: wrong})
        assert caught.value.code == "model.option_type"
        with pytest.raises(ConfigError) as caught:
            model_options(found, {option + "x": default})
        assert option in str(caught.value)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(UsageError) as caught:
        find_model("resnet81", "classification")
    assert "resnet18" in str(caught.value)


def test_outputs_at_any_size(entry: Pair) -> None:
    """All variants, on the device without numbers."""
    name, task = entry
    for channels in (1, 3):
        model = build_empty(name, task, channels=channels, classes=7)
        outputs = model.eval()(torch.empty(2, channels, 64, 64, device="meta"))
        check_outputs(outputs, task, 2, 7)
        assert len(model.mean) == len(model.std) == channels
        assert all(spread > 0 for spread in model.std)


@pytest.mark.parametrize("channels", [1, 3])
def test_outputs(full: Pair, channels: int, examples: Callable[..., Examples]) -> None:
    """Finite; the same twice; an image's own whatever stands beside it; one image is a batch."""
    name, task = full
    some = examples(task, channels)
    model = build(name, task, classes=len(some.dataset.classes), channels=channels).eval()
    images = model.normalise(some.pixels)
    with torch.inference_mode():
        all_at_once, again, one = model(images), model(images), model(images[2:3])
    check_outputs(all_at_once, task, len(images), len(some.dataset.classes))
    for key in (output.key for output in get_task(task).outputs):
        tensor = all_at_once[key]
        assert tensor.isfinite().all()
        assert torch.equal(tensor, again[key])
        torch.testing.assert_close(one[key], tensor[2:3], rtol=1e-3, atol=1e-4)


def test_stages_hold_every_parameter_once_and_end_with_the_head(full: Pair, examples: Callable[..., Examples]) -> None:
    name, task = full
    model = build(name, task, classes=3)
    stages = [[id(parameter) for parameter in stage] for stage in model.stages()]
    assert sorted(chain.from_iterable(stages)) == sorted(id(parameter) for parameter in model.parameters())
    assert len(stages) >= 3 and all(stages)
    first = next(parameter for parameter in model.parameters() if parameter.ndim > 1)
    assert id(first) in stages[0]
    if hasattr(model, "features"):
        model.features(model.normalise(examples(task).pixels)).sum().backward()
        touched = [any(p.grad is not None for p in stage) for stage in model.stages()]
        assert not touched[-1] and any(touched)


def test_learns_a_handful_by_heart(full: Pair, examples: Callable[..., Examples]) -> None:
    """Every parameter gets a gradient, the loss is finite and falls, eight images are learned without a mistake."""
    name, task = full
    some = examples(task)
    classes = some.dataset.classes
    model = build(name, task, classes=len(classes), skeleton=some.dataset.skeleton)
    targets = some.targets()
    if model.learns == "once":
        pytest.skip("computed, not trained by steps")
    bar = BARS.get(task, (get_task(task).main_metric, 1.0))
    # The layout that training takes on most machines.
    images = model.normalise(some.pixels).contiguous(memory_format=torch.channels_last)
    model.to(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    family = find_model(name, task).family
    lr = FASTER.get(family, RATES.get(task, OTHER_RATE))
    optimiser = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0)
    first, losses = judged(model, images, targets), []
    for step in range(LONGER.get(family, STEPS.get(task, OTHER_STEPS))):
        loss = model.loss(model.train()(images), targets)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
            assert loss.shape == () and not without
        optimiser.step()
        losses.append(loss.item())
        if family in GAMES:
            return
        if step % 10 == 9 and bar and reached(model, images, some, *bar):
            break
    if bar is None:
        assert judged(model, images, targets) < first / 2
        return
    assert losses[-1] < losses[0] / 2, losses[:: len(losses) // 8]
    assert reached(model, images, some, *bar), losses[:: len(losses) // 8]


@torch.no_grad()
def judged(model: Model, images: torch.Tensor, targets: Any) -> float:
    """The loss in evaluation mode, as a look at validation images has it."""
    return float(model.loss(model.eval()(images), targets))


@torch.inference_mode()
def reached(model: Model, images: torch.Tensor, some: Examples, metric: str, bar: float) -> bool:
    """The bar on the images learned, with the statistics of this batch: few steps don't settle the running ones."""
    rules = task_of(some.dataset)
    for module in model.eval().modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train()
    found = model(images)
    outputs = {output.key: found[output.key].numpy() for output in rules.outputs}
    predictions = rules.decode(outputs, some.frames, rules.settings)
    evaluation = rules.evaluate(predictions, some.truths, some.dataset.classes, intervals=False)
    score = evaluation.metrics[metric]
    return score >= bar if rules.higher_is_better else score <= bar


def test_fixing_the_statistics_changes_nothing(full: Pair, examples: Callable[..., Examples]) -> None:
    """Folding normalisation into convolutions must know which stands behind which, whatever the scale's sign."""
    name, task = full
    model, images = build(name, task, classes=3).eval(), examples(task).pixels
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    before = deepcopy(model)
    fix_norms(model)
    candidates = [output.key for output in get_task(task).outputs if "candidates" in output.shape]
    unordered = [*candidates, *getattr(model, "unordered", ())]
    assert same_function(before, model, model.normalise(images), unordered=unordered)


def card_of(name: str, task: str, model: Model, classes: tuple[str, ...]) -> ModelCard:
    options = model_options(find_model(name, task), SMALLER.get(find_model(name, task).family, {}))
    skeleton = None
    return ModelCard(
        task, name, classes, preprocess_of(task), model.mean, model.std, options=options, skeleton=skeleton
    )


def test_a_checkpoint_gives_back_the_model(full: Pair, tmp_path: Path) -> None:
    name, task = full
    model, path = build(name, task, classes=3), tmp_path / "model.safetensors"
    save_checkpoint(path, Checkpoint(card_of(name, task, model, ("a", "b", "c")), model.state_dict()))
    found = load_checkpoint(path, task=task)
    torch.manual_seed(2)
    again = create_model(
        found.card.model, task=task, classes=3, channels=3, imgsz=size_of(task), options=dict(found.card.options)
    )
    load_into(again, found.tensors, file=path)
    assert save(again.state_dict()) == save(model.state_dict())


def test_the_exported_model_is_the_trained_model(full: Pair, examples: Callable[..., Examples], tmp_path: Path) -> None:
    name, task = full
    some = examples(task)
    model = build(name, task, classes=len(some.dataset.classes))
    with torch.no_grad():
        model.train()(model.normalise(some.pixels))  # running statistics that differ from their first values
    card = card_of(name, task, model, some.dataset.classes)
    done = export_onnx(model, card, tmp_path / "model.onnx", samples=some.samples, classes=some.dataset.classes)
    assert done.parity.count == len(some.samples)
    assert done.parity.max_difference <= LARGEST_DIFFERENCE
