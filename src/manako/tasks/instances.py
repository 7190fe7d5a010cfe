"""Instances: which objects are in an image, and which pixels belong to each.

Outputs: those of detection, and for each candidate a small mask over its box. Scores compare regions, not boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from manako.metrics.detection import ImageScore
from manako.metrics.matching import Matches
from manako.regions import area_of, borders_of
from manako.tasks import Json, Output, Outputs
from manako.tasks.detection import VISIBLE, Detection
from manako.types import Detections, Evaluation, Frame

MASK = 28  # side of a candidate's mask


@dataclass(frozen=True, eq=False)
class InstanceScore(ImageScore):
    """boxes: the same objects compared by their boxes."""

    boxes: Matches


class Instances(Detection):
    name: ClassVar[str] = "instances"
    outputs: ClassVar[tuple[Output, ...]] = (
        *Detection.outputs,
        Output("masks", ("N", "candidates", MASK, MASK), "probabilities"),
    )

    columns: ClassVar[tuple[str, ...]] = (*Detection.columns, "pixels")

    def one_image(self, row: Outputs, frame: Frame, settings: Mapping[str, float]) -> Detections:
        from manako.tasks._paste import pasted

        found, order = self.boxes(row, frame, settings)
        shift, scale = np.array([frame.left, frame.top]), np.array([frame.scale_x, frame.scale_y])
        whole = ((row["boxes"][order].reshape(-1, 2, 2) - shift) / scale).reshape(-1, 4)  # not cut off at the border
        outlines = tuple(
            pasted(mask, box, frame.height, frame.width) for mask, box in zip(row["masks"][order], whole, strict=True)
        )
        return replace(found, outlines=outlines)

    def measure(self, prediction: Detections, truth: Detections, classes: Sequence[str]) -> InstanceScore:
        from manako.metrics.detection import score_image
        from manako.metrics.outlines import region_overlaps

        areas, overlap = region_overlaps(prediction, truth)
        found = score_image(prediction, truth, areas, overlap)
        boxes = super().measure(prediction, truth, classes).matches
        return InstanceScore(found.matches, found.mistakes, found.confidence, boxes)

    def summarise(
        self, measures: Sequence[ImageScore], classes: Sequence[str], *, intervals: bool = True, seed: int = 0
    ) -> Evaluation:
        """`ap` is that of the regions; `box_ap` and `box_ap50` of their boxes."""
        from manako.metrics.average_precision import average_precisions, pool

        evaluation = super().summarise(measures, classes, intervals=intervals, seed=seed)
        boxes = pool([m.boxes for m in measures if isinstance(m, InstanceScore)], len(classes))
        known = [found for found in boxes if found.positives[0].sum()]
        table = average_precisions(known)[0] if known else np.zeros((1, 1))
        extra = {"box_ap": float(table.mean()), "box_ap50": float(table[0].mean())}
        return replace(evaluation, metrics={**evaluation.metrics, **extra})

    def difference(self, before: Outputs, after: Outputs) -> float:
        """Also of the masks, where the same candidate stands in the same place: the mean over a mask's pixels, for a
        steep border moves one of them a hundred times as far as rounding moves the box."""
        found = super().difference(before, after)
        if before["masks"].shape != after["masks"].shape:
            return float("inf")
        close = np.abs(before["boxes"] - after["boxes"]).max(axis=2) <= 1e-4 * max(1.0, float(before["boxes"].max()))
        real = close & (before["scores"] >= VISIBLE) & (before["labels"] == after["labels"])
        apart = np.abs(before["masks"] - after["masks"])[real].mean(axis=(1, 2))
        return max(found, float(apart.max(initial=0)))

    def as_json(self, prediction: Detections, classes: Sequence[str]) -> list[Json]:
        """pixels: the area of each object. polygons: its outer borders, lists of [x, y]; holes: those within."""
        entries, shown = super().as_json(prediction, classes), prediction.shown()
        for entry, outline in zip(entries, shown.outlines or (), strict=False):
            if outline is not None:
                outer, holes = (
                    [np.round(p.astype(np.float64), 2).tolist() for p in borders] for borders in borders_of(outline)
                )
                entry |= {"pixels": round(area_of(outline), 2), "polygons": outer} | ({"holes": holes} if holes else {})
        return entries

    def as_rows(self, prediction: Detections, classes: Sequence[str]) -> list[Json]:
        rows, shown = super().as_rows(prediction, classes), prediction.shown()
        for row, outline in zip(rows, shown.outlines or (), strict=False):
            row["pixels"] = "" if outline is None else round(area_of(outline), 2)
        return rows


TASK = Instances()
