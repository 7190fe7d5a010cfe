"""`manako check`: what a data set holds and what is wrong with it, before an hour of training finds out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from statistics import median

from manako.decode import MAX_PIXELS
from manako.doctor.cleaned import write_cleaned
from manako.doctor.defects import defect_counts, mask_findings
from manako.doctor.objects import ObjectFacts, hold_objects, object_facts, object_findings
from manako.doctor.texts import TextFacts, text_facts, text_findings
from manako.duplicates import Look, Progress, alike, look_at, same
from manako.errors import DataError
from manako.formats import read_dataset
from manako.messages import catalogue, language, message
from manako.regions import Painting
from manako.splits import leaks
from manako.types import SPLITS, Dataset, Detections, Labels, Problem, Sample, TextLine, TextRegions

_SMALL_CLASS = 10
_IMBALANCE = 10
_LONGEST_ASPECT = 5.0
_SMALLEST_SIDE = 8
_TELLS_CLASS = 0.95
_SHOWN_CLASSES = 40
_SHOWN_OF_A_KIND = 8
_RANK = {"error": 0, "warning": 1, "note": 2}
_WHOLE = "-"
_NO_OBJECTS = "check.no_objects"
_NOTHING = (_NO_OBJECTS, "masks.one_class")  # training refuses such data


@dataclass(frozen=True, eq=False)
class DataReport:
    """What was found. counts: class -> split ("-" where there is none) -> images, or objects where `objects` is there.
    sizes: height, width of each readable image. kinds: "JPEG RGB" and so on -> images. written: the cleaned copy, where
    one was asked for."""

    data: Path
    format: str = ""
    task: str = ""
    count: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sizes: Sequence[tuple[int, int]] = ()
    kinds: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    objects: ObjectFacts | None = None
    texts: TextFacts | None = None
    written: Path | None = None

    @property
    def usable(self) -> bool:
        """Whether there is anything to train on."""
        return self.count > 0 and all(problem.code not in _NOTHING for problem in self.problems)

    def text(self) -> str:
        """The report for a terminal, in the reader's language."""
        lines: list[str] = []
        if self.count:
            lines.append(message("check.summary", data=self.data, format=self.format, task=self.task))
            if self.texts is not None:
                lines.append(message("check.images_count", count=self.count))
                lines += self.texts.lines()
            else:
                lines.append(message("check.counts", count=self.count, classes=len(self.counts)))
                lines += self._table()
            lines += self.objects.lines() if self.objects else ()
            lines += self._appearance()
        if not self.problems:
            lines.append(message("check.clean"))
        for problem in self._shown():
            lines.append(f"[{message('check.' + problem.severity)}] {message(problem.code, **problem.facts)}")
            if advice := advice_on(problem):
                lines.append(f"    {advice}")
        for code, hidden in self._hidden().items():
            lines.append(message("check.hidden", count=hidden, kind=code))
        if self.written is not None:
            lines.append(message("check.written", folder=self.written))
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        return {
            "data": str(self.data),
            "format": self.format,
            "task": self.task,
            "count": self.count,
            "classes": {name: dict(counts) for name, counts in self.counts.items()},
            "objects": None if self.objects is None else self.objects.as_json(),
            "texts": None if self.texts is None else self.texts.as_json(),
            "sizes": self._size_summary(),
            "kinds": dict(self.kinds),
            "problems": [_problem_as_json(problem) for problem in self.problems],
            "written": None if self.written is None else str(self.written),
        }

    def _table(self) -> Iterator[str]:
        columns = [split for split in (*SPLITS, _WHOLE) if any(split in counts for counts in self.counts.values())]
        whole = "check.images" if self.objects is None else "check.objects_column"
        head = [message(whole) if split == _WHOLE else split for split in columns]
        names = list(self.counts)[:_SHOWN_CLASSES]
        width = max(map(len, names), default=0)
        if columns:
            yield "  " + " " * width + "".join(f"{name:>9}" for name in head)
        for name in names:
            yield f"  {name:<{width}}" + "".join(f"{self.counts[name].get(split, 0):>9}" for split in columns)
        if len(self.counts) > len(names):
            yield "  " + message("check.more_classes", count=len(self.counts) - len(names))

    def _appearance(self) -> Iterator[str]:
        if self.sizes:
            yield message("check.sizes", **self._size_summary())
            yield message("check.kinds", kinds=", ".join(f"{kind} {n}" for kind, n in self.kinds.items()))

    def _size_summary(self) -> dict[str, int]:
        if not self.sizes:
            return {}
        heights, widths = zip(*self.sizes, strict=True)
        return {
            "least_width": min(widths),
            "least_height": min(heights),
            "median_width": int(median(widths)),
            "median_height": int(median(heights)),
            "most_width": max(widths),
            "most_height": max(heights),
        }

    def _shown(self) -> Iterator[Problem]:
        seen: Counter[str] = Counter()
        for problem in self.problems:
            seen[problem.code] += 1
            if seen[problem.code] <= _SHOWN_OF_A_KIND:
                yield problem

    def _hidden(self) -> dict[str, int]:
        counts = Counter(problem.code for problem in self.problems)
        return {code: count - _SHOWN_OF_A_KIND for code, count in counts.items() if count > _SHOWN_OF_A_KIND}


