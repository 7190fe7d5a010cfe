"""Which image is for training, which for validation, which for the test: decided once, kept for ever.

Near-duplicates and the members of a group always stay together, classes keep their shares, and what the data set
itself says is respected. The decision is written to the run's `split.csv`; read back, it holds when data grow.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import get_args

from manako.decode import MAX_PIXELS
from manako.duplicates import Progress, alike, look_at, same
from manako.errors import ConfigError, LabelError
from manako.formats._defects import is_defect
from manako.paths import atomic_write
from manako.types import Dataset, Labels, Problem, Sample, Split

FRACTIONS = (0.7, 0.15, 0.15)
# A group with more than this part of a class (of at least 20 images) can't be kept together: nothing would be left
# to test the class with.
_LARGEST_PART = 0.5
_LEAST_FOR_PART = 20
_EXAMPLES = 20
# Beyond this many images a larger part measures hardly better and takes from training.
_LARGEST: Mapping[Split, int] = {"val": 5000, "test": 10000}
# A class of two images gives one to the test, a class of three one to validation too.
_SMALLEST_CLASS: tuple[tuple[Split, int], ...] = (("test", 2), ("val", 3))


def split_dataset(
    dataset: Dataset,
    *,
    seed: int,
    fractions: tuple[float, float, float] = FRACTIONS,
    previous: Mapping[str, Split] | None = None,
    progress: Progress | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Dataset:
    """Give every sample a split: train, val and test in these `fractions`, per class.

    The data's own parts are kept; a missing val or test is carved from train. previous: id -> split of an earlier run;
    these ids keep theirs. Where samples have groups, groups are kept together; else all images are read once to find
    near-duplicates (progress(done, total)). Near-duplicates across the data's own parts are reported, not moved.
    """
    _check_fractions(fractions)
    samples = dataset.samples
    problems: list[Problem] = []
    units = _units(dataset, problems, progress, max_pixels)
    fixed = _fixed(samples, previous or {})
    wanted = _wanted(samples, fractions)
    if wanted:
        _assign(samples, units, fixed, wanted, seed)
    chosen = [fixed[i] or "train" for i in range(len(samples))]
    split = tuple(
        sample if sample.split == s else replace(sample, split=s) for sample, s in zip(samples, chosen, strict=True)
    )
    problems += leaks(split, units)
    return replace(dataset, samples=split, problems=dataset.problems + tuple(problems))


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or fractions[0] <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError("split.fractions", value=fractions)


def _units(dataset: Dataset, problems: list[Problem], progress: Progress | None, max_pixels: int) -> list[list[int]]:
    """Indices that must stay together, two or more each."""
    samples = dataset.samples
    if any(sample.group is not None for sample in samples):
        groups = defaultdict(list)
        for index, sample in enumerate(samples):
            if sample.group is not None:
                groups[sample.group].append(index)
        return [group for group in groups.values() if len(group) > 1]
    looks = look_at(samples, progress, max_pixels=max_pixels)
    units = alike(looks)
    sizes = Counter(_class_of(sample) for sample in samples)
    too_large = [unit for unit in units if _takes_a_class(unit, samples, sizes)]
    if not too_large:
        return units
    loose = {index for unit in too_large for index in unit}
    problems += [Problem("split.all_alike", {"count": len(unit), "example": samples[unit[0]].id}) for unit in too_large]
    exact = [group for group in same(looks) if group[0] in loose]
    return [unit for unit in units if unit[0] not in loose] + exact


def _class_of(sample: Sample) -> int:
    return sample.target.best if isinstance(sample.target, Labels) else -1


def _takes_a_class(unit: Sequence[int], samples: Sequence[Sample], sizes: Mapping[int, int]) -> bool:
    counts = Counter(_class_of(samples[index]) for index in unit)
    return any(n > _LARGEST_PART * sizes[c] for c, n in counts.items() if sizes[c] >= _LEAST_FOR_PART)


def _fixed(samples: Sequence[Sample], previous: Mapping[str, Split]) -> list[Split | None]:
    """What the data say, then what was decided before. A training part may have given some of its images to val."""
    own = _own_parts(samples)
    fixed: list[Split | None] = []
    for sample in samples:
        before = previous.get(sample.id)
        if sample.split in ("val", "test") or before is None:
            fixed.append(None if sample.split == "train" else sample.split)
        else:
            keep = sample.split is None or before == "train" or before not in own
            fixed.append(before if keep else None)
    return fixed


def _own_parts(samples: Sequence[Sample]) -> set[Split | None]:
    """The parts that the data themselves make; of anomalies, of their normal images: defects are never learnt from."""
    return {sample.split for sample in samples if not is_defect(sample)}


def _wanted(samples: Sequence[Sample], fractions: tuple[float, float, float]) -> dict[Split, float]:
    """The parts that must be carved, with their share of what is not given; empty where nothing is to be decided."""
    own = _own_parts(samples)
    shares: dict[Split, float] = {"train": fractions[0]}
    if "train" not in own and None not in own:
        return {}
    if "test" not in own:
        shares["test"] = fractions[2]
    if "val" not in own:
        shares["val"] = fractions[1]
    total = sum(shares.values())
    pool = sum(sample.split in (None, "train") for sample in samples)
    return {split: min(share / total, _LARGEST.get(split, pool) / max(1, pool)) for split, share in shares.items()}


def _assign(
    samples: Sequence[Sample],
    units: list[list[int]],
    fixed: list[Split | None],
    wanted: Mapping[Split, float],
    seed: int,
) -> None:
    """Fill `fixed` in place: unit after unit, large ones first, each to the part that lacks most of its classes."""
    pool = [i for i, sample in enumerate(samples) if sample.split in (None, "train")]
    room = _room(samples, pool, wanted)
    for index in pool:
        if (before := fixed[index]) is not None and before in wanted:
            room[before][_class_of(samples[index])] -= 1
    for unit in _ordered(samples, units, pool, seed):
        known = next((split for i in unit if (split := fixed[i]) is not None), None)
        loose = [i for i in unit if fixed[i] is None]
        classes = Counter(_class_of(samples[i]) for i in loose)
        split = known if known is not None and known in wanted else _best(classes, room)
        for index in loose:
            fixed[index] = split
        room[split].subtract(classes)


def _room(samples: Sequence[Sample], pool: Sequence[int], wanted: Mapping[Split, float]) -> dict[Split, Counter[int]]:
    """How many of each class each part gets: one for training first, then one for the test, then one for validation."""
    room: dict[Split, Counter[int]] = {split: Counter() for split in wanted}
    for label, count in Counter(_class_of(samples[i]) for i in pool).items():
        left = count - 1
        for split, smallest in _SMALLEST_CLASS:
            if share := wanted.get(split, 0.0):
                least = 1 if count >= smallest else 0
                room[split][label] = min(left, max(least, round(count * share)))
                left -= room[split][label]
        room["train"][label] = left + 1
    return room


def _ordered(samples: Sequence[Sample], units: list[list[int]], pool: Sequence[int], seed: int) -> list[list[int]]:
    """Large units first, then by a hash of seed and id: the order doesn't change when other images come or go."""
    free = set(pool)
    together = [kept for unit in units if (kept := [i for i in unit if i in free])]
    bound = {i for unit in together for i in unit}
    together += [[i] for i in pool if i not in bound]
    key = str(seed).encode()

    def place(unit: list[int]) -> tuple[int, bytes]:
        return -len(unit), min(blake2b(samples[i].id.encode(), digest_size=8, key=key).digest() for i in unit)

    return sorted(together, key=place)


