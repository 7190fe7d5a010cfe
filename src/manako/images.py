"""Images as the network sees them: opened by `decode.py`, brought to the network's size here.

Training, validation, the runtime without PyTorch and the service all go through `Preprocess.open`, so a network
sees the same pixels in each of them.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.decode import MAX_PIXELS, Source, decode, image_size, open_image
from manako.errors import ConfigError, ModelFileError
from manako.paths import IMAGE_SUFFIXES
from manako.types import Frame

__all__ = [
    "IMAGE_SUFFIXES",
    "LINE_STEP",
    "MAX_PIXELS",
    "Fit",
    "Preprocess",
    "Source",
    "image_size",
    "open_image",
    "widened",
]

Fit = Literal["crop", "stretch", "letterbox", "line"]

# A scaled JPEG keeps at least this many times the pixels, along each side, that are asked for: libjpeg's own reduction
# to exactly the wanted size differs visibly from a good filter (mean 0.6 grey levels; at twice the size 0.2).
_SCALED_DECODE_MARGIN = 2
_REDUCING_GAP = 3.0
_LETTERBOX_GREY = 114
LINE_STEP = 32  # widths of lines are multiples of it, so that many are alike and can share a batch


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes the network's pixels; stored in every model file.

    fit: "crop" scales until the target is covered and cuts the centre, "stretch" ignores the aspect ratio, "letterbox"
    keeps the whole image and fills the rest with grey, "line" scales to the height: each image is as wide as it then
    is, rounded up to a multiple of `LINE_STEP` with the colour of its border, and `width` is the widest (what would be
    wider is squeezed). crop_fraction: the part of the height that "crop" keeps.
    """

    height: int
    width: int
    fit: Fit = "crop"
    crop_fraction: float = 1.0
    channels: int = 3

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= 8192:
                raise ConfigError("preprocess.size", field=name, value=value)
        if self.fit not in get_args(Fit):
            raise ConfigError("preprocess.choice", field="fit", value=self.fit, choices=", ".join(get_args(Fit)))
        if type(self.channels) is not int or self.channels not in (1, 3):
            raise ConfigError("preprocess.choice", field="channels", value=self.channels, choices="1, 3")
        number = type(self.crop_fraction) in (int, float)
        if not number or not 0.1 <= self.crop_fraction <= 1 or (self.fit != "crop" and self.crop_fraction != 1):
            raise ConfigError("preprocess.crop_fraction", value=self.crop_fraction, fit=self.fit)

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: object) -> Preprocess:
        """The inverse of `as_json`. The value may come from a stranger's model file: raises ModelFileError."""
        names = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != names:
            raise ModelFileError("preprocess.fields", fields=", ".join(sorted(names)))
        try:
            return cls(**value)
        except ConfigError as error:
            raise ModelFileError(error.code, **error.facts) from error

    def open(self, source: Source, frame: int = 0, max_pixels: int = MAX_PIXELS) -> tuple[NDArray[np.uint8], Frame]:
        """Decode (scaled, where the format can) and resize: (H, W, C) uint8 and how its pixels map back.

        Raises ImageError as `open_image` does.
        """
        margin = _SCALED_DECODE_MARGIN / self.crop_fraction
        enough = math.ceil(self.height * margin), math.ceil(self.width * margin)
        image, size = decode(source, frame, max_pixels, enough)
        return self._fit(image, size)

    def apply(self, image: Image.Image) -> tuple[NDArray[np.uint8], Frame]:
        """The same for an image in memory ("RGB" or "L", upright)."""
        return self._fit(image, (image.height, image.width))

    def width_of(self, height: int, width: int) -> int:
        """The width that an image of that size, in pixels, will have: `width`, or of a line its own."""
        if self.fit != "line":
            return self.width
        return min(self.width, -(-_line_width(height, width, self.height) // LINE_STEP) * LINE_STEP)

    def _fit(self, image: Image.Image, size: tuple[int, int]) -> tuple[NDArray[np.uint8], Frame]:
        """size: (height, width) of the original, of which `image` may be a reduced version."""
        if self.channels == 1 and image.mode != "L":
            image = image.convert("L")
        elif image.mode not in ("L", "RGB"):
            image = image.convert("RGB")
        places = {"crop": self._crop, "stretch": self._stretch, "letterbox": self._letterbox, "line": self._line}
        image, frame = places[self.fit](image, *size)
        if self.channels == 3 and image.mode != "RGB":
            image = image.convert("RGB")
        pixels = np.asarray(image)
        return (pixels if pixels.ndim == 3 else pixels[..., None]), frame

    def _crop(self, image: Image.Image, height: int, width: int) -> tuple[Image.Image, Frame]:
        scale = max(self.height / height, self.width / width) / self.crop_fraction
        cut_height, cut_width = self.height / scale, self.width / scale
        top, left = (height - cut_height) / 2, (width - cut_width) / 2
        down, across = image.height / height, image.width / width
        box = (
            max(0.0, left * across),
            max(0.0, top * down),
            min(image.width, (left + cut_width) * across),
            min(image.height, (top + cut_height) * down),
        )
        frame = Frame(height, width, scale, scale, -left * scale, -top * scale)
        return self._resize(image, (self.width, self.height), box), frame

    def _stretch(self, image: Image.Image, height: int, width: int) -> tuple[Image.Image, Frame]:
        frame = Frame(height, width, self.width / width, self.height / height)
        return self._resize(image, (self.width, self.height)), frame

    def _letterbox(self, image: Image.Image, height: int, width: int) -> tuple[Image.Image, Frame]:
        scale = min(self.height / height, self.width / width)
        new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self.height - new_height) // 2, (self.width - new_width) // 2
        canvas = Image.new(image.mode, (self.width, self.height), (_LETTERBOX_GREY,) * len(image.getbands()))
        canvas.paste(self._resize(image, (new_width, new_height)), (left, top))
        return canvas, Frame(height, width, new_width / width, new_height / height, left, top)

    def _line(self, image: Image.Image, height: int, width: int) -> tuple[Image.Image, Frame]:
        whole = self.width_of(height, width)
        new_width = min(whole, _line_width(height, width, self.height))
        line = np.asarray(self._resize(image, (new_width, self.height)))
        frame = Frame(height, width, new_width / width, self.height / height)
        filled = widened(line.reshape(self.height, new_width, -1), whole)
        return Image.fromarray(filled if line.ndim == 3 else filled[..., 0]), frame

    @staticmethod
    def _resize(
        image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
    ) -> Image.Image:
        # Bicubic is antialiased in Pillow; the gap first averages whole pixels where the image is much too large.
        return image.resize(size, Image.Resampling.BICUBIC, box, _REDUCING_GAP)


def _line_width(height: int, width: int, target: int) -> int:
    return max(1, round(width * target / height))


def widened(pixels: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """(H, W, C) -> (H, width, C): the rest at the right has the median colour of the border."""
    rest = width - pixels.shape[1]
    if rest <= 0:
        return pixels
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    colour = np.median(border, axis=0).astype(np.uint8)
    return np.concatenate([pixels, np.broadcast_to(colour, (len(pixels), rest, pixels.shape[2]))], 1)
