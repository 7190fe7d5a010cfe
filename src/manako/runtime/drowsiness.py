"""Whether someone before the camera falls asleep: spans with closed eyes, and PERCLOS, the part of the time with them.

Works with any pose model whose skeleton has eye points (names in `face.py`). PERCLOS over the last minute is the
measure of Wierwille et al. 1994 (Dinges and Grace 1998); an eye counts as closed where its aspect ratio is low.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from manako.errors import UsageError
from manako.fonts import draw_text, text_width
from manako.messages import message
from manako.runtime.face import FacePoints, eyes_open, head_angles
from manako.runtime.predictor import Result
from manako.runtime.sequences import Moment
from manako.tasks import Json
from manako.types import Poses

CLOSED = 0.2  # eye aspect ratio below which an eye is closed
ALARM = 0.15  # PERCLOS
LONG = 1.5  # seconds of closed eyes that are an alarm by themselves
WINDOW = 60.0  # seconds that PERCLOS looks back
SETTLED = 10.0  # seconds that must have been seen before PERCLOS is judged
GAP = 1.0  # seconds: after a longer pause between two pictures, nobody knows what happened in it


@dataclass(frozen=True)
class Span:
    """Closed eyes, in seconds."""

    start: float
    end: float


class Drowsiness:
    """A `Reading` of one video: the largest subject of each picture is watched.

    closed, alarm: thresholds of the eye aspect ratio and of PERCLOS. A state lasts until the next picture.
    """

    def __init__(self, names: Sequence[str], *, closed: float = CLOSED, alarm: float = ALARM) -> None:
        self._face = FacePoints.of(names)
        self._closed, self._alarm = closed, alarm
        self._last: tuple[float, bool | None] | None = None  # time; closed?, None: no eyes seen
        self._recent: deque[tuple[float, float, bool]] = deque()  # time, seconds, closed
        self._began: float | None = None  # of the span that goes on
        self._in_alarm: str = ""
        self.spans: list[Span] = []
        self.alarms: list[Json] = []
        self.seen = self.shut = self.unseen = self.highest = 0.0

    def see(self, moment: Moment, result: Result) -> Json:
        xy = _largest(result.prediction)
        ratio = math.nan if xy is None else eyes_open(xy, self._face)
        closed = None if math.isnan(ratio) else ratio < self._closed
        self._advance(moment.seconds)
        if closed and self._began is None:
            self._began = moment.seconds
        elif not closed and self._began is not None:
            self._end(moment.seconds)
        self._last = (moment.seconds, closed)
        self._judge(moment.seconds)
        found: Json = {"eyes": None if math.isnan(ratio) else round(ratio, 4), "closed": closed}
        found |= {"perclos": _rounded(self.perclos), "alarm": self._in_alarm or None}
        angles = head_angles(xy, self._face) if xy is not None else None
        if angles:
            found["head"] = {name: round(value, 2) for name, value in vars(angles).items()}
        return {"drowsiness": found}

    @property
    def perclos(self) -> float:
        """Over the last minute; NaN before anything was seen."""
        total = sum(seconds for _, seconds, _ in self._recent)
        return sum(seconds for _, seconds, closed in self._recent if closed) / total if total else math.nan

    def _advance(self, now: float) -> None:
        """Count the time since the last picture as what that one showed."""
        if self._last is None:
            return
        before, closed = self._last
        elapsed = now - before
        if elapsed <= 0:
            return
        if closed is None or elapsed > GAP:
            self.unseen += elapsed
            if self._began is not None and elapsed > GAP:
                self._end(before)
        else:
            self.seen += elapsed
            self.shut += elapsed * closed
            self._recent.append((now, elapsed, closed))
        while self._recent and self._recent[0][0] <= now - WINDOW:
            self._recent.popleft()

    def _end(self, now: float) -> None:
        assert self._began is not None
        if now > self._began:
            self.spans.append(Span(self._began, now))
        self._began = None

    def _judge(self, now: float) -> None:
        """An alarm begins where the reason for one comes up, and is told once while it lasts."""
        settled = sum(seconds for _, seconds, _ in self._recent) >= SETTLED
        if settled:
            self.highest = max(self.highest, self.perclos)
        reason = ""
        if self._began is not None and now - self._began >= LONG:
            reason = "closed"
        elif settled and self.perclos >= self._alarm:
            reason = "perclos"
        if reason and not self._in_alarm:
            self.alarms.append({"seconds": round(now, 3), "reason": reason})
        self._in_alarm = reason

    def draw(self, picture: Image.Image, scale: float) -> Image.Image:
        draw = ImageDraw.Draw(picture)
        size = max(12.0, max(picture.size) / 40)
        text = message("drowsiness.shown", perclos=100 * (0.0 if math.isnan(self.perclos) else self.perclos))
        colours = ((20, 23, 28), (255, 255, 255))
        if self._in_alarm:
            text, colours = message(f"drowsiness.alarm_{self._in_alarm}"), ((240, 128, 60), (0, 0, 0))
        width = min(picture.width, text_width(text, size) + size)
        draw.rectangle((0, 0, width, 1.6 * size), fill=colours[0])
        draw_text(draw, size / 2, 1.15 * size, text, size=size, fill=colours[1])
        return picture

    def summary(self) -> Json:
        """Spans still open end with the last picture."""
        spans = list(self.spans)
        if self._began is not None and self._last is not None and self._last[0] > self._began:
            spans.append(Span(self._began, self._last[0]))
        return {
            "drowsiness": {
                "seconds": round(self.seen, 3),
                "seconds_without_eyes": round(self.unseen, 3),
                "closed": [[round(s.start, 3), round(s.end, 3)] for s in spans],
                "longest": round(max((s.end - s.start for s in spans), default=0.0), 3),
                "perclos": _rounded(self.shut / self.seen if self.seen else math.nan),
                "highest_perclos": round(self.highest, 4),
                "alarms": self.alarms,
            }
        }


def new_drowsiness(names: Sequence[str], **thresholds: float) -> Callable[[], Drowsiness]:
    """What makes one for each video. Raises UsageError where the skeleton has no eyes."""
    if not FacePoints.of(names).eyes:
        raise UsageError("drowsiness.no_eyes", points=", ".join(names[:8]))
    return lambda: Drowsiness(names, **thresholds)


def _largest(prediction: object) -> np.ndarray[tuple[int, int], np.dtype[np.float64]] | None:
    """(K, 2): the points of the subject next to the camera."""
    if not isinstance(prediction, Poses) or not len(prediction):
        return None
    points: np.ndarray[tuple[int, int], np.dtype[np.float64]] = prediction.xy[int(prediction.area.argmax())].astype(
        np.float64
    )
    return points


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