def _best(classes: Mapping[int, int], room: Mapping[Split, Counter[int]]) -> Split:
    def fit(split: Split) -> tuple[int, float]:
        space = room[split]
        held = sum(min(n, max(0, space[c])) for c, n in classes.items())
        return held, sum(n * space[c] for c, n in classes.items())

    return max(room, key=fit)


def leaks(samples: Sequence[Sample], units: Iterable[Sequence[int]]) -> list[Problem]:
    """Groups that lie in two parts because the data set itself, or an earlier run, put them there."""
    found = []
    for unit in units:
        firsts: dict[Split | None, str] = {}
        for index in unit:
            firsts.setdefault(samples[index].split, samples[index].id)
        if len(firsts) > 1:
            found.append((firsts, unit))
    problems = []
    for firsts, unit in found[:_EXAMPLES]:
        (one, first), (two, second) = list(firsts.items())[:2]
        facts = {"first": first, "first_split": one, "second": second, "second_split": two}
        problems.append(Problem("split.leak", facts, samples=tuple(samples[i].id for i in unit)))
    if len(found) > _EXAMPLES:
        problems.append(Problem("split.more_leaks", {"count": len(found) - _EXAMPLES}))
    return problems


def write_split_csv(path: Path, dataset: Dataset) -> None:
    """Columns id, label, split, group. Raises StorageError."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "label", "split", "group"))
    for sample in dataset.samples:
        label = dataset.classes[_class_of(sample)] if isinstance(sample.target, Labels) else ""
        writer.writerow((sample.id, label, sample.split or "", sample.group or ""))
    atomic_write(path, text.getvalue())


def read_split_csv(path: Path) -> dict[str, Split]:
    """id -> split. Raises LabelError naming file and line."""
    splits: dict[str, Split] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"id", "split"} <= set(reader.fieldnames or ()):
                raise LabelError("table.missing_column", file=path, line=1, field="id, split", found=reader.fieldnames)
            for row in reader:
                if row["split"] not in get_args(Split):
                    raise LabelError(
                        "table.unknown_split", file=path, line=reader.line_num, field="split", value=row["split"]
                    )
                splits[row["id"]] = row["split"]  # type: ignore[assignment]
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError("image.unreadable", file=path, reason=error) from error
    except csv.Error as error:
        raise LabelError("table.malformed", file=path, line=reader.line_num, reason=error) from error
    return splits
