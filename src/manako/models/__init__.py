"""The models, one file a family. This file finds them without importing PyTorch.

A model file holds the literal tables `TASKS` (names) and `VARIANTS` (variant -> constructor options), and one
class named like the file in CamelCase (`timm_backbone.py` -> `TimmBackbone`), a subclass of
`manako.blocks.model.Model` with a flat keyword-only constructor. `PREFIX = "timm"` lets `timm:NAME` choose any
network of a library: NAME becomes the option `network`.

`READY` (variant -> task, height, width, channels) names those whose packaged weights predict without any training:
their names stand wherever a run or an exported file may (see `manako.training.ready`).
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manako.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from manako.blocks.model import Model
    from manako.types import Skeleton

# The constructor arguments that Manako itself fills; all others are the model's own options.
COMMON = ("classes", "channels", "imgsz", "weights")
TABLES = ("TASKS", "VARIANTS", "PREFIX", "READY")  # literal ones of a model file


@dataclass(frozen=True)
class ModelEntry:
    """One name that `--model` takes. options: the model's own constructor options with their defaults. ready: of those
    that predict without training, the task and the network's images."""

    name: str
    family: str
    tasks: tuple[str, ...]
    options: Mapping[str, Any]
    summary: str
    ready: Mapping[str, Any] | None = None

    @property
    def class_name(self) -> str:
        return "".join(word.capitalize() for word in self.family.split("_"))


@cache
def model_entries() -> Mapping[str, ModelEntry]:
    """Every model by name, read from the source text of the model files."""
    entries: dict[str, ModelEntry] = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        for entry in _read(path):
            if entry.name in entries:
                raise RuntimeError(f"two models are called {entry.name}: {entries[entry.name].family}, {entry.family}")
            entries[entry.name] = entry
    return entries


def find_model(name: str, task: str) -> ModelEntry:
    """The model called `name`, for `task`. Raises UsageError with the nearest name, or with those that fit."""
    entries = model_entries()
    prefix, _, network = name.partition(":")
    if network and f"{prefix}:" in entries:
        entry = entries[f"{prefix}:"]
        entry = replace(entry, name=name, options={**entry.options, "network": network})
    elif name in entries and not name.endswith(":"):
        entry = entries[name]
    else:
        fitting = [e.name for e in entries.values() if task in e.tasks]
        near = get_close_matches(name, fitting, n=1) or get_close_matches(name, entries, n=1)
        raise UsageError("model.unknown", name=name, near=near[0] if near else ", ".join(fitting))
    if task not in entry.tasks:
        fitting = [e.name for e in entries.values() if task in e.tasks]
        raise UsageError("model.other_task", name=name, task=task, tasks=", ".join(entry.tasks), fit=", ".join(fitting))
    return entry


def model_options(entry: ModelEntry, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `entry` with `given` on top. Raises ConfigError for an unknown one or one of another type."""
    for name, value in given.items():
        if name not in entry.options:
            near = get_close_matches(name, entry.options, n=1)
            known = near[0] if near else ", ".join(entry.options) or "-"
            raise ConfigError("model.unknown_option", model=entry.name, option=name, near=known)
        default = entry.options[name]
        fits = isinstance(value, type(default)) or (isinstance(default, float) and isinstance(value, int))
        if default is not None and (not fits or isinstance(value, bool) != isinstance(default, bool)):
            kind = type(default).__name__
            raise ConfigError("model.option_type", model=entry.name, option=name, value=repr(value), kind=kind)
    return {**entry.options, **given}


def skeleton_options(entry: ModelEntry, skeleton: Skeleton | None) -> dict[str, Any]:
    """The option `limbs` of a pose model, from the data: pairs of points, "0-1 1-2"."""
    if skeleton is None or "limbs" not in entry.options:
        return {}
    return {"limbs": " ".join(f"{one}-{other}" for one, other in skeleton.limbs)}


def alphabet_option(entry: ModelEntry, classes: Sequence[str]) -> dict[str, Any]:
    """The option `alphabet` of a reader, from the data: the characters in the order of the classes, by which it finds
    what learned weights know of each."""
    return {"alphabet": "".join(classes)} if "alphabet" in entry.options else {}


def create_model(
    name: str,
    *,
    task: str,
    classes: int,
    channels: int,
    imgsz: int,
    weights: str = "none",
    options: Mapping[str, Any] | None = None,
) -> Model:
    """Build a model (imports PyTorch). weights: "none", "auto" (the library's pretrained ones) or a path."""
    entry = find_model(name, task)
    chosen = model_options(entry, options or {})
    model: Model = model_class(entry)(classes=classes, channels=channels, imgsz=imgsz, weights=weights, **chosen)
    return model


def model_class(entry: ModelEntry) -> Any:
    """The class, a subclass of `Model` with a constructor of its own. Imports PyTorch."""
    kind: Any = getattr(import_module(f"manako.models.{entry.family}"), entry.class_name)
    return kind


def is_ready(name: str | Path) -> bool:
    """Whether this names a model that predicts without training, and no file or folder of that name is there."""
    entry = model_entries().get(str(name))
    return entry is not None and entry.ready is not None and not Path(name).exists()


def _read(path: Path) -> list[ModelEntry]:
    tree = ast.parse(path.read_text("utf-8"))
    tables: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in TABLES and node.value:
                tables[target.id] = ast.literal_eval(node.value)
    name = ModelEntry("", path.stem, (), {}, "").class_name
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    if not classes or not {"TASKS", "VARIANTS"} <= set(tables):
        raise RuntimeError(f"{path.name} must hold literal TASKS and VARIANTS and a class {name}")
    options = _constructor_options(classes[0])
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    variants = dict(tables["VARIANTS"])
    if "PREFIX" in tables:
        variants[f"{tables['PREFIX']}:"] = {}
    ready = tables.get("READY", {})
    return [
        ModelEntry(variant, path.stem, tuple(tables["TASKS"]), {**options, **own}, summary, ready.get(variant))
        for variant, own in variants.items()
    ]


def _constructor_options(node: ast.ClassDef) -> dict[str, Any]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            pairs = zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True)
            return {a.arg: ast.literal_eval(d) for a, d in pairs if a.arg not in COMMON and d is not None}
    return {}
