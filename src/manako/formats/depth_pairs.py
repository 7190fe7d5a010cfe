"""Images with a depth map each: `image/` and `depth/` with or without splits, NYU, KITTI, DIODE, 7-Scenes.

The unit: floats are metres; 16-bit integers are millimetres, KITTI's 256ths of a metre. `depth.json` in the folder
says otherwise: `{"unit": "m", "scale": 5000}` for 5000 numbers a metre, `{"unit": "relative"}` where only ratios of
depths mean something; `"scales": {"depth/a.png": 256}` for single files.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from manako.errors import ConfigError, DataError, ImageError, LabelError
from manako.formats._depth_file import DepthFile, Unit, stored_size
from manako.formats._depth_layout import Found, Pair, depth_name, is_kitti, pairs, search
from manako.images import image_size
from manako.paths import atomic_write, leads_outside, printable
from manako.types import Dataset, Depth, Prediction, Problem, Sample, Skeleton, Split

TASKS = ("depth",)
WRITES = ("depth",)
SIDECAR = "depth.json"
MILLIMETRES, KITTI_SCALE = 1000.0, 256.0
_LOOKED_INTO = 1000  # maps; of larger data sets so many, spread evenly
_SCENES = 4  # from so many recordings on, one recording lies in one split
_NEAREST, _FARTHEST = 0.02, 500.0  # metres: a median outside of these is another unit
_LARGEST = 65534  # that 16 bits hold, beside "no reading" of some makers


def recognise(path: Path) -> bool:
    return path.is_dir() and next(pairs(search(path, each=50)), None) is not None


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises DataError where no pair can be used or the depth is in another unit, ConfigError for `group_by`."""
    if group_by not in (None, "folder"):
        raise ConfigError("folders.group_by", group_by=group_by)
    unit = _Units.read(path)
    found = search(path)
    listed = [(pair, unit.of(path, pair)) for pair in pairs(found)]
    if not listed:
        raise DataError("depth.no_pairs", data=path)
    checks = _check(path, listed)
    problems = [*_unpaired(path, found, [pair for pair, _ in listed]), *_problems(checks)]
    good = [check for check in checks if check.code == ""]
    if not good:
        raise DataError(problems[-1].code, **problems[-1].facts)
    problems += unit.told(path, good)
    scenes = {check.pair.scene for check in good}
    grouped = group_by is not None or len(scenes) >= _SCENES
    splits = _sequences(path)
    samples = tuple(
        Sample(
            check.id,
            path / check.pair.image,
            check.target,
            group=check.pair.scene if grouped and check.pair.scene else None,
            split=check.pair.split or _listed(check.pair, splits),
        )
        for check in sorted(good, key=lambda c: c.id)
    )
    return Dataset(path, "depth_pairs", task, (), samples, tuple(problems))


@dataclass
class _Check:
    """One pair and what is wrong with it: a message key and its facts. low, median, high: of the known depth."""

    pair: Pair
    target: DepthFile
    code: str = ""
    facts: dict[str, object] = field(default_factory=dict)
    low: float = math.nan
    median: float = math.nan
    high: float = math.nan

    @property
    def id(self) -> str:
        return printable(self.pair.image)


def _check(root: Path, listed: Sequence[tuple[Pair, DepthFile]]) -> list[_Check]:
    """Sizes of all pairs; the depth itself of up to 1000, spread evenly."""
    looked = set(np.linspace(0, len(listed) - 1, min(_LOOKED_INTO, len(listed))).astype(int).tolist())

    def one(index: int) -> _Check:
        check = _Check(*listed[index])
        try:
            _check_one(root, check, look=index in looked)
        except (LabelError, ImageError) as error:
            check.code, check.facts = error.code, dict(error.facts)
        return check

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(one, range(len(listed))))


def _check_one(root: Path, check: _Check, *, look: bool) -> None:
    for name in (check.pair.image, check.pair.depth):
        if leads_outside(root, root / name):
            raise LabelError("paths.escapes", name=name, root=root)
    found, wanted = stored_size(check.target.path), image_size(root / check.pair.image)
    if found != wanted:
        raise LabelError(
            "depth.other_size",
            file=check.target.path,
            found=f"{found[1]} x {found[0]}",
            wanted=f"{wanted[1]} x {wanted[0]}",
        )
    if look:
        depth = check.target.load().depth
        known = depth[np.isfinite(depth)]
        if not len(known):
            raise LabelError("depth.all_holes", file=check.target.path)
        check.low, check.median, check.high = (float(v) for v in np.quantile(known, [0.01, 0.5, 0.99]))


def _problems(checks: Iterable[_Check]) -> Iterator[Problem]:
    """One line a kind of mistake, with its first file and how many there are."""
    kinds: dict[str, list[_Check]] = {}
    for check in checks:
        if check.code:
            kinds.setdefault(check.code, []).append(check)
    for code, same in kinds.items():
        ids = tuple(check.id for check in same)
        yield Problem(code, same[0].facts, "error", ids)
        if len(same) > 1:
            yield Problem("depth.skipped", {"count": len(same), "why": code}, "error", ids)


