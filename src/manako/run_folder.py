"""The folder of one training run: what lies where, and making a new one."""

from __future__ import annotations

import json
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from manako.errors import DataError, UsageError

_PACKAGES = ("manako", "numpy", "pillow", "torch", "torchvision", "timm", "onnxruntime", "scikit-learn")


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder. They may not exist yet."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def classes(self) -> Path:
        return self.path / "classes.json"

    @property
    def split(self) -> Path:
        return self.path / "split.csv"

    @property
    def environment(self) -> Path:
        return self.path / "environment.json"

    @property
    def history(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def best(self) -> Path:
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        return self.path / "last.safetensors"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation.json"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def exported(self) -> Path:
        return self.path / "model.onnx"


def new_run_folder(out: str | Path | None, data: str) -> RunFolder:
    """The folder `out`, or the next free `runs/NAME-NUMBER`. Raises UsageError if `out` already holds a run."""
    if out is not None:
        folder = RunFolder(Path(out))
        if folder.path.exists() and not folder.path.is_dir():
            raise UsageError("run.not_a_folder", run=out)
        if folder.last.exists() or folder.best.exists():
            raise UsageError("run.exists", run=out)
        return folder
    name = re.sub(r"[^\w.-]+", "-", Path(data).resolve().stem).strip("-.") or "run"
    number = 1
    while Path("runs", f"{name}-{number}").exists():
        number += 1
    return RunFolder(Path("runs", f"{name}-{number}"))


def open_run_folder(path: str | Path) -> RunFolder:
    """An existing run. Raises DataError saying what is missing."""
    folder = RunFolder(Path(path))
    if not folder.path.is_dir():
        raise DataError("run.missing", run=path)
    if not folder.best.exists() and not folder.last.exists():
        raise DataError("run.no_model", run=path)
    return folder


def environment() -> dict[str, object]:
    """Versions and machine, for the run's record. Names no user and no host."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "python": sys.version.split()[0],
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": _processor(),
        "packages": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def read_classes(folder: RunFolder) -> tuple[str, ...]:
    """The class names of a run, in the order of their ids."""
    try:
        names = json.loads(folder.classes.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("run.classes", file=folder.classes, reason=error) from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError("run.classes", file=folder.classes, reason="not a list of names")
    return tuple(names)
