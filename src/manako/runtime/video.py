"""Video files and cameras as sources: their pictures one at a time, decoded by a thread while the network works; and
video files with predictions drawn. OpenCV is imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import time
from collections.abc import Generator, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from manako.errors import DataError, ManakoError, MissingExtraError, StorageError, UsageError
from manako.images import MAX_PIXELS
from manako.runtime.ahead import Picture, Source, Unreadable

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".3gp"}
)
BATCH = 4  # pictures at a time: those in memory are as large as the video's
_CAMERA = re.compile(r"camera:(\d{1,3})")
_AHEAD = 4
_RATES = (0.1, 1000.0)  # pictures a second that can be
_USUAL_RATE = 25.0
_MISSING_SECONDS, _MISSING_PART = 0.5, 0.05  # what a file may lack of its promised length: sound may be longer
_PAUSE = 5.0  # seconds: a longer gap between two pictures isn't drawn out

Item = TypeVar("Item")


def is_camera(source: Source) -> bool:
    return isinstance(source, str) and _CAMERA.fullmatch(source) is not None


def is_video(source: Source) -> bool:
    """By name: what it really is shows when it is opened."""
    return is_camera(source) or (isinstance(source, (str, Path)) and Path(source).suffix.lower() in VIDEO_SUFFIXES)


def need_opencv() -> None:
    """Raises MissingExtraError."""
    if find_spec("cv2") is None:
        raise MissingExtraError("extra.missing", package="opencv-python-headless", extra="video")


def with_pictures(sources: Iterable[Source], *, every: int = 1, max_pixels: int = MAX_PIXELS) -> Iterator[Source]:
    """The sources, with the pictures of each video in its place. What is wrong with a video comes as one `Unreadable`
    after what could be read of it."""
    for source in sources:
        if not is_video(source):
            yield source
            continue
        name = os.fspath(source)  # type: ignore[arg-type]
        try:
            found = pictures(name, every=every, max_pixels=max_pixels)
            with contextlib.closing(from_thread(found, ahead=_AHEAD, newest=is_camera(name))) as ready:
                yield from ready
        except ManakoError as error:
            yield Unreadable(name, error)


def pictures(source: str, *, every: int = 1, max_pixels: int = MAX_PIXELS) -> Generator[Picture]:
    """Every `every`-th picture of a video file, or of a camera ("camera:0") without end. Times are the file's own, so
    that they are right where the rate varies.

    Raises MissingExtraError without OpenCV; DataError where the file is none that Manako opens, has no pictures, has
    too large ones, ends before it should (after its last picture), or where there is no such camera.
    """
    if every < 1:
        raise UsageError("video.every", value=every)
    capture = _camera(source) if is_camera(source) else _file(source)
    cv2 = _opencv()
    try:
        width, height = (int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        if width * height > max_pixels:
            raise DataError("image.too_many_pixels", file=source, width=width, height=height, limit=max_pixels)
        clock = _Clock(capture, live=is_camera(source))
        number = 0
        while capture.grab():
            seconds = clock.read()
            if number % every == 0:
                good, frame = capture.retrieve()
                if not good:
                    break
                image = Image.fromarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                yield Picture(source, number, seconds, clock.rate, image)
            number += 1
        if is_camera(source):
            raise DataError("video.camera_gone", camera=source, seen=number)
        _check_end(source, number, clock)
    finally:
        capture.release()


def _check_end(source: str, seen: int, clock: _Clock) -> None:
    if not seen:
        raise DataError("video.no_pictures", file=source)
    shown = clock.last + 1 / clock.rate
    if shown < clock.promised - max(_MISSING_SECONDS, _MISSING_PART * clock.promised):
        raise DataError("video.cut_short", file=source, seen=seen, seconds=shown, promised=clock.promised)


class _Clock:
    """The time of each picture: the file's own stamps where they rise, else from the rate; a camera's by the wall.

    last: time of the latest picture. promised: how long the file says that it is, 0 where it doesn't.
    """

    def __init__(self, capture: Any, *, live: bool) -> None:
        cv2 = _opencv()
        self._capture = capture
        self._began = time.monotonic() if live else None
        rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        good = _RATES[0] <= rate <= _RATES[1]
        self.rate = rate if good else _USUAL_RATE
        self.promised = count / rate if good and 0 < count < math.inf else 0.0
        self.last = -1 / self.rate

    def read(self) -> float:
        """Of the picture that was just grabbed."""
        if self._began is not None:
            self.last = time.monotonic() - self._began
            return self.last
        stamp = self._capture.get(_opencv().CAP_PROP_POS_MSEC) / 1000
        self.last = stamp if self.last < stamp < math.inf else self.last + 1 / self.rate
        return self.last


def _opencv() -> Any:
    need_opencv()
    # FFmpeg's and OpenCV's own remarks would stand between our lines. Read once, when OpenCV is first imported.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    import cv2

    return cv2


def _camera(source: str) -> Any:
    capture = _opencv().VideoCapture(int(source.partition(":")[2]))
    if not capture.isOpened():
        raise DataError("video.no_camera", camera=source)
    return capture


def _file(source: str) -> Any:
    """FFmpeg also opens lists of addresses and of other files under any name, so what it may open is told by content;
    an absolute name can't be taken for a protocol."""
    cv2 = _opencv()
    path = Path(source).absolute()
    try:
        if not path.is_file():
            raise DataError("image.missing", file=source)
        with path.open("rb") as file:
            head = file.read(200)
    except (OSError, ValueError) as error:
        raise DataError("image.unreadable", file=source, reason=getattr(error, "strerror", error)) from error
    if not head:
        raise DataError("image.empty", file=source)
    if not _is_container(head):
        raise DataError("video.unknown_kind", file=source)
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError("video.damaged", file=source)
    return capture


