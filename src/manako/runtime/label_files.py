"""Predictions in the layouts of labels (COCO, YOLO, masks...), for other programs: what `formats` can write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from manako.errors import StorageError, UsageError
from manako.runtime.ahead import Picture
from manako.runtime.drawings import place_of
from manako.runtime.predictor import Predictor, Result
from manako.tasks import Json
from manako.types import Detections, Prediction, Skeleton


class Writer(Protocol):
    """What a format's file offers beside `WRITES`, the tasks whose predictions it can hold."""

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None: ...

    def finish(self) -> Path: ...


class NewWriter(Protocol):
    def __call__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> Writer: ...


def written_by(task: str) -> dict[str, NewWriter]:
    """The formats that can hold predictions of a task."""
    from manako.formats import readers

    modules: dict[str, Any] = dict(readers())
    able = {name: module for name, module in modules.items() if task in getattr(module, "WRITES", ())}
    return {name: cast(NewWriter, module.Writer) for name, module in able.items()}


class LabelFiles:
    """Writes to `out/format`, a folder that has its name when it is whole; until then it ends in `.partial`.

    Raises UsageError where the format is unknown for the task, or where the folder is there already; StorageError.
    """

    def __init__(self, predictor: Predictor, out: Path, format: str, root: Path | None) -> None:
        card, task = predictor.card, predictor.task.name
        known = written_by(task)
        longer = [name for name in known if name.startswith(f"{format}_")]  # "coco" of poses is "coco_keypoints"
        name = format if format in known or len(longer) != 1 else longer[0]
        if name not in known:
            raise UsageError("predict.format", format=format, task=task, known=", ".join(("json", "csv", *known)))
        self.folder = out / format
        self._partial = out / f"{format}.partial"
        for folder in (self.folder, self._partial):
            if folder.exists():
                raise UsageError("predict.out_exists", folder=folder)
        try:
            self._partial.mkdir(parents=True)
        except OSError as error:
            raise StorageError("storage.unwritable", file=self._partial, reason=error.strerror) from error
        self._writer = known[name](self._partial, card.classes, skeleton=card.skeleton)
        self._root = root
        self._count = 0

    def add(self, result: Result, more: Json) -> None:
        """Results without a prediction are left out, and objects found with less than the confidence; `more` (what was
        read from sequences) has no place here."""
        self._count += 1
        if result.prediction is None:
            return
        found = result.prediction
        found = found.shown() if isinstance(found, Detections) else found
        place = place_of(result.source, self._root, self._count)
        if isinstance(result.source, Picture):
            place = place.with_name(f"{place.stem}_{result.source.number:06}.jpg")
        self._writer.add(place.as_posix(), result.width, result.height, found)

    def finish(self) -> Path:
        """What the format calls its file or folder, now under its own name."""
        made = self._writer.finish()
        try:
            self._partial.rename(self.folder)
        except OSError as error:
            raise StorageError("storage.unwritable", file=self.folder, reason=error.strerror) from error
        return self.folder / made.relative_to(self._partial)
