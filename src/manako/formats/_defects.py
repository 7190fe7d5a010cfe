"""What is known of a defective image: the name of its defect, and the mask that shows the place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manako.errors import ImageError, LabelError
from manako.images import image_size, open_image
from manako.types import Anomaly, Sample


@dataclass(frozen=True, eq=False)
class MaskedDefect:
    """Truth that is read when it is needed. mask: an image as large as `image`, bright where the defect is."""

    image: Path
    mask: Path
    kind: str

    def load(self) -> Anomaly:
        """An empty mask leaves the place unknown. Raises LabelError where the mask can't be read or doesn't fit."""
        try:
            pixels = np.asarray(open_image(self.mask))
            wanted = image_size(self.image)
        except ImageError as error:
            raise LabelError(error.code, **error.facts) from error
        grey = pixels.max(axis=2) if pixels.ndim == 3 else pixels
        if grey.shape != wanted:
            facts = {"found": f"{grey.shape[1]} x {grey.shape[0]}", "wanted": f"{wanted[1]} x {wanted[0]}"}
            raise LabelError("mvtec.mask_size", file=self.mask, image=self.image.name, **facts)
        marked = (grey > grey.max() / 2).astype(np.float32)
        return Anomaly(1.0, marked if marked.any() else None, self.kind)

    def relabel(self, ids: NDArray[np.int64]) -> MaskedDefect:
        return self


def is_defect(sample: Sample) -> bool:
    """Whether the sample is known to be no normal image: nothing may be learnt from it."""
    target = sample.target
    return isinstance(target, MaskedDefect) or (isinstance(target, Anomaly) and target.score > 0)