def _unpaired(root: Path, found: Found, used: Sequence[Pair]) -> Iterator[Problem]:
    for code, names, taken in (
        ("depth.images_without_depth", found.images.values(), {pair.image for pair in used}),
        ("depth.depth_without_image", found.depths.values(), {pair.depth for pair in used}),
    ):
        alone = sorted(set(names) - taken)
        if alone:
            yield Problem(code, {"count": len(alone), "file": root / alone[0]}, "warning")


@dataclass(frozen=True)
class _Units:
    """What `depth.json` says; scale None: the layout's own."""

    unit: Unit = "m"
    scale: float | None = None
    scales: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> _Units:
        file = root / SIDECAR
        if not file.is_file():
            return cls()
        try:
            given = json.loads(file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError("depth.sidecar", file=file, field="-", value=str(error)[:120]) from None
        if not isinstance(given, dict):
            raise DataError("depth.sidecar", file=file, field="-", value=type(given).__name__)
        unit, scale, scales = given.get("unit", "m"), given.get("scale"), given.get("scales", {})
        if unit not in ("m", "relative"):
            raise DataError("depth.sidecar", file=file, field="unit", value=repr(unit)[:60])
        if scale is not None and not _positive(scale):
            raise DataError("depth.sidecar", file=file, field="scale", value=repr(scale)[:60])
        if not isinstance(scales, dict) or not all(_positive(value) for value in scales.values()):
            raise DataError("depth.sidecar", file=file, field="scales", value=repr(scales)[:60])
        return cls(unit, scale, scales)

    def of(self, root: Path, pair: Pair) -> DepthFile:
        path = root / pair.depth
        own = KITTI_SCALE if is_kitti(pair.depth) else MILLIMETRES if path.suffix.lower() == ".png" else None
        scale = self.scales.get(pair.depth) or self.scale or own or (1.0 if _floats(path) else MILLIMETRES)
        return DepthFile(path, scale, self.unit, root / pair.mask if pair.mask else None)

    def told(self, root: Path, checks: Sequence[_Check]) -> Iterator[Problem]:
        """What was assumed. Raises DataError where it can't be right."""
        seen = [check for check in checks if math.isfinite(check.median)]
        if not seen or self.unit == "relative":
            return
        low, high = min(check.low for check in seen), max(check.high for check in seen)
        scale, first = seen[0].target.scale, seen[0].target.path
        facts = {"low": low, "high": high, "scale": scale, "file": first, "sidecar": root / SIDECAR}
        if not _NEAREST <= float(np.median([check.median for check in seen])) <= _FARTHEST:
            raise DataError("depth.wrong_unit", **facts)
        if self.scale is None:
            yield Problem("depth.unit_assumed", facts, "note")


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _floats(path: Path) -> bool:
    try:
        if path.suffix.lower() == ".npy":
            return bool(np.load(path, mmap_mode="r", allow_pickle=False).dtype.kind == "f")
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            return image.mode == "F"
    except Exception:
        return True  # told when it is read


def _sequences(root: Path) -> dict[str, Split]:
    """7-Scenes: `TrainSplit.txt` and `TestSplit.txt` name the sequences, "sequence1" for the folder seq-01."""
    found: dict[str, Split] = {}
    files: tuple[tuple[str, Split], ...] = (("TrainSplit.txt", "train"), ("TestSplit.txt", "test"))
    for name, split in files:
        for file in (root / name, *sorted(root.glob(f"*/{name}"))):
            if file.is_file():
                above = file.parent.relative_to(root).as_posix()
                for line in file.read_text("utf-8", "replace").split():
                    digits = "".join(filter(str.isdigit, line))
                    if digits:
                        found[(PurePosixPath(above) / f"seq-{int(digits):02}").as_posix()] = split
    return found


def _listed(pair: Pair, splits: dict[str, Split]) -> Split | None:
    return splits.get(PurePosixPath(pair.image).parent.as_posix())


class Writer:
    """Depth as 16-bit PNG beside or below the images' names, and the unit in `depth.json`: what `read` reads.

    Millimetres where they suffice (up to 65 m), else 256ths of a metre. 0 is no reading.
    """

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._folder = folder
        self._unit: Unit = "m"
        self._scales: dict[str, float] = {}

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None:
        """Raises StorageError."""
        assert isinstance(prediction, Depth)
        self._unit = prediction.unit
        depth = np.nan_to_num(prediction.depth, nan=0.0, posinf=0.0, neginf=0.0)
        name = depth_name(image)
        scale = MILLIMETRES if depth.max(initial=0.0) * MILLIMETRES <= _LARGEST else KITTI_SCALE
        if scale != MILLIMETRES:
            self._scales[name] = scale
        stored = np.round(np.clip(depth * scale, 0, _LARGEST)).astype(np.uint16)
        data = io.BytesIO()
        Image.fromarray(stored).save(data, "PNG")
        atomic_write(self._folder / name, data.getvalue())

    def finish(self) -> Path:
        said = {"unit": self._unit, "scale": MILLIMETRES} | ({"scales": self._scales} if self._scales else {})
        atomic_write(self._folder / SIDECAR, json.dumps(said, ensure_ascii=False, indent=1) + "\n")
        return self._folder
