"""Regions of pixels as polygons, as masks and as COCO's run lengths, and the ways between them.

A pixel belongs to a polygon when its centre does. Where a polygon crosses itself, what it goes round twice is outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from manako.types import IGNORE, Detections, Outline, Segmentation

Mask = NDArray[np.bool_]
Points = NDArray[np.float32]
_MOST_CHARACTERS = 13  # of one run: five bits each, so beyond 64
_NO_GROUND = ("background", "_background_", "void", "other")


def mask_of(outline: Outline, height: int, width: int) -> Mask:
    """(height, width). Raises ValueError where the run lengths are those of another size."""
    if outline.runs is not None:
        if outline.size != (height, width):
            raise ValueError(f"run lengths of {outline.size}, image of {(height, width)}")
        return mask_of_runs(outline.runs, height, width)
    mask = np.zeros((height, width), bool)
    for polygon in outline.polygons:
        _fill(mask, polygon)
    return mask


def _fill(mask: Mask, polygon: Points) -> None:
    """Set what lies within. Each side, where it crosses the line of a row's centres, turns over all pixels from there
    on; the rows are then summed from left to right, modulo 2."""
    height, width = mask.shape
    low, high = polygon.min(0), polygon.max(0)
    top, bottom = max(0, int(np.floor(low[1]))), min(height, int(np.ceil(high[1])))
    left, right = max(0, int(np.floor(low[0]))), min(width, int(np.ceil(high[0])))
    if top >= bottom or left >= right:
        return
    start = polygon.astype(np.float64) - (left, top)
    end = np.roll(start, -1, axis=0)
    start, end = (np.where((start[:, 1] <= end[:, 1])[:, None], a, b) for a, b in ((start, end), (end, start)))
    first = np.clip(np.ceil(start[:, 1] - 0.5), 0, bottom - top).astype(np.int64)  # rows: start.y <= row + 0.5 < end.y
    counts = np.clip(np.ceil(end[:, 1] - 0.5), 0, bottom - top).astype(np.int64) - first
    side = np.repeat(np.arange(len(start)), counts)
    row = np.arange(len(side)) - np.repeat(np.cumsum(counts) - counts, counts) + first[side]
    slope = (end[side, 0] - start[side, 0]) / (end[side, 1] - start[side, 1])
    x = start[side, 0] + (row + 0.5 - start[side, 1]) * slope
    column = np.clip(np.ceil(x - 0.5), 0, right - left).astype(np.int64)
    turns = np.zeros((bottom - top, right - left + 1), np.uint8)
    np.add.at(turns, (row, column), 1)  # modulo 256, which keeps odd and even
    mask[top:bottom, left:right] |= (np.cumsum(turns[:, :-1], axis=1, dtype=np.uint8) & 1).astype(bool)


def runs_of(mask: Mask, *, left: int = 0, top: int = 0, size: tuple[int, int] | None = None) -> NDArray[np.int64]:
    """Lengths of the runs of 0 and 1 by turns, column by column; the first, of 0, may be empty.

    left, top, size: where in an image of `size` (height, width) the mask lies; None: it is the whole image.
    """
    height, width = size or mask.shape
    column, row = np.nonzero(np.diff(np.pad(mask.T.astype(np.int8), ((0, 0), (1, 1))), axis=1))
    place = (column.astype(np.int64) + left) * height + row + top  # where a run of 1 begins and ends, by turns
    goes_on = np.flatnonzero(place[1:-1:2] == place[2::2])  # from the bottom of a column at the top of the next
    place = np.delete(place, np.concatenate([2 * goes_on + 1, 2 * goes_on + 2]))
    end = height * width
    return np.diff(np.concatenate([[0], place, [] if len(place) and place[-1] == end else [end]])).astype(np.int64)


def mask_of_runs(runs: NDArray[np.int64], height: int, width: int) -> Mask:
    """Raises ValueError where the runs don't fill the image exactly."""
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(f"run lengths of {int(runs.sum())} pixels, image of {height * width}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def outline_of(mask: Mask) -> Outline:
    """The region as run lengths: exact, whatever its form."""
    return Outline(runs=runs_of(mask), size=(mask.shape[0], mask.shape[1]))


def compress(runs: NDArray[np.int64]) -> str:
    """COCO's text of run lengths: each, from the fourth on less the one before the last, in groups of five bits, least
    first, a sixth bit saying that more follow; 48 added to make letters of them."""
    text = bytearray()
    values = runs.tolist()
    for index, value in enumerate(values):
        left = value - values[index - 2] if index > 2 else value
        while True:
            group, left = left & 31, left >> 5
            if left == (-1 if group & 16 else 0):
                text.append(group + 48)
                break
            text.append((group | 32) + 48)
    return text.decode("ascii")


def decompress(text: str) -> NDArray[np.int64]:
    """The inverse of `compress`. Raises ValueError for what is no such text."""
    try:
        groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        raise ValueError("a letter that is none of run lengths") from None
    if not len(groups):
        return np.zeros(0, np.int64)
    if groups.min() < 0 or groups.max() > 63 or groups[-1] & 32:
        raise ValueError("a letter that is none of run lengths, or cut off")
    ends = np.flatnonzero(~groups & 32)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= _MOST_CHARACTERS - 1:
        raise ValueError("a run length beyond all images")
    place = 5 * (np.arange(len(groups)) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((groups & 31) << place, starts)
    values -= np.where(groups[ends] & 16, np.int64(1) << (place[ends] + 5), 0)
    values[1::2], values[2::2] = np.cumsum(values[1::2]), np.cumsum(values[2::2])
    return values


def area_of(outline: Outline) -> float:
    """In pixels; parts that overlap count twice, as in COCO."""
    if outline.runs is not None:
        return float(outline.runs[1::2].sum())
    return float(sum(_area(polygon) for polygon in outline.polygons))


def _area(polygon: Points) -> float:
    x, y = polygon.astype(np.float64).T
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2


def box_of(outline: Outline) -> NDArray[np.float64]:
    """(4,) left, top, right, bottom. Raises ValueError for an empty region."""
    if outline.runs is None:
        points = np.concatenate(outline.polygons).astype(np.float64)
        return np.concatenate([points.min(0), points.max(0)])
    mask, left, top = _part(outline)
    if not mask.size:
        raise ValueError("an empty region")
    return np.array([left, top, left + mask.shape[1], top + mask.shape[0]], np.float64)


def crosses_itself(polygon: Points) -> bool:
    """Whether two sides that aren't neighbours cross."""
    a = polygon.astype(np.float64)
    b = np.roll(a, -1, axis=0)
    keep = (a != b).any(1)
    a, b = a[keep], b[keep]
    i, j = np.triu_indices(len(a), 2)
    if len(a):
        neighbours = (i == 0) & (j == len(a) - 1)
        i, j = i[~neighbours], j[~neighbours]

    def side(p: NDArray[np.float64], q: NDArray[np.float64], r: NDArray[np.float64]) -> NDArray[np.float64]:
        turn: NDArray[np.float64] = np.sign(
            (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0])
        )
        return turn

    apart = side(a[i], b[i], a[j]) * side(a[i], b[i], b[j]) < 0
    return bool((apart & (side(a[j], b[j], a[i]) * side(a[j], b[j], b[i]) < 0)).any())


def borders_of(outline: Outline) -> tuple[tuple[Points, ...], tuple[Points, ...]]:
    """The outer borders of the region, and those of its holes. Of run lengths: along the edges of the pixels, outer
    ones clockwise (y points down), holes the other way round; pixels that only touch at a corner are two parts."""
    if outline.runs is None:
        return outline.polygons, ()
    mask, left, top = _part(outline)
    corner = np.array([left, top], np.float32)
    outer, inner = ([border + corner for border in borders] for borders in _borders(mask))
    return tuple(outer), tuple(inner)


def _part(outline: Outline) -> tuple[Mask, int, int]:
    """The part of the mask that holds the region, and where it lies: left, top. Empty where there is no region."""
    assert outline.runs is not None and outline.size is not None
    height, (ends, runs) = outline.size[0], (np.cumsum(outline.runs), outline.runs)
    first = int(runs[0]) // height if len(runs) else 0
    last = -(-int(ends[len(runs) // 2 * 2 - 1]) // height) if len(runs) > 1 else first
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)[first * height : last * height]
    columns = values.reshape(last - first, height)
    rows = np.flatnonzero(columns.any(0))
    top, bottom = (int(rows[0]), int(rows[-1]) + 1) if len(rows) else (0, 0)
    return columns[:, top:bottom].T, first, top


def _borders(mask: Mask) -> tuple[list[Points], list[Points]]:
    padded = np.pad(mask, 1).astype(np.int8)
    down, across = np.diff(padded, axis=0)[:, 1:-1], np.diff(padded, axis=1)[1:-1]
    # An edge of a pixel is walked with the region to its right.
    edges = {(x, y, 1, 0) for y, x in np.argwhere(down > 0).tolist()}
    edges |= {(x + 1, y, -1, 0) for y, x in np.argwhere(down < 0).tolist()}
    edges |= {(x, y + 1, 0, -1) for y, x in np.argwhere(across > 0).tolist()}
    edges |= {(x, y, 0, 1) for y, x in np.argwhere(across < 0).tolist()}
    waiting = dict.fromkeys(sorted(edges))
    outer: list[Points] = []
    inner: list[Points] = []
    while waiting:
        corners = np.array(_walk(next(iter(waiting)), edges, waiting), np.float32)
        x, y = corners.astype(np.float64).T
        (outer if x @ np.roll(y, -1) > y @ np.roll(x, -1) else inner).append(corners)
    return outer, inner


Edge = tuple[int, int, int, int]  # x, y, step in x, step in y


def _walk(start: Edge, edges: set[Edge], waiting: dict[Edge, None]) -> list[tuple[int, int]]:
    """The corners of one closed border; its edges are taken out of `waiting`."""
    corners = []
    edge = start
    while True:
        del waiting[edge]
        x, y, dx, dy = edge
        x, y = x + dx, y + dy
        ways = ((x, y, -dy, dx), (x, y, dx, dy), (x, y, dy, -dx))  # right first: where two parts touch, stay on this
        edge = next(way for way in ways if way in edges)
        if edge[2:] != (dx, dy):
            corners.append((x, y))
        if edge == start:
            return corners


def one_polygon(polygons: Sequence[Points]) -> Points:
    """All parts (and holes) as one polygon, each joined to those before by a line there and back, which holds no area:
    what it goes round twice is outside."""
    joined = polygons[0]
    for part in polygons[1:]:
        distance = np.linalg.norm(joined[:, None] - part[None], axis=2)
        i, j = np.unravel_index(int(distance.argmin()), distance.shape)
        around = np.concatenate([part[j:], part[: j + 1]])
        joined = np.concatenate([joined[: i + 1], around, joined[i:]])
    return joined


@dataclass(frozen=True, eq=False)
class Painting:
    """The map of classes that outlined objects give, painted when it is needed: large ones first, so that what lies on
    them shows. Crowds, and objects of which only the box is known, are IGNORE. class_id of `objects`: ids in the map.
    """

    objects: Detections
    height: int
    width: int
    ground: int = 0

    def load(self) -> Segmentation:
        painted = np.full((self.height, self.width), self.ground, np.uint8)
        objects = self.objects
        outlines: Iterable[Outline | None] = objects.outlines or [None] * len(objects)
        crowd = np.zeros(len(objects), bool) if objects.crowd is None else objects.crowd
        regions = [
            (area_of(o), o, int(c), bool(many)) if o is not None else (_box_area(box), rectangle(box), IGNORE, True)
            for box, o, c, many in zip(objects.xyxy, outlines, objects.class_id, crowd, strict=True)
        ]
        for _, outline, class_id, unknown in sorted(regions, key=lambda region: (not region[3], -region[0])):
            painted[mask_of(outline, self.height, self.width)] = IGNORE if unknown else class_id
        return Segmentation(painted)

    def relabel(self, ids: NDArray[np.int64]) -> Painting:
        return replace(self, objects=self.objects.relabel(ids), ground=int(ids[self.ground]))


def ground_of(classes: Sequence[str]) -> int | None:
    """The class that means "nothing": the first, if its name says so."""
    return 0 if classes and classes[0].lower() in _NO_GROUND else None


def objects_of(found: Segmentation, classes: Sequence[str]) -> Detections:
    """Each connected region (pixels that touch at a corner are one) of each class but the ground as one object, with
    its run lengths and the mean score of its pixels. All unknown pixels are one crowd: `Painting` is the way back."""
    ground, size = ground_of(classes), (found.class_id.shape[0], found.class_id.shape[1])
    kinds = [kind for kind in range(len(classes)) if kind != ground]
    rows = [(kind, *region) for kind in kinds for region in _connected(found.class_id == kind, found.score)]
    unknown = found.class_id == IGNORE
    crowd = np.zeros(len(rows), bool)
    if unknown.any() and kinds:
        rows.append((kinds[0], unknown, 0, 0, 1.0))
        crowd = np.append(crowd, True)
    outlines = tuple(Outline(runs=runs_of(mask, left=x, top=y, size=size), size=size) for _, mask, x, y, _ in rows)
    return Detections(
        np.array([box_of(outline) for outline in outlines], np.float32).reshape(-1, 4),
        np.array([kind for kind, *_ in rows], np.int64),
        np.array([score for *_, score in rows], np.float32),
        crowd=crowd if crowd.any() else None,
        outlines=outlines,
    )


def _connected(mask: Mask, score: NDArray[np.float32] | None) -> Iterator[tuple[Mask, int, int, float]]:
    """Each connected region: its part of the mask, where that lies (left, top), and its mean score."""
    from scipy.ndimage import find_objects, label

    numbers, _ = label(mask, np.ones((3, 3), np.int8))
    for number, (rows, columns) in enumerate(find_objects(numbers), 1):
        own = numbers[rows, columns] == number
        mean = 1.0 if score is None else float(score[rows, columns][own].mean(dtype=np.float64))
        yield own, columns.start, rows.start, mean


def rectangle(box: NDArray[np.float32]) -> Outline:
    """A box (left, top, right, bottom) as an outline."""
    left, top, right, bottom = box
    return Outline((np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32),))


def _box_area(box: NDArray[np.float32]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
