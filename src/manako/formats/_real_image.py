"""The truth of generation: a real image of a class, read only when made images are compared with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.errors import ImageError, LabelError
from manako.images import open_image
from manako.types import Dataset, Generated, Labels

ENOUGH = (128, 128)  # pixels that comparing needs


@dataclass(frozen=True, eq=False)
class RealImage:
    """frame: which picture of the file."""

    path: Path
    frame: int = 0
    class_id: int = 0

    def load(self) -> Generated:
        """The middle square, as networks see it. Raises LabelError where the image can't be read."""
        try:
            image = open_image(self.path, self.frame, at_least=ENOUGH)
        except ImageError as error:
            raise LabelError(error.code, **error.facts) from error
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        pixels = np.asarray(image.crop((left, top, left + side, top + side)))
        return Generated(pixels if pixels.ndim == 3 else pixels[..., None], self.class_id)

    def relabel(self, ids: NDArray[np.int64]) -> RealImage:
        return replace(self, class_id=int(ids[self.class_id]))


def as_real_images(dataset: Dataset) -> Dataset:
    """Samples with a class -> the same with their images as what is to be learnt."""
    samples = tuple(
        replace(s, target=RealImage(s.image, s.frame, s.target.best)) if isinstance(s.target, Labels) else s
        for s in dataset.samples
    )
    return replace(dataset, samples=samples)
