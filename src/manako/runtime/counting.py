"""How many objects cross a line, or are in a zone: geometry over objects that are followed through a video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from manako.errors import UsageError
from manako.fonts import draw_text, text_width
from manako.messages import message
from manako.runtime.predictor import Result
from manako.runtime.sequences import Moment
from manako.tasks import Json
from manako.types import Detections

CLEAR = 0.1  # of an object's shorter side: nearer to the line, it is on no side of it, so that trembling isn't counted

Points = NDArray[np.float64]


@dataclass
class Line:
    """Counts objects whose centre crosses the part of the line between its ends, from one side clearly to the other.

    ends: (2, 2). "to_right" is the right-hand side of someone who looks from the first end to the second.
    """

    name: str
    ends: Points
    crossed: dict[str, Counter[str]] = field(default_factory=lambda: {"to_right": Counter(), "to_left": Counter()})
    _last: dict[int, Points] = field(default_factory=dict)  # where each object last was clearly on a side

    @classmethod
    def parse(cls, text: str, *, name: str) -> Line:
        """From "x1,y1,x2,y2". Raises UsageError."""
        ends = _points(text)
        if ends is None or len(ends) != 2 or (ends[0] == ends[1]).all():
            raise UsageError("counting.line", value=text)
        return cls(name, ends)

    def see(self, found: Detections, classes: Sequence[str]) -> None:
        for number, kind, centre, short in _objects(found, classes):
            distance = _side(self.ends, centre)
            if abs(distance) <= CLEAR * short:
                continue
            before = self._last.get(number)
            self._last[number] = centre
            if before is not None and distance * _side(self.ends, before) < 0 and self._between(before, centre):
                self.crossed["to_right" if distance > 0 else "to_left"][kind] += 1

    def _between(self, before: Points, after: Points) -> bool:
        """Whether the way from one point to the other passes between the ends."""
        way = np.stack([before, after])
        return _side(way, self.ends[0]) * _side(way, self.ends[1]) <= 0

    def now(self) -> Json:
        return {way: sum(kinds.values()) for way, kinds in self.crossed.items()}

    def summary(self) -> Json:
        return self.now() | {"classes": {way: dict(sorted(kinds.items())) for way, kinds in self.crossed.items()}}

    def shown(self) -> str:
        """With arrows for the ways as they are seen on the screen."""
        x, y = self.ends[1] - self.ends[0]  # to the right of it is (-y, x)
        way = int(abs(x) > abs(y)) * 2 + int((x if abs(x) > abs(y) else -y) < 0)
        right, left = ("→←", "←→", "↓↑", "↑↓")[way]
        return message("counting.line_shown", right=right, left=left, **self.now())

    @property
    def outline(self) -> Points:
        return self.ends


@dataclass
class Zone:
    """Counts objects whose centre is in an area: now, and how many different ones ever were. corners: (K, 2)."""

    name: str
    corners: Points
    inside: int = 0
    _kind: dict[int, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str, *, name: str) -> Zone:
        """From "x1,y1,x2,y2,x3,y3,...". Raises UsageError."""
        corners = _points(text)
        if corners is None or len(corners) < 3:
            raise UsageError("counting.zone", value=text)
        return cls(name, corners)

    def see(self, found: Detections, classes: Sequence[str]) -> None:
        self.inside = 0
        for number, kind, centre, _ in _objects(found, classes):
            if _within(self.corners, centre):
                self.inside += 1
                self._kind.setdefault(number, kind)

    def now(self) -> Json:
        return {"inside": self.inside, "entered": len(self._kind)}

    def summary(self) -> Json:
        return {"entered": len(self._kind), "classes": dict(sorted(Counter(self._kind.values()).items()))}

    def shown(self) -> str:
        return message("counting.zone_shown", **self.now())

    @property
    def outline(self) -> Points:
        return np.concatenate([self.corners, self.corners[:1]])


class Counting:
    """A `Reading`: lines and zones, counted over one sequence."""

    def __init__(self, places: Sequence[Line | Zone], classes: Sequence[str]) -> None:
        self._places = places
        self._classes = classes

    def see(self, moment: Moment, result: Result) -> Json:
        if isinstance(result.prediction, Detections):
            for place in self._places:
                place.see(result.prediction, self._classes)
        return {"counts": {place.name: place.now() for place in self._places}}

    def draw(self, picture: Image.Image, scale: float) -> Image.Image:
        draw = ImageDraw.Draw(picture)
        width = max(2, round(max(picture.size) / 400))
        size = max(12.0, max(picture.size) / 45)
        for place in self._places:
            line = [tuple(point) for point in (place.outline * scale).tolist()]
            draw.line(line, fill=(0, 0, 0), width=width + 2)
            draw.line(line, fill=(255, 255, 255), width=width)
            _label(draw, place, place.outline[0] * scale, size, picture.size)
        return picture

    def summary(self) -> Json:
        return {"counts": {place.name: place.summary() for place in self._places}}


def new_counting(lines: Sequence[str], zones: Sequence[str], classes: Sequence[str]) -> Callable[[], Counting]:
    """What makes a `Counting` for each sequence. Raises UsageError for what is no line or no zone."""

    def places() -> list[Line | Zone]:
        made: list[Line | Zone] = []
        made += [Line.parse(text, name=f"line {i}") for i, text in enumerate(lines, 1)]
        made += [Zone.parse(text, name=f"zone {i}") for i, text in enumerate(zones, 1)]
        return made

    places()
    return lambda: Counting(places(), classes)


def _points(text: str) -> Points | None:
    try:
        numbers = np.array([float(part) for part in text.split(",")])
    except ValueError:
        return None
    return numbers.reshape(-1, 2) if len(numbers) % 2 == 0 and np.isfinite(numbers).all() else None


def _objects(found: Detections, classes: Sequence[str]) -> list[tuple[int, str, Points, float]]:
    """Number, class, centre and shorter side of each object that is followed."""
    if found.track is None:
        return []
    box = found.xyxy.astype(np.float64)
    centres, sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
    kinds = [classes[i] for i in found.class_id.tolist()]
    return list(zip(found.track.tolist(), kinds, centres, sides.min(axis=1).tolist(), strict=True))


def _side(ends: Points, point: Points) -> float:
    """Distance of a point from the line through `ends`, positive on its right-hand side as seen on the screen."""
    (ax, ay), (bx, by) = ends
    return float(((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax)) / max(np.hypot(bx - ax, by - ay), 1e-12))


def _within(corners: Points, point: Points) -> bool:
    """Whether a ray to the right crosses the border an odd number of times."""
    x, y = point
    begin, end = corners, np.roll(corners, -1, axis=0)
    passes = (begin[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(passes, end[:, 1] - begin[:, 1], 1.0)
    crossing = begin[:, 0] + (y - begin[:, 1]) / rise * (end[:, 0] - begin[:, 0])
    return bool((passes & (x < crossing)).sum() % 2)


def _label(draw: ImageDraw.ImageDraw, place: Line | Zone, at: Points, size: float, room: tuple[int, int]) -> None:
    kind, _, number = place.name.partition(" ")
    text = message(f"counting.{kind}_name", number=number, text=place.shown())
    wide = text_width(text, size)
    x, y = at
    left = min(max(x, 0.3 * size), max(room[0] - wide - 0.3 * size, 0.3 * size))
    base = min(max(y - 0.4 * size, 1.2 * size), room[1] - 0.4 * size)
    draw.rectangle((left - 0.3 * size, base - size, left + wide + 0.3 * size, base + 0.35 * size), fill=(0, 0, 0))
    draw_text(draw, left, base, text, size=size, fill=(255, 255, 255))
