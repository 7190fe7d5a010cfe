"""What data for anomaly detection hold: normal images, and each kind of defect; and what is wrong with the masks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from manako.errors import LabelError
from manako.formats._defects import MaskedDefect, is_defect
from manako.types import Anomaly, Dataset, Problem, Sample

_WHOLE = "-"
_MOST = 0.5  # of an image: more than a defect usually covers


def defect_counts(dataset: Dataset) -> Mapping[str, Mapping[str, int]] | None:
    """Normal images first, then each kind of defect -> split ("-" where there is none) -> images. None for data
    without anomalies."""
    if not any(isinstance(sample.target, (Anomaly, MaskedDefect)) for sample in dataset.samples):
        return None
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for sample in sorted(dataset.samples, key=_kind):
        counts[_kind(sample) or dataset.classes[0]][sample.split or _WHOLE] += 1
    return {name: dict(found) for name, found in counts.items()}


def mask_findings(dataset: Dataset) -> Iterator[Problem]:
    """Masks that can't be used, that mark nothing, or that mark most of their image."""
    for sample in dataset.samples:
        if not isinstance(sample.target, MaskedDefect):
            continue
        try:
            marked = sample.target.load().heatmap
        except LabelError as error:
            yield Problem(error.code, error.facts, "error", (sample.id,))
            continue
        facts = {"id": sample.id, "file": sample.target.mask}
        if marked is None:
            yield Problem("check.empty_mask", facts, "warning", (sample.id,))
        elif marked.mean() > _MOST:
            facts |= {"percent": round(100 * float(marked.mean()))}
            yield Problem("check.large_mask", facts, "warning", (sample.id,))


def _kind(sample: Sample) -> str:
    target = sample.target
    return target.kind if is_defect(sample) and isinstance(target, (Anomaly, MaskedDefect)) else ""
