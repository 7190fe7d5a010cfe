"""The border between meaning and learning, and the time until a person sees something."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import manako

PACKAGE = Path(manako.__file__).parent
LEARNING = {"blocks", "models", "training"}
ABOVE_BOTH = {"__init__", "__main__", "api", "cli", "commands"}
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "PIL",
    "onnxruntime",
    "sklearn",
    "scipy",
    "matplotlib",
    "yaml",
    "tqdm",
)
ATTEMPTS = 5


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def rooms() -> set[str]:
    """All modules and packages that stand directly in the package."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return folders | {path.stem for path in PACKAGE.glob("*.py")}


def test_every_room_stands_on_one_side_of_the_border() -> None:
    """A new room that the import contract forgets fails here."""
    text = (PACKAGE.parents[1] / "pyproject.toml").read_text("utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    guarded = {name.removeprefix("manako.") for name in contracts[0]["source_modules"]}
    assert {"torch", "manako.blocks", "manako.training"} <= set(contracts[0]["forbidden_modules"])
    assert guarded == rooms() - LEARNING - ABOVE_BOTH


def test_the_import_contracts_are_kept() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"],
        cwd=PACKAGE.parents[1],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_all_but_the_learning_half_imports_without_pytorch() -> None:
    """Every module outside blocks, models/*.py and training, where PyTorch and its friends can't be imported."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        inside_learning = parts[1] in LEARNING and parts != ("manako", "models", "__init__")
        if not inside_learning and parts[-1] != "__main__":
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    code = f"""if True:
        import sys
        from importlib import import_module
        for name in ("torch", "torchvision", "timm", "safetensors"):
            sys.modules[name] = None
        for name in {names}:
            import_module(name)
        print("done")"""
    assert run(code) == "done"


def test_importing_manako_loads_nothing_heavy() -> None:
    code = f"import sys, manako; print(*[m for m in {HEAVY} if m in sys.modules], '.')"
    assert run(code) == "."


@pytest.mark.parametrize(
    ("statement", "limit"),
    [("import manako", 0.1), ("import manako.cli; manako.cli.main(['--help'])", 0.3)],
    ids=["import", "help"],
)
def test_a_person_does_not_wait(statement: str, limit: float) -> None:
    """Processor seconds beyond those of an empty Python; the best of some runs, as other work disturbs."""
    code = f"""if True:
        import time
        before = time.process_time()
        try:
            {statement}
        except SystemExit as ended:
            assert not ended.code
        print(time.process_time() - before)"""
    assert min(float(run(code)) for _ in range(ATTEMPTS)) < limit
