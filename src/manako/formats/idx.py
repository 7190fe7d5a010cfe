"""MNIST and its relatives: pairs of IDX files, `train-images-idx3-ubyte[.gz]` with `train-labels-idx1-ubyte[.gz]`.

Files that begin with "train" are the training part, with "t10k" or "test" the test part, with "val" the validation
part. Classes are the numbers, or the lines of `classes.txt` beside the files.
"""

from __future__ import annotations

import re
from pathlib import Path

from manako import idx
from manako.errors import ConfigError, DataError
from manako.formats._real_image import as_real_images
from manako.paths import printable
from manako.types import Dataset, Labels, Sample, Split

TASKS = ("classification", "generation")
_SPLITS: tuple[tuple[str, Split], ...] = (("train", "train"), ("val", "val"), ("t10k", "test"), ("test", "test"))


def recognise(path: Path) -> bool:
    return path.is_dir() and any(idx.is_idx_images(file) for file in path.iterdir())


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises DataError where the files of a pair don't fit."""
    if group_by is not None:
        raise ConfigError("idx.group_by")
    pairs = [(images, _labels_of(images)) for images in sorted(path.iterdir()) if idx.is_idx_images(images)]
    values = [idx.read_labels(labels) for _, labels in pairs]
    highest = max((int(part.max()) for part in values if len(part)), default=-1)
    classes = _class_names(path, highest)
    truths = [Labels.truth(index) for index in range(len(classes))]
    samples: list[Sample] = []
    for (images, labels), part in zip(pairs, values, strict=True):
        count = len(idx.read_images(images))
        if count != len(part):
            raise DataError("idx.mismatch", images=images, labels=labels, count=count, labels_count=len(part))
        name, split = printable(images.name), _split_of(images)
        samples += [
            Sample(f"{name}#{number}", images, truths[label], number, None, split)
            for number, label in enumerate(part.tolist())
        ]
    dataset = Dataset(path, "idx", task, classes, tuple(samples))
    return as_real_images(dataset) if task == "generation" else dataset


def _labels_of(images: Path) -> Path:
    name = re.sub("idx3", "idx1", images.name.replace("images", "labels"))
    plain = name.removesuffix(".gz")
    for candidate in (name, plain, f"{plain}.gz"):
        if (labels := images.with_name(candidate)).exists():
            return labels
    raise DataError("idx.no_labels", file=images, labels=name)


def _split_of(images: Path) -> Split | None:
    return next((split for start, split in _SPLITS if images.name.lower().startswith(start)), None)


def _class_names(folder: Path, highest: int) -> tuple[str, ...]:
    numbers = tuple(str(number) for number in range(highest + 1))
    file = folder / "classes.txt"
    if not file.is_file():
        return numbers
    try:
        names = tuple(line.strip() for line in file.read_text("utf-8-sig").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("image.unreadable", file=file, reason=error) from error
    if len(names) <= highest or len(set(names)) != len(names):
        raise DataError("idx.class_names", file=file, count=len(names), needed=highest + 1)
    return names