def check(
    data: str | Path,
    *,
    task: str | None = None,
    format: str | None = None,
    group_by: str | None = None,
    max_pixels: int = MAX_PIXELS,
    fix: str | Path | None = None,
    progress: Progress | None = None,
) -> DataReport:
    """Read the labels and every image of a data set and report all that is wrong.

    fix: a new folder for a cleaned copy; the data themselves are never changed. Data that can't be read at all are
    one finding, not an exception; UsageError and StorageError are raised.
    """
    try:
        dataset = read_dataset(data, task=task, format=format, group_by=group_by)
    except DataError as error:
        return DataReport(Path(data), problems=(Problem(error.code, error.facts, "error"),))
    looks = look_at(dataset.samples, progress, max_pixels=max_pixels)
    problems = [*dataset.problems, *_findings(dataset, looks)]
    if not hold_objects(dataset.samples):
        problems.append(Problem(_NO_OBJECTS, {"data": Path(data)}, "error"))
    problems.sort(key=lambda problem: _RANK[problem.severity])
    objects, texts = object_facts(dataset), text_facts(dataset)
    counts = {} if texts else defect_counts(dataset) or (objects.counts if objects else _counts(dataset))
    written = None if fix is None else write_cleaned(dataset, looks, Path(fix), data=Path(data), group_by=group_by)
    return DataReport(
        data=Path(data),
        format=dataset.format,
        task=dataset.task,
        count=len(dataset.samples),
        counts=counts,
        sizes=[(look.height, look.width) for look in looks if look.error is None],
        kinds=dict(Counter(look.kind for look in looks if look.error is None).most_common()),
        problems=tuple(problems),
        objects=objects,
        texts=texts,
        written=written,
    )


def advice_on(problem: Problem) -> str:
    """What to do about it; empty where the finding says so itself."""
    key = f"advice.{problem.code}"
    return message(key, **problem.facts) if key in catalogue(language()) else ""


