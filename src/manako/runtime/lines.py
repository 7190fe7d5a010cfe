"""Predictions as text, a line an image: JSON Lines, or CSV, a line an entry."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from manako.errors import StorageError
from manako.runtime.measuring import Measuring
from manako.runtime.predictor import Predictor, Result
from manako.tasks import Json


class Lines:
    """Writes the text of each result to `output`."""

    def __init__(self, predictor: Predictor, output: Output, *, as_csv: bool, measuring: Measuring) -> None:
        self._predictor = predictor
        self._output = output
        self._as_csv = as_csv
        self._measuring = measuring
        self._columns = (*predictor.task.columns, *measuring.columns)
        if as_csv:
            output.write(_csv_line(("image", "width", "height", *self._columns, "error")))

    def add(self, result: Result, more: Json) -> None:
        """more: what else a line of JSON says."""
        self._output.write(self._rows(result) if self._as_csv else self._line(result, more))

    def finish(self) -> Path | None:
        """The file, now that it is whole."""
        self._output.finish()
        return self._output.file

    def _line(self, result: Result, more: Json) -> str:
        line = self._predictor.as_json(result)
        if result.prediction is not None:
            line |= {"predictions": self._measuring.measured(line["predictions"])}  # type: ignore[arg-type]
            line |= self._measuring.regions(result.prediction, self._predictor.card.classes)
        return json.dumps(line | more, ensure_ascii=False, allow_nan=False) + "\n"

    def _rows(self, result: Result) -> str:
        if result.prediction is None:
            code = result.error.code if result.error else ""
            return _csv_line((result.image, "", "", *("" for _ in self._columns), code))
        rows = self._predictor.task.as_rows(result.prediction, self._predictor.card.classes)
        head = (result.image, result.width, result.height)
        measured = self._measuring.measured(rows)
        return "".join(_csv_line((*head, *(row.get(c, "") for c in self._columns), "")) for row in measured)


def _csv_line(values: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


class Output:
    """A stream, a file, both, or neither. Raises StorageError where the file can't be written."""

    def __init__(self, file: Path | None, stream: TextIO | None) -> None:
        self.file = file
        self._stream = stream
        self._partial: TextIO | None = None

    def __enter__(self) -> Output:
        if self.file:
            with self._guard():
                self.file.parent.mkdir(parents=True, exist_ok=True)
                # The mark at the start tells spreadsheets that a table is in UTF-8.
                encoding = "utf-8-sig" if self.file.suffix == ".csv" else "utf-8"
                self._partial = self._name().open("w", encoding=encoding, newline="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._partial:
            with contextlib.suppress(OSError):
                self._partial.close()

    def write(self, text: str) -> None:
        if self._stream:
            self._stream.write(text)
            self._stream.flush()  # whoever reads a camera's lines waits for them
        if self._partial:
            with self._guard():
                self._partial.write(text)

    def finish(self) -> None:
        """Give the file its name, now that it is whole."""
        if self._partial and self.file:
            with self._guard():
                self._partial.flush()
                os.fsync(self._partial.fileno())
                self._partial.close()
                self._name().replace(self.file)

    def _name(self) -> Path:
        assert self.file
        return self.file.with_name(self.file.name + ".partial")

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError("storage.unwritable", file=self.file, reason=error.strerror) from error
