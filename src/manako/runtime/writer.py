"""Predictions to people and programs: lines of text, the layouts of labels, pictures and videos with the predictions
drawn on them, and what is read from sequences."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO

from manako.errors import UsageError
from manako.images import MAX_PIXELS
from manako.messages import message
from manako.runtime.ahead import Picture
from manako.runtime.drawings import Drawings
from manako.runtime.label_files import LabelFiles
from manako.runtime.lines import Lines, Output
from manako.runtime.measuring import Measuring
from manako.runtime.page_files import FORMATS as PAGE_FORMATS
from manako.runtime.page_files import PageFiles
from manako.runtime.predictor import Predictor, Result
from manako.runtime.sequences import Moment, NewReading, Reading, moments
from manako.tasks import Json

PICTURES = "pictures"
PIXELS = Measuring()
TEXTS = {"json": "predictions.jsonl", "csv": "predictions.csv"}


@dataclass(frozen=True)
class Written:
    """How many images were predicted, how many could not be, and where the answers are (None: in the stream).

    sequences: of each video (and, with readings, of each folder) its name, pictures, seconds, and what was read.
    """

    done: int
    failed: int
    file: Path | None
    pictures: Path | None
    sequences: tuple[Json, ...] = ()
    promise: tuple[str, Json] | None = None  # what the model lets expect, as (message key, facts)
    warning: str = ""  # what the task noticed over all images: drift

    def as_json(self) -> dict[str, object]:
        shown = {"file": self.file, "pictures": self.pictures}
        record: Json = {"done": self.done, "failed": self.failed}
        record |= {k: str(v) if v else None for k, v in shown.items()}
        record |= self.promise[1] if self.promise else {}
        record |= {"warning": self.warning} if self.warning else {}
        return record | ({"sequences": list(self.sequences)} if self.sequences else {})

    def text(self) -> str:
        lines = [message("predict.done", done=self.done, failed=self.failed)]
        if self.file:
            lines.append(message("predict.file", file=self.file))
        if self.pictures:
            lines.append(message("predict.pictures", folder=self.pictures))
        for record in self.sequences:
            lines.append(message("predict.sequence", **record))
            rest = {name: value for name, value in record.items() if name not in ("sequence", "pictures", "seconds")}
            lines += ["  " + json.dumps({name: value}, ensure_ascii=False) for name, value in rest.items()]
        if self.promise:
            lines.append(message(self.promise[0], **self.promise[1]))
        return "\n".join([*lines, self.warning] if self.warning else lines)


def write_results(
    results: Iterable[Result],
    predictor: Predictor,
    *,
    stream: TextIO | None = None,
    out: Path | None = None,
    format: str = "json",
    draw: bool = False,
    root: Path | None = None,
    max_pixels: int = MAX_PIXELS,
    readings: Sequence[NewReading] = (),
    every: int = 1,
    endless: bool = False,
    measuring: Measuring = PIXELS,
) -> Written:
    """Write each result as it comes: lines of "json" or "csv" to `stream` and to a file in the folder `out`, any other
    format only to `out`.

    What is written has its name when it is whole; until then the name ends in `.partial`, which stays if the work is
    interrupted. draw: also write `out/pictures/...`; the folders below `root` (see `root_of`) are kept. Nothing else
    is ever overwritten: raises UsageError if a source lies in `out/pictures`, if `draw` or a format needs an `out`, or
    if the format is unknown. readings: made anew for each sequence. every: the step between the pictures of videos.
    endless: Ctrl-C is the usual end (a camera), not an interruption. measuring: what lines say more of regions.
    """
    if draw and out is None:
        raise UsageError("predict.draw_needs_out")
    pictures = out / PICTURES if out and draw else None
    counts = [0, 0]
    sequences, watch = _Sequences(readings), predictor.task.watch()
    with ExitStack() as stack:
        sink = _sink(predictor, format, out, root, stream, stack, measuring, max_pixels)
        drawings = None
        if pictures:
            drawings = Drawings(predictor, pictures, root, max_pixels=max_pixels, every=every)
            stack.enter_context(closing(drawings))
        try:
            for moment, result in moments(results):
                if sequences.begin(moment) and drawings:
                    drawings.end_sequence()
                counts[result.error is not None] += 1
                if watch and result.prediction is not None:
                    watch.see(result.prediction)
                sink.add(result, sequences.see(moment, result))
                if drawings:
                    drawings.add(result, moment, sequences.readings)
        except KeyboardInterrupt:
            if not endless:
                raise
        if drawings:
            drawings.end_sequence()
        noticed = watch.note() if watch else None
        warning = message(noticed[0], **noticed[1]) if noticed else ""
        promise = predictor.task.promise(predictor.settings)
        return Written(counts[0], counts[1], sink.finish(), pictures, sequences.finish(), promise, warning)


def root_of(sources: Iterable[str | Path]) -> Path | None:
    """The folder below which all `sources` of a command (files, folders, patterns) lie; None where there is none."""
    folders = []
    for source in sources:
        path = Path(source)
        while not path.is_dir() and path != path.parent:
            path = path.parent
        folders.append(str(path.resolve()))
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # none, or on two drives
        return None


class _Sink(Protocol):
    def add(self, result: Result, more: Json) -> None: ...

    def finish(self) -> Path | None: ...


def _sink(
    predictor: Predictor,
    format: str,
    out: Path | None,
    root: Path | None,
    stream: TextIO | None,
    stack: ExitStack,
    measuring: Measuring,
    max_pixels: int,
) -> _Sink:
    if format not in TEXTS:
        if out is None:
            raise UsageError("predict.format_needs_out", format=format)
        if format in PAGE_FORMATS:
            return PageFiles(predictor, out, format, root, max_pixels=max_pixels)
        return LabelFiles(predictor, out, format, root)
    output = stack.enter_context(Output(out / TEXTS[format] if out else None, stream))
    return Lines(predictor, output, as_csv=format == "csv", measuring=measuring)


class _Sequences:
    """The readings of the sequence at hand, and the summaries of those that are over."""

    def __init__(self, makers: Sequence[NewReading]) -> None:
        self.readings: tuple[Reading, ...] = ()
        self._makers = makers
        self._over: list[Json] = []
        self._name: str | None = None
        self._pictures, self._seconds, self._video = 0, 0.0, False

    def begin(self, moment: Moment) -> bool:
        """Whether this picture is the first of another sequence than the one before."""
        if moment.sequence == self._name:
            return False
        self._end()
        self._name, self._pictures, self._video = moment.sequence, 0, False
        self.readings = tuple(make() for make in self._makers)
        return True

    def see(self, moment: Moment, result: Result) -> Json:
        """What the picture's line says more."""
        self._pictures += result.prediction is not None
        self._seconds = moment.seconds
        more: Json = {}
        if isinstance(result.source, Picture):
            self._video = True
            more["seconds"] = round(moment.seconds, 3)
        for reading in self.readings:
            more |= reading.see(moment, result)
        return more

    def _end(self) -> None:
        if self._name is not None and (self._video or self.readings):
            record: Json = {"sequence": self._name, "pictures": self._pictures, "seconds": round(self._seconds, 3)}
            for reading in self.readings:
                record |= reading.summary()
            self._over.append(record)

    def finish(self) -> tuple[Json, ...]:
        self._end()
        return tuple(self._over)