def fingerprint(dataset: Dataset) -> str:
    """32 hexadecimal digits that change when ids, labels, file sizes or (of 256 files) contents change."""
    digest = blake2b(digest_size=16)
    sizes: dict[Path, int] = {}
    for sample in sorted(dataset.samples, key=lambda sample: sample.id):
        if sample.image not in sizes:
            sizes[sample.image] = sample.image.stat().st_size if sample.image.exists() else -1
        digest.update(f"{sample.id}\0{_label(sample, dataset)}\0{sizes[sample.image]}\n".encode())
    files = [path for path, size in sizes.items() if size >= 0]
    for path in files[:: max(1, len(files) // 256)]:
        with path.open("rb") as file:
            digest.update(file.read(2**20))
    return digest.hexdigest()


def _label(sample: Sample, dataset: Dataset) -> str:
    """What is known of the image, as a short text that changes with it."""
    target = sample.target
    if isinstance(target, Labels):
        return dataset.classes[target.best]
    if isinstance(target, TextLine):
        return target.text(dataset.classes)
    if isinstance(target, TextRegions):
        outlines = b"".join(polygon.tobytes() for polygon in target.polygons)
        return blake2b(outlines + repr(target.texts).encode(), digest_size=8).hexdigest()
    objects = target.objects if isinstance(target, Painting) else target
    if not isinstance(objects, Detections):
        return ""
    digest = blake2b(objects.xyxy.tobytes() + objects.class_id.tobytes(), digest_size=8)
    for outline in objects.outlines or ():
        if outline is not None:
            digest.update(b"".join(polygon.tobytes() for polygon in outline.polygons))
            digest.update(b"" if outline.runs is None else outline.runs.tobytes())
    return digest.hexdigest()


def _problem_as_json(problem: Problem) -> dict[str, object]:
    plain = (bool, int, float, str, type(None))
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": message(problem.code, **problem.facts),
        "advice": advice_on(problem),
        "facts": {name: value if isinstance(value, plain) else str(value) for name, value in problem.facts.items()},
        "samples": list(problem.samples),
    }


def _counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {name: Counter() for name in dataset.classes}
    for sample in dataset.samples:
        if isinstance(sample.target, Labels):
            counts[dataset.classes[sample.target.best]][sample.split or _WHOLE] += 1
    return {name: dict(found) for name, found in counts.items()}


def _findings(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    for sample, look in zip(dataset.samples, looks, strict=True):
        if look.error is not None:
            yield Problem(look.error.code, look.error.facts, "error", (sample.id,))
        elif look.blank:
            yield Problem("check.blank", {"id": sample.id}, samples=(sample.id,))
        elif not isinstance(sample.target, TextLine) and (
            min(look.height, look.width) < _SMALLEST_SIDE or _aspect(look) > _LONGEST_ASPECT
        ):
            facts = {"id": sample.id, "width": look.width, "height": look.height}
            yield Problem("check.odd_size", facts, "note", (sample.id,))
    yield from _repeated(dataset, looks)
    if any(isinstance(sample.target, Labels) for sample in dataset.samples):
        yield from _balance(dataset)
        yield from _tells_class(dataset, looks)
    yield from text_findings(dataset, looks)
    yield from mask_findings(dataset)
    yield from object_findings(dataset, looks)


def _aspect(look: Look) -> float:
    return max(look.height, look.width) / min(look.height, look.width)


def _repeated(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    exact = same(looks)
    groups = alike(looks)
    blank = {index for index, look in enumerate(looks) if look.blank}  # reported already; all are alike
    copies = {index for group in exact for index in group}
    for group in exact:
        if group[0] not in blank:
            yield from _repeats(dataset, group, "check.copies", "check.copies_two_labels", "error")
    for group in groups:
        if not blank.issuperset(group) and not copies.issuperset(group):
            yield from _repeats(dataset, group, "check.alike", "check.alike_two_labels", "warning")
    yield from leaks(dataset.samples, [group for group in groups if not blank.issuperset(group)])


def _repeats(dataset: Dataset, group: Sequence[int], code: str, contradicting: str, severity: str) -> Iterator[Problem]:
    samples = [dataset.samples[index] for index in group]
    ids = tuple(sample.id for sample in samples)
    labels = {sample.target.best: sample.id for sample in samples if isinstance(sample.target, Labels)}
    if len(labels) > 1:
        (one, first), (two, second) = list(labels.items())[:2]
        facts = {"first": first, "second": second, "label": dataset.classes[one], "other": dataset.classes[two]}
        yield Problem(contradicting, facts, "error" if severity == "error" else "warning", ids)
    else:
        yield Problem(code, {"count": len(ids), "first": ids[0], "second": ids[1]}, "note", ids)


def _balance(dataset: Dataset) -> Iterator[Problem]:
    counts = Counter(s.target.best for s in dataset.samples if isinstance(s.target, Labels))
    for index, count in sorted(counts.items()):
        if 1 < count < _SMALL_CLASS:
            yield Problem("check.small_class", {"name": dataset.classes[index], "count": count})
    parts = {sample.split for sample in dataset.samples} & {"val", "test"}
    for name, found in _counts(dataset).items():
        for part in sorted(parts - found.keys(), key=str):
            yield Problem("check.class_not_in_part", {"name": name, "part": part}, "note")
    (large, most), (small, least) = counts.most_common()[0], counts.most_common()[-1]
    if most >= _IMBALANCE * least:
        facts = {"large": dataset.classes[large], "most": most, "small": dataset.classes[small], "least": least}
        yield Problem("check.imbalance", facts)


def _tells_class(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    """Where the kind or the size of the files gives the class away, a network learns that instead of the picture."""
    labelled = [
        (sample.target.best, look)
        for sample, look in zip(dataset.samples, looks, strict=True)
        if isinstance(sample.target, Labels) and look.error is None
    ]
    if len(labelled) < 10 * len(dataset.classes):
        return
    usual = Counter(label for label, _ in labelled).most_common(1)[0][1] / len(labelled)
    for code in ("check.kind_tells_class", "check.size_tells_class"):
        table: dict[object, Counter[int]] = defaultdict(Counter)
        for label, look in labelled:
            table[look.kind if code == "check.kind_tells_class" else (look.height, look.width)][label] += 1
        right = sum(found.most_common(1)[0][1] for found in table.values()) / len(labelled)
        if len(table) * 10 <= len(labelled) and right >= _TELLS_CLASS and right > usual + 0.1:
            yield Problem(code, {"percent": round(100 * right)})
