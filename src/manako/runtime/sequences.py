"""Pictures that belong together in time, those of a video or the images of a folder: objects followed through them,
and what can be read only from their succession."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from PIL import Image

from manako.runtime.ahead import Picture, Source, Unreadable
from manako.runtime.predictor import Result
from manako.runtime.tracker import Tracker
from manako.tasks import Json
from manako.types import Detections


@dataclass(frozen=True)
class Moment:
    """When a picture was taken. sequence: the video or folder. number: from 0. seconds: since the sequence's
    beginning, for images as if there were one a second."""

    sequence: str
    number: int
    seconds: float


class Reading(Protocol):
    """What is read from the pictures of one sequence, one after another, such as counts. One object a sequence."""

    def see(self, moment: Moment, result: Result) -> Json:
        """The next picture, with its prediction (None where it could not be read) -> what its line says more."""
        ...

    def draw(self, picture: Image.Image, scale: float) -> Image.Image:
        """What is known so far, drawn on a picture that already shows the prediction and that is `scale` times the
        original; its size must not change."""
        ...

    def summary(self) -> Json:
        """After the last picture."""
        ...


NewReading = Callable[[], Reading]


def moments(results: Iterable[Result]) -> Iterator[tuple[Moment, Result]]:
    """Each result with its time."""
    last = Moment("", -1, 0.0)
    for result in results:
        name = sequence_of(result.source)
        if isinstance(result.source, Picture):
            last = Moment(name, result.source.number, result.source.seconds)
        elif not isinstance(result.source, Unreadable) or name != last.sequence:  # else: what is wrong with its end
            number = last.number + 1 if name == last.sequence else 0
            last = Moment(name, number, float(number))
        yield last, result


def sequence_of(source: Source) -> str:
    """The video of a picture; the folder of an image; "" for images in memory."""
    if isinstance(source, Picture):
        return source.video
    if isinstance(source, Unreadable):
        return source.name
    if isinstance(source, (str, Path)):
        return str(Path(source).parent)
    return ""


def followed(results: Iterable[Result], *, every: int = 1) -> Iterator[Result]:
    """The results with the objects of each sequence followed. every: the step between the pictures of videos."""
    sequence, last, tracker = None, 0, Tracker()
    for moment, result in moments(results):
        if moment.sequence != sequence:
            sequence, last, tracker = moment.sequence, moment.number - every, Tracker()
        if isinstance(result.prediction, Detections):
            elapsed = (moment.number - last) / every
            result = replace(result, prediction=tracker.follow(result.prediction, elapsed))
            last = moment.number
        yield result
