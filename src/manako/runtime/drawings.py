"""Pictures with the predictions drawn on them: a file an image, and a video for each video."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from manako.errors import UsageError
from manako.paths import atomic_write
from manako.runtime.ahead import Picture, Source
from manako.runtime.predictor import Predictor, Result
from manako.runtime.sequences import Moment, Reading
from manako.runtime.tiles import upright
from manako.runtime.video import VideoFile
from manako.types import Prediction, Sample, Segmentation

_JPEG_LIMIT = 65_500  # pixels a side
_MAP_PIXELS = 6_000_000  # of a drawn map: drawing takes many times as much memory


class Drawings:
    """Writes to `folder`, keeping the folders below `root`. Never over a source: raises UsageError where one lies in
    `folder`. every: the step between the pictures of videos."""

    def __init__(
        self, predictor: Predictor, folder: Path, root: Path | None, *, max_pixels: int, every: int = 1
    ) -> None:
        self.folder = folder
        self._predictor = predictor
        self._root = root
        self._max_pixels = max_pixels
        self._every = every
        self._count = 0
        self._video: VideoFile | None = None

    def add(self, result: Result, moment: Moment, readings: Sequence[Reading]) -> None:
        """The next result; those of one video come one after another."""
        self._count += 1
        if result.prediction is None:
            return
        source = result.source
        self._spare(source)
        image = source.image if isinstance(source, Picture) else upright(source, self._max_pixels)
        image, prediction = _reduced(image, result.prediction)
        drawn = self._predictor.task.draw(image, prediction, self._predictor.card.classes)
        for reading in readings:
            drawn = reading.draw(drawn, drawn.width / result.width)
        name = place_of(source, self._root, self._count)
        if isinstance(source, Picture):
            self._video = self._video or self._begin(name, source)
            self._video.add(drawn, moment.seconds)
        else:
            file = io.BytesIO()
            drawn.save(file, "PNG" if max(drawn.size) > _JPEG_LIMIT else "JPEG", quality=90)
            atomic_write(self.folder / name.with_name(name.name + ".jpg"), file.getvalue())

    def _begin(self, name: Path, source: Picture) -> VideoFile:
        name = name if name.suffix == ".mp4" else name.with_name(name.name + ".mp4")
        return VideoFile(self.folder / name, rate=source.rate / self._every)

    def _spare(self, source: Source) -> None:
        path = source.image if isinstance(source, Sample) else source
        path = path.video if isinstance(path, Picture) else path
        if isinstance(path, (str, Path)) and Path(path).resolve().is_relative_to(self.folder.resolve()):
            raise UsageError("predict.source_in_out", source=path, folder=self.folder)

    def end_sequence(self) -> None:
        """Give the video its name, now that it is whole."""
        if self._video:
            self._video.finish()
            self._video = None

    def close(self) -> None:
        """Stop; a video that is not whole keeps its partial name."""
        if self._video:
            self._video.close()


def _reduced(image: Image.Image, prediction: Prediction) -> tuple[Image.Image, Prediction]:
    """Both smaller where the image is very large and the prediction is a map as large."""
    step = math.ceil(math.sqrt(image.width * image.height / _MAP_PIXELS))
    if step == 1 or not isinstance(prediction, Segmentation):
        return image, prediction
    return image.reduce(step), Segmentation(prediction.class_id[::step, ::step])


def place_of(source: Source, root: Path | None, number: int) -> Path:
    """The place of a source among others: below `root` (or here) as it is, or its whole path; never outside."""
    if isinstance(source, Sample):
        path = Path(re.sub(r"[^\w./-]", "_", source.id))
    elif isinstance(source, Picture) and source.video.startswith("camera:"):
        path = Path(source.video.replace(":", "-"))
    elif isinstance(source, (str, Path, Picture)):
        full = Path(source.video if isinstance(source, Picture) else source).resolve()
        base = root.resolve() if root else Path.cwd()
        path = full.relative_to(base if full.is_relative_to(base) else full.anchor)
    else:
        path = Path(f"image-{number}")
    return Path(*[part for part in path.parts if part not in ("..", path.anchor)])
