"""What a run says and writes before it begins: the data, what was chosen and why, where it happens."""

from __future__ import annotations

import json
from collections.abc import Sequence

from manako.config import RunConfig
from manako.console import say
from manako.doctor.data import fingerprint
from manako.messages import message
from manako.paths import atomic_write
from manako.run_folder import RunFolder, environment
from manako.splits import write_split_csv
from manako.training.plan import Reason
from manako.types import Dataset, Problem


def tell_plan(config: RunConfig, dataset: Dataset, reasons: Sequence[Reason]) -> None:
    counts = {split: len(dataset.of(split)) for split in ("train", "val", "test")}
    say("train.data", format=dataset.format, task=dataset.task, classes=len(dataset.classes), **counts)
    tell_problems(dataset.problems, config.data)
    for code in dict.fromkeys(reason.code for reason in reasons):
        same = [reason for reason in reasons if reason.code == code]
        choices = ", ".join(f"{reason.setting}={reason.value}" for reason in same)
        say("train.choice", choices=choices, why=message(code, **same[0].facts))


def tell_problems(problems: Sequence[Problem], data: str) -> None:
    """The first of the worst in full, and where all are listed."""
    found = sorted((p for p in problems if p.severity != "note"), key=lambda problem: problem.severity)
    if found:
        say("train.problems", first=message(found[0].code, **found[0].facts), data=data)


def write_record(folder: RunFolder, config: RunConfig, dataset: Dataset, reasons: Sequence[Reason]) -> None:
    """All that explains the run, before it begins."""
    folder.path.mkdir(parents=True, exist_ok=True)
    plan = [
        {"setting": r.setting, "value": r.value, "code": r.code, "facts": {k: _plain(v) for k, v in r.facts.items()}}
        for r in reasons
    ]
    problems = [
        {"code": p.code, "severity": p.severity, "facts": {k: _plain(v) for k, v in p.facts.items()}}
        for p in dataset.problems
    ]
    record = environment() | {"data": fingerprint(dataset), "problems": problems}
    atomic_write(folder.config, config.dumps())
    atomic_write(folder.classes, json.dumps(list(dataset.classes), ensure_ascii=False) + "\n")
    atomic_write(folder.environment, json.dumps(record, ensure_ascii=False, indent=1) + "\n")
    atomic_write(folder.plan, json.dumps(plan, ensure_ascii=False, indent=1) + "\n")
    write_split_csv(folder.split, dataset)


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, float, str, type(None))) else str(value)
