"""Normal images to learn from, defects to be tested with, as MVTec AD lays them out (Bergmann et al. 2019).

`train/good`, `test/good`, `test/<defect>`, masks in `ground_truth/<defect>`; `val/...` where there is one. Where the
task is said to be anomaly detection, also: a folder of good and folders of bad images, or normal images alone.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from manako.errors import ConfigError, DataError
from manako.formats._defects import MaskedDefect
from manako.paths import find_images, is_hidden, leads_outside, printable
from manako.types import Anomaly, Dataset, Problem, Sample, Split

TASKS = ("anomaly",)
CLASSES = ("normal", "defect")
MASKS = "ground_truth"
LEAST_NORMAL = 4  # images to learn from
_SPLITS: dict[str, Split] = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
_NORMAL = frozenset({"good", "normal", "ok", "okay", "fine", "healthy", "passed", "defectfree", "nodefect"})
_SHOWN = 5
_NORMAL_TRUTH = Anomaly(0.0)


def recognise(path: Path) -> bool:
    """MVTec's own layout. The others could be for classification as well: they are read where the task is given."""
    if not path.is_dir():
        return False
    parts = {_SPLITS[name.lower()]: path / name for name in _folders(path) if name.lower() in _SPLITS}
    if "train" not in parts or not all(map(_is_normal, _folders(parts["train"]))):
        return False
    return bool(_folders(parts["train"])) and ("test" in parts or MASKS in _folders(path))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Defects are for testing, or, in a folder `val`, for setting the threshold; never for training.

    Raises DataError where there are too few normal images, ConfigError for a `group_by`.
    """
    if group_by is not None:
        raise ConfigError("mvtec.group_by", group_by=group_by)
    if not path.is_dir():
        raise DataError("data.unrecognised_file", data=path)
    problems: list[Problem] = []
    masks = _masks(path)
    samples = []
    for split, folder, name in _kinds(path):
        samples += [_sample(path, image, split, name, masks) for image in _images(path, folder, problems)]
    if not samples:
        raise DataError("data.no_images", data=path)
    _check_normal(path, samples)
    problems += _problems(path, samples, masks)
    return Dataset(path, "mvtec", task, CLASSES, tuple(samples), tuple(problems))


def _kinds(root: Path) -> Iterator[tuple[Split | None, Path, str]]:
    """Every folder of images: its split, where it lies, and its defect ("": normal)."""
    names = [name for name in _folders(root) if name != MASKS]
    splits = [name for name in names if name.lower() in _SPLITS]
    normal = [name for name in names if _is_normal(name)]
    if splits and any(_SPLITS[name.lower()] == "train" for name in splits):
        for name in splits:
            inner = _folders(root / name) or [""]  # images right in `train` are normal
            for kind in inner:
                yield _SPLITS[name.lower()], root / name / kind, "" if not kind or _is_normal(kind) else kind
    elif normal:
        for name in names:
            yield None, root / name, "" if name in normal else name
    else:
        yield None, root, ""


def _sample(root: Path, image: Path, split: Split | None, kind: str, masks: dict[tuple[str, str], Path]) -> Sample:
    name = printable(image.relative_to(root).as_posix())
    if not kind:
        return Sample(name, image, _NORMAL_TRUTH, split=split)
    mask = masks.get((kind, image.stem))
    target = MaskedDefect(image, mask, printable(kind)) if mask else Anomaly(1.0, None, printable(kind))
    return Sample(name, image, target, split="test" if split in (None, "train") else split)


def _masks(root: Path) -> dict[tuple[str, str], Path]:
    """(defect, stem of the image) -> mask. Masks are called like their images, or with `_mask` behind it."""
    found: dict[tuple[str, str], Path] = {}
    if (root / MASKS).is_dir():
        for kind in _folders(root / MASKS):
            for file in _images(root, root / MASKS / kind, []):
                found[kind, re.sub("_mask$", "", file.stem)] = file
    return found


def _images(root: Path, folder: Path, problems: list[Problem]) -> list[Path]:
    """All images below `folder`; links that lead out of the data are passed over."""
    if folder == root:  # images alone: not the masks
        files: Iterable[Path] = (f for f in find_images([folder]) if f.relative_to(root).parts[0] != MASKS)
    else:
        files = find_images([folder])
    found = list(files)
    kept = [file for file in found if not (file.is_symlink() or folder.is_symlink()) or not leads_outside(root, file)]
    if len(kept) < len(found):
        problems.append(Problem("folders.links", {"count": len(found) - len(kept), "folder": folder}))
    return kept


def _check_normal(root: Path, samples: list[Sample]) -> None:
    normal = sum(s.target is _NORMAL_TRUTH and s.split in ("train", None) for s in samples)
    if not normal:
        raise DataError("mvtec.no_normal", data=root)
    if normal < LEAST_NORMAL:
        raise DataError("mvtec.few_normal", data=root, count=normal, least=LEAST_NORMAL)


def _problems(root: Path, samples: list[Sample], masks: dict[tuple[str, str], Path]) -> Iterator[Problem]:
    defects = [s for s in samples if s.target is not _NORMAL_TRUTH]
    used = {s.target.mask for s in defects if isinstance(s.target, MaskedDefect)}
    alone = sorted(set(masks.values()) - used)
    if alone:
        names = ", ".join(printable(p.relative_to(root).as_posix()) for p in alone[:_SHOWN])
        yield Problem("mvtec.mask_without_image", {"count": len(alone), "names": names})
    without: dict[str, int] = defaultdict(int)
    for sample in defects:
        if isinstance(sample.target, Anomaly):
            without[sample.target.kind] += 1
    for kind, count in sorted(without.items()):
        yield Problem("mvtec.without_masks", {"kind": kind, "count": count}, "note")
    moved = [s for s in defects if s.split == "test" and _SPLITS.get(s.id.partition("/")[0].lower()) == "train"]
    if moved:
        facts = {"count": len(moved), "folder": moved[0].image.parent}
        yield Problem("mvtec.defects_in_train", facts, samples=tuple(s.id for s in moved))
    if not defects:
        yield Problem("mvtec.no_defects", {}, "note")


def _is_normal(name: str) -> bool:
    """Whether a folder's name says that what it holds is as it should be: "good", "OK_front", "defect-free"."""
    words = re.split(r"[\W_]+", name.casefold())
    return words[0] in _NORMAL or "".join(words[:2]) in _NORMAL


def _folders(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir() and not is_hidden(e.name))
    except OSError as error:
        raise DataError("paths.unreadable_folder", folder=folder, reason=error.strerror) from error
