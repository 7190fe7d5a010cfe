"""Predictions to people and programs: JSON Lines or CSV, and pictures with the predictions drawn on them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from PIL import Image

from manako.errors import StorageError, UsageError
from manako.images import MAX_PIXELS, open_image
from manako.messages import message
from manako.paths import atomic_write
from manako.runtime.ahead import Source
from manako.runtime.predictor import Predictor, Result
from manako.types import Sample

Format = Literal["json", "csv"]
PICTURES = "pictures"
_JPEG_LIMIT = 65_500  # pixels a side


@dataclass(frozen=True)
class Written:
    """How many images were predicted, how many could not be, and where the answers are (None: in the stream)."""

    done: int
    failed: int
    file: Path | None
    pictures: Path | None

    def as_json(self) -> dict[str, object]:
        shown = {"file": self.file, "pictures": self.pictures}
        return {"done": self.done, "failed": self.failed} | {k: str(v) if v else None for k, v in shown.items()}

    def text(self) -> str:
        lines = [message("predict.done", done=self.done, failed=self.failed)]
        if self.file:
            lines.append(message("predict.file", file=self.file))
        if self.pictures:
            lines.append(message("predict.pictures", folder=self.pictures))
        return "\n".join(lines)


def write_results(
    results: Iterable[Result],
    predictor: Predictor,
    *,
    stream: TextIO | None = None,
    out: Path | None = None,
    format: Format = "json",
    draw: bool = False,
    root: Path | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Written:
    """Write each result as it comes, to `stream`, and to a file in the folder `out`.

    The file has its name when it is whole; until then it ends in `.partial`, which stays if the work is interrupted.
    draw: also write `out/pictures/...`; the folders below `root` (see `root_of`) are kept. Nothing else is ever
    overwritten: raises UsageError if a source lies in `out/pictures`, or if `draw` has no `out`.
    """
    if draw and out is None:
        raise UsageError("predict.draw_needs_out")
    name = "predictions.jsonl" if format == "json" else "predictions.csv"
    file = out / name if out else None
    pictures = out / PICTURES if out and draw else None
    counts = [0, 0]
    with _Output(file, stream) as output:
        lines = _Lines(predictor, format)
        output.write(lines.head())
        for result in results:
            counts[result.error is not None] += 1
            output.write(lines.of(result))
            if pictures and result.prediction is not None:
                _draw(
                    result, predictor, pictures / _picture_name(result.source, root, sum(counts)), pictures, max_pixels
                )
        output.finish()
    return Written(counts[0], counts[1], file, pictures)


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


class _Lines:
    """The lines of text of each result."""

    def __init__(self, predictor: Predictor, format: Format) -> None:
        self._predictor = predictor
        self._format = format

    def head(self) -> str:
        columns = ("image", "width", "height", *self._predictor.task.columns, "error")
        return _csv_line(columns) if self._format == "csv" else ""

    def of(self, result: Result) -> str:
        if self._format == "json":
            return json.dumps(self._predictor.as_json(result), ensure_ascii=False, allow_nan=False) + "\n"
        columns = self._predictor.task.columns
        if result.prediction is None:
            code = result.error.code if result.error else ""
            return _csv_line((result.image, "", "", *("" for _ in columns), code))
        rows = self._predictor.task.as_rows(result.prediction, self._predictor.card.classes)
        head = (result.image, result.width, result.height)
        return "".join(_csv_line((*head, *(row.get(c, "") for c in columns), "")) for row in rows)


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


class _Output:
    """A stream, a file, both, or neither. Raises StorageError where the file can't be written."""

    def __init__(self, file: Path | None, stream: TextIO | None) -> None:
        self._file = file
        self._stream = stream
        self._partial: TextIO | None = None

    def __enter__(self) -> _Output:
        if self._file:
            with self._guard():
                self._file.parent.mkdir(parents=True, exist_ok=True)
                # The mark at the start tells spreadsheets that a table is in UTF-8.
                encoding = "utf-8-sig" if self._file.suffix == ".csv" else "utf-8"
                self._partial = self._name().open("w", encoding=encoding, newline="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._partial:
            with contextlib.suppress(OSError):
                self._partial.close()

    def write(self, text: str) -> None:
        if self._stream:
            self._stream.write(text)
        if self._partial:
            with self._guard():
                self._partial.write(text)

    def finish(self) -> None:
        """Give the file its name, now that it is whole."""
        if self._stream:
            self._stream.flush()
        if self._partial and self._file:
            with self._guard():
                self._partial.flush()
                os.fsync(self._partial.fileno())
                self._partial.close()
                self._name().replace(self._file)

    def _name(self) -> Path:
        assert self._file
        return self._file.with_name(self._file.name + ".partial")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError("storage.unwritable", file=self._file, reason=error.strerror) from error


def _draw(result: Result, predictor: Predictor, target: Path, folder: Path, max_pixels: int) -> None:
    source = result.source
    if isinstance(source, Image.Image):
        image = source
    elif isinstance(source, Sample):
        image = open_image(source.image, source.frame, max_pixels=max_pixels)
    else:
        image = open_image(source, max_pixels=max_pixels)
    path = source.image if isinstance(source, Sample) else source
    if isinstance(path, (str, Path)) and Path(path).resolve().is_relative_to(folder.resolve()):
        raise UsageError("predict.source_in_out", source=path, folder=folder)
    assert result.prediction is not None
    drawn = predictor.task.draw(image, result.prediction, predictor.card.classes)
    file = io.BytesIO()
    drawn.save(file, "PNG" if max(drawn.size) > _JPEG_LIMIT else "JPEG", quality=90)
    atomic_write(target, file.getvalue())


def _picture_name(source: Source, root: Path | None, number: int) -> Path:
    """The place of the drawn picture in its folder: the source's below `root` (or here), or its whole path."""
    if isinstance(source, Sample):
        name = re.sub(r"[^\w./-]", "_", source.id)
        path = Path(name)
    elif isinstance(source, (str, Path)):
        full = Path(source).resolve()
        base = root.resolve() if root else Path.cwd()
        path = full.relative_to(base if full.is_relative_to(base) else full.anchor)
    else:
        path = Path(f"image-{number}")
    parts = [part for part in path.parts if part not in ("..", path.anchor)]
    return Path(*parts).with_name(parts[-1] + ".jpg")
