"""How much the regions of objects overlap: COCO's own masks, compared as run lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manako.metrics.boxes import Overlap
from manako.regions import compress, rectangle
from manako.types import Detections, Outline

Areas = NDArray[np.float64]


def region_overlaps(found: Detections, truth: Detections) -> tuple[tuple[Areas, Areas], Overlap]:
    """The areas (D,) and (G,) of the regions in pixels, and their overlaps (D, G); with a crowd, over the area of the
    found region alone. An object without outline is its box. Polygons become masks as in COCO's own tools."""
    from faster_coco_eval import mask

    size = _size([found, truth])
    sides = [[_runs(outline, *size) for outline in _outlines(objects)] for objects in (found, truth)]
    mine, theirs = (np.asarray(mask.area(side), np.float64).reshape(-1) if side else np.empty(0) for side in sides)
    if not (len(mine) and len(theirs)):
        return (mine, theirs), np.zeros((len(mine), len(theirs)))
    crowd = [0] * len(theirs) if truth.crowd is None else truth.crowd.astype(int).tolist()
    overlap = np.asarray(mask.iou(sides[0], sides[1], crowd), np.float64)
    return (mine, theirs), overlap.reshape(len(mine), len(theirs))


def _outlines(objects: Detections) -> list[Outline]:
    known: Sequence[Outline | None] = objects.outlines or [None] * len(objects)
    return [outline or rectangle(box) for outline, box in zip(known, objects.xyxy, strict=True)]


def _size(sides: Sequence[Detections]) -> tuple[int, int]:
    """(height, width) of the image where a region tells it; else what holds all polygons."""
    outlines = [outline for objects in sides for outline in _outlines(objects)]
    for outline in outlines:
        if outline.size is not None:
            return outline.size
    corners = [polygon.max(axis=0) for outline in outlines for polygon in outline.polygons]
    width, height = np.max(corners, axis=0).tolist() if corners else (1.0, 1.0)
    return max(1, math.ceil(height)), max(1, math.ceil(width))


def _runs(outline: Outline, height: int, width: int) -> dict[str, Any]:
    from faster_coco_eval import mask

    if outline.runs is not None:
        return {"size": [height, width], "counts": compress(outline.runs).encode("ascii")}
    parts = mask.frPyObjects([p.astype(np.float64).reshape(-1).tolist() for p in outline.polygons], height, width)
    merged: dict[str, Any] = mask.merge(parts)
    return merged
