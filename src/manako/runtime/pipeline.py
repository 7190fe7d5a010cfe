"""What `predict` does with its sources: images, videos and cameras become a stream of results, by windows where asked,
with objects followed and counted, points steadied and eyes watched where asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from manako.errors import DataError, UsageError
from manako.images import IMAGE_SUFFIXES, MAX_PIXELS
from manako.paths import find_images
from manako.runtime import tiles, video
from manako.runtime.ahead import Source
from manako.runtime.counting import new_counting
from manako.runtime.drowsiness import new_drowsiness
from manako.runtime.options import PredictOptions
from manako.runtime.predictor import BATCH, Predictor, Result
from manako.runtime.sequences import NewReading, followed
from manako.runtime.smoothing import smoothed
from manako.tasks import Task

_PLAIN = PredictOptions()
FOLLOWED = ("detection", "instances")  # tasks whose predictions are single objects


@dataclass(frozen=True)
class Job:
    """results: to be gone through once. readings: what to read from sequences. endless: until someone stops it."""

    predictor: Predictor
    results: Iterator[Result]
    readings: tuple[NewReading, ...]
    max_pixels: int
    endless: bool


def predict_sources(predictor: Predictor, sources: Sequence[str | Path], options: PredictOptions = _PLAIN) -> Job:
    """Raises UsageError, and MissingExtraError where a video is named and OpenCV isn't there."""
    predictor = predictor.to_show()
    cameras = any(video.is_camera(source) for source in sources)
    videos = any(video.is_video(source) for source in sources)
    if videos:
        video.need_opencv()
    if options.overlap is not None and options.tile is None:
        raise UsageError("tiles.overlap_alone")
    if options.track or options.counted:
        _check_objects(predictor.task)
    readings = tuple(_readings(predictor, options))
    limit = options.max_pixels or (MAX_PIXELS if options.tile is None else tiles.MAX_PIXELS)
    size = options.batch or (1 if cameras else video.BATCH if videos else BATCH)
    items = video.with_pictures(_some(_found(sources), sources), every=options.every, max_pixels=limit)
    if options.tile is None:
        results = predictor.predict(items, batch=size, max_pixels=limit)
    else:
        results = tiles.predict_tiled(
            predictor, items, tile=options.tile, overlap=options.overlap, batch=size, max_pixels=limit
        )
    if options.track or options.counted:
        results = followed(results, every=options.every)
    if options.smooth:
        _check_poses(predictor.task)
        results = smoothed(results)
    return Job(predictor, results, readings, limit, cameras)


def _readings(predictor: Predictor, options: PredictOptions) -> Iterator[NewReading]:
    """What is to be read from sequences. Raises UsageError."""
    if options.watch is not None:
        yield _watching(predictor, options.watch, closed=options.closed, alarm=options.alarm)
    if options.counted:
        yield new_counting(options.count_lines, options.count_zones, predictor.card.classes)


def _some(found: Iterator[Source], sources: Sequence[str | Path]) -> Iterator[Source]:
    """What was found. Raises DataError at once where that is nothing."""
    first = next(found, None)
    if first is None:
        raise DataError("predict.nothing_found", sources=", ".join(map(str, sources)))
    return chain([first], found)


def _found(sources: Iterable[str | Path]) -> Iterator[Source]:
    """Cameras as they are; files, folders (their images and videos), patterns and lists as paths."""
    for source in sources:
        if video.is_camera(source):
            yield source
        else:
            yield from find_images([source], suffixes=IMAGE_SUFFIXES | video.VIDEO_SUFFIXES)


def _watching(predictor: Predictor, watch: str, *, closed: float, alarm: float) -> NewReading:
    """What `watch` names. Raises UsageError."""
    if watch != "drowsiness":
        raise UsageError("watch.unknown", value=watch)
    _check_poses(predictor.task)
    return new_drowsiness(predictor.card.classes, closed=closed, alarm=alarm)


def _check_poses(task: Task[object]) -> None:  # type: ignore[type-var]
    if task.name != "pose":
        raise UsageError("watch.not_poses", task=task.name)


def _check_objects(task: Task[object]) -> None:  # type: ignore[type-var]
    if task.name not in FOLLOWED:
        raise UsageError("track.not_for_task", task=task.name)
