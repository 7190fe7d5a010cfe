"""What a data set of objects holds: how many of each class, how large, how many an image; and what is odd of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from manako.duplicates import Look
from manako.messages import message
from manako.regions import Painting, crosses_itself
from manako.types import Dataset, Detections, Poses, Problem, Sample

_SMALL, _LARGE = 32**2, 96**2  # pixels: the bounds by which COCO reports
_FEW = 10
_ROUNDING = 1.0
_POLYGONS = 20_000  # looked at for crossing sides: two milliseconds each where they have a hundred points
_TINY, _USUAL_SIDE = 8, 640
_WHOLE = "-"


@dataclass(frozen=True)
class ObjectFacts:
    """counts: class -> split ("-" where there is none) -> objects. sizes: small, medium and large objects as COCO has
    it (below 32 x 32, up to 96 x 96, above). an_image: median and most objects of images that have any."""

    total: int
    counts: Mapping[str, Mapping[str, int]]
    empty_images: int
    an_image: tuple[int, int]
    sizes: tuple[int, int, int]

    def lines(self) -> Iterator[str]:
        median, most = self.an_image
        small, medium, large = self.sizes
        yield message("check.objects", total=self.total, empty=self.empty_images, median=median, most=most)
        yield message("check.object_sizes", small=small, medium=medium, large=large)

    def as_json(self) -> dict[str, object]:
        return {
            "total": self.total,
            "classes": {name: dict(found) for name, found in self.counts.items()},
            "empty_images": self.empty_images,
            "median_an_image": self.an_image[0],
            "most_an_image": self.an_image[1],
            "sizes": dict(zip(("small", "medium", "large"), self.sizes, strict=True)),
        }


def object_facts(dataset: Dataset) -> ObjectFacts | None:
    """None for data without objects."""
    labelled = _labelled(dataset)
    if not labelled:
        return None
    counts: dict[str, Counter[str]] = {name: Counter() for name in dataset.classes}
    for sample, truth in labelled:
        numbers = np.bincount(truth.class_id, minlength=len(dataset.classes))
        for index in np.flatnonzero(numbers):
            counts[dataset.classes[index]][sample.split or _WHOLE] += int(numbers[index])
    some = np.array([len(truth) for _, truth in labelled if len(truth)] or [0])
    boxes = np.concatenate([truth.xyxy for _, truth in labelled])
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    small, large = int((area < _SMALL).sum()), int((area > _LARGE).sum())
    return ObjectFacts(
        total=len(boxes),
        counts={name: dict(found) for name, found in counts.items()},
        empty_images=sum(not len(truth) for _, truth in labelled),
        an_image=(int(np.median(some)), int(some.max())),
        sizes=(small, len(boxes) - small - large, large),
    )


def hold_objects(samples: Iterable[Sample]) -> bool:
    """False where the truth of each image is a list of objects, and all the lists are empty: nothing can be learnt."""
    targets = (s.target.objects if isinstance(s.target, Painting) else s.target for s in samples)
    counts = [len(target) for target in targets if isinstance(target, (Detections, Poses))]
    return not counts or any(counts)


def nothing_to_learn(dataset: Dataset) -> Problem | None:
    """Why the training images teach nothing: none holds an object, or all their masks hold one class only."""
    told = next((problem for problem in dataset.problems if problem.code == "masks.one_class"), None)
    training = [sample for sample in dataset.samples if sample.split in (None, "train")]
    if told is None and not hold_objects(training):
        return Problem("train.no_objects", {"data": dataset.root}, "error")
    return told


def object_findings(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    facts = object_facts(dataset)
    if facts is None:
        return
    parts = {sample.split for sample in dataset.samples} & {"val", "test"}
    for name, found in facts.counts.items():
        total = sum(found.values())
        if 0 < total < _FEW:
            yield Problem("check.few_objects", {"name": name, "count": total})
        for part in sorted(parts - found.keys(), key=str) if total else ():
            yield Problem("check.class_not_in_part", {"name": name, "part": part}, "note")
    yield from _beyond_the_file(dataset, looks)
    yield from _tiny(dataset, looks)
    yield from _crossing(dataset)


def _labelled(dataset: Dataset) -> list[tuple[Sample, Detections]]:
    """Also of maps of classes that are painted from outlines: what is wrong with those is wrong with the map."""
    found = ((s, s.target.objects if isinstance(s.target, Painting) else s.target) for s in dataset.samples)
    return [(sample, target) for sample, target in found if isinstance(target, Detections)]


def _beyond_the_file(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    """Labels were judged by the size that they state; the image may have another."""
    for sample, look in zip(dataset.samples, looks, strict=True):
        truth = sample.target
        if isinstance(truth, Detections) and len(truth) and look.error is None:
            right, bottom = truth.xyxy[:, 2].max(), truth.xyxy[:, 3].max()
            if right > look.width + _ROUNDING or bottom > look.height + _ROUNDING:
                facts = {"id": sample.id, "width": look.width, "height": look.height}
                farthest = {"right": round(float(right)), "bottom": round(float(bottom))}
                yield Problem("check.box_beyond_file", facts | farthest, "error", (sample.id,))


def _tiny(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    """Objects that nearly vanish when their image is brought to the usual size."""
    tiny = total = 0
    for sample, look in zip(dataset.samples, looks, strict=True):
        if isinstance(sample.target, Detections) and look.error is None:
            sides = (sample.target.xyxy[:, 2:] - sample.target.xyxy[:, :2]).min(axis=1)
            scale = min(1.0, _USUAL_SIDE / max(look.height, look.width))
            tiny += int((sides * scale < _TINY).sum())
            total += len(sides)
    if tiny * 4 > total > 0:
        facts = {"percent": round(100 * tiny / total), "pixels": _TINY, "side": _USUAL_SIDE}
        yield Problem("check.tiny_objects", facts)


def _crossing(dataset: Dataset) -> Iterator[Problem]:
    seen = count = 0
    example = ""
    for sample, truth in _labelled(dataset):
        for outline in truth.outlines or ():
            for polygon in outline.polygons if outline else ():
                seen += 1
                if seen > _POLYGONS:
                    break
                if crosses_itself(polygon):
                    count += 1
                    example = example or sample.id
    if count:
        yield Problem("check.crossing_outlines", {"count": count, "id": example})
