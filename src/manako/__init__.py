"""Manako (眼): deep learning for images, from first principles to production.

    import manako
    run = manako.train("photos", minutes=5)
    for result in manako.load(run.folder).predict("new/*.jpg"):
        print(result.image, result.prediction)

Names are loaded when first used, so that `import manako` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from manako.api import Run, check, cluster, convert, evaluate, export, generate, load, models, predict, train
    from manako.errors import ManakoError

_HOMES = {
    **dict.fromkeys(
        ("Run", "check", "cluster", "convert", "evaluate", "export", "generate", "load", "models", "predict", "train"),
        "manako.api",
    ),
    "ManakoError": "manako.errors",
}
__all__ = [
    "ManakoError",
    "Run",
    "__version__",
    "check",
    "cluster",
    "convert",
    "evaluate",
    "export",
    "generate",
    "load",
    "models",
    "predict",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'manako' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