def _is_container(head: bytes) -> bool:
    """MP4 and MOV, Matroska and WebM, AVI, MPEG streams, Windows Media."""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
        or head.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3", b"\x30\x26\xb2\x75\x8e\x66"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or any(head[at : at + 1] == head[at + size : at + size + 1] == b"G" for at, size in ((0, 188), (4, 192)))
    )


def from_thread(items: Generator[Item], *, ahead: int, newest: bool = False) -> Generator[Item]:
    """The items, made by a thread. At most `ahead` wait to be taken; then the thread waits, or, with `newest`, drops
    the oldest (a camera's pictures must not grow old). An error comes at its place."""
    waiting: Queue[tuple[bool, Any]] = Queue(max(ahead, 1))
    stopped = Event()

    def give(good: bool, value: Any) -> None:
        while not stopped.is_set():
            try:
                waiting.put((good, value), timeout=0.001 if newest else 0.1)
                break
            except Full:
                if newest:
                    with contextlib.suppress(Empty):
                        waiting.get_nowait()

    def work() -> None:
        try:
            with contextlib.closing(items):
                for item in items:
                    give(True, item)
                    if stopped.is_set():
                        return
            give(False, None)
        except BaseException as error:
            give(False, error)

    thread = Thread(target=work, name="manako-video", daemon=True)
    thread.start()
    try:
        while True:
            good, value = waiting.get()
            if not good:
                if value is not None:
                    raise value
                return
            yield value
    finally:
        stopped.set()
        thread.join()


class VideoFile:
    """Writes a video (MP4) at a constant rate, each picture from its own time until the next one's. The file has its
    name only when it is whole. Raises StorageError, MissingExtraError."""

    def __init__(self, file: Path, *, rate: float) -> None:
        self.file = file
        self._rate = rate
        self._partial = file.with_name(f"{file.stem}.partial.mp4")
        self._size = (0, 0)
        self._writer: Any = None
        self._began = 0.0
        self._written = 0

    def add(self, image: Image.Image, seconds: float) -> None:
        """seconds: rising. The first picture's size (made even, as codecs need) is that of all."""
        cv2 = _opencv()
        if self._writer is None:
            self._open(image)
            self._began = seconds
        due = round((seconds - self._began) * self._rate) + 1
        if due - self._written > _PAUSE * self._rate:
            self._began = seconds - self._written / self._rate
            due = self._written + 1
        if due <= self._written:
            return
        frame = cv2.cvtColor(np.asarray(self._fitted(image)), cv2.COLOR_RGB2BGR)
        for _ in range(due - self._written):
            self._writer.write(frame)
        self._written = due

    def _open(self, image: Image.Image) -> None:
        cv2 = _opencv()
        self._size = (image.width // 2 * 2 or 2, image.height // 2 * 2 or 2)
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._partial.open("wb").close()
        except OSError as error:
            raise StorageError("storage.unwritable", file=self.file, reason=error.strerror) from error
        code = cv2.VideoWriter_fourcc(*"mp4v")
        self._writer = cv2.VideoWriter(str(self._partial.absolute()), cv2.CAP_FFMPEG, code, self._rate, self._size)
        if not self._writer.isOpened():
            raise StorageError("storage.unwritable", file=self.file, reason="OpenCV")

    def _fitted(self, image: Image.Image) -> Image.Image:
        image = image.convert("RGB")
        if (image.width // 2 * 2, image.height // 2 * 2) == self._size:
            return image.crop((0, 0, *self._size))
        return image.resize(self._size)

    def finish(self) -> None:
        """Give the file its name."""
        if self._writer is None:
            return
        self.close()
        if _opencv().VideoCapture(str(self._partial.absolute())).get(_opencv().CAP_PROP_FRAME_COUNT) < self._written:
            raise StorageError("video.not_written", file=self.file)  # OpenCV itself keeps silent
        try:
            self._partial.replace(self.file)
        except OSError as error:
            raise StorageError("storage.unwritable", file=self.file, reason=error.strerror) from error

    def close(self) -> None:
        """Stop; what is written so far stays under the partial name."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
