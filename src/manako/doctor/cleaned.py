"""A cleaned copy of a data set: without what can't be read, shows nothing, is there twice or contradicts itself."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manako import idx
from manako.conversion import can_write, write_labels
from manako.decode import open_image
from manako.duplicates import Look, same
from manako.errors import LabelError, UsageError
from manako.formats import readers
from manako.paths import atomic_write, new_folder
from manako.types import Dataset, Labels, Sample

# Of equal images in several parts, the one that measures is kept: training must not have seen it.
_KEEP_FIRST = {"test": 0, "val": 1, "train": 2, None: 3}


def write_cleaned(
    dataset: Dataset, looks: Sequence[Look], out: Path, *, data: Path | None = None, group_by: str | None = None
) -> Path:
    """Copy what is good to the new folder `out`, with `removed.csv` (id, reason) beside it.

    Classes become folders. All other labels are written in the format that they had (COCO for objects where Manako
    can't write it); objects are read once more from `data`, with what can be repaired.

    Raises UsageError where `out` holds something or lies within the data, or where the labels can't be written,
    StorageError where the folder can't be; then nothing is left behind.
    """
    removed = _removed(dataset, looks)
    repaired = dataset if data is None else _repaired(dataset, data, group_by)
    in_folders = dataset.task == "classification"
    if not in_folders and not can_write(repaired):
        raise UsageError("check.fix_format", format=dataset.format, task=dataset.task)
    with new_folder(out, apart_from=dataset.root) as partial:
        if not in_folders:
            left_out = {dataset.samples[index].id for index in removed}
            samples = tuple(sample for sample in repaired.samples if sample.id not in left_out)
            write_labels(replace(repaired, samples=samples), partial)
        for index, sample in enumerate(dataset.samples):
            if index not in removed and in_folders:
                _copy(sample, partial / _place(dataset, sample))
        atomic_write(partial / "removed.csv", _list_of(dataset, removed))
    return out


def _repaired(dataset: Dataset, data: Path, group_by: str | None) -> Dataset:
    """Labels of objects, with outlines where there are any; other data as they are."""
    reader: Any = readers()[dataset.format]
    if "detection" not in reader.TASKS:
        return dataset
    try:
        found = reader.read(data, task="instances", group_by=group_by, repair=True)
    except LabelError:
        found = reader.read(data, task="detection", group_by=group_by, repair=True)
    assert isinstance(found, Dataset)
    return found


def _removed(dataset: Dataset, looks: Sequence[Look]) -> dict[int, str]:
    """Index -> the code of the reason."""
    removed = {index: look.error.code for index, look in enumerate(looks) if look.error is not None}
    removed |= {index: "check.blank" for index, look in enumerate(looks) if look.blank}
    for group in same(looks):
        labels = {t.best for index in group if isinstance(t := dataset.samples[index].target, Labels)}
        if len(labels) > 1:
            removed |= dict.fromkeys(group, "check.copies_two_labels")
        else:
            kept = min(group, key=lambda index: (_KEEP_FIRST[dataset.samples[index].split], index))
            removed |= {index: "check.copies" for index in group if index != kept}
    return removed


def _place(dataset: Dataset, sample: Sample) -> Path:
    """Where the copy goes: class folders keep their names, everything else is put into such folders."""
    if dataset.format == "folders":
        return Path(*(_safe(part) for part in sample.id.split("/")))
    label = dataset.classes[sample.target.best] if isinstance(sample.target, Labels) else "unlabelled"
    name = _safe(sample.id.replace("/", "_").replace("#", "_"))
    if idx.is_idx_images(sample.image):
        name += ".png"
    return Path(sample.split or "", _safe(label), name)


def _safe(name: str) -> str:
    """A label may be any text, also `../..`: as the name of one folder or file."""
    return re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", name).lstrip(".").rstrip(". ")[:120] or "_"


def _copy(sample: Sample, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise FileExistsError(17, "two images would get one name", str(target))
    if idx.is_idx_images(sample.image):
        open_image(sample.image, sample.frame).save(target)
    else:
        shutil.copyfile(sample.image, target)


def _list_of(dataset: Dataset, removed: dict[int, str]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "reason"))
    writer.writerows((dataset.samples[index].id, removed[index]) for index in sorted(removed))
    return text.getvalue()
