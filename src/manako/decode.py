"""The one place that opens image files: as people have them, and as attackers make them.

Nine formats are read and no others: Pillow knows forty, several of them rarely used and rarely tested.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from manako import idx
from manako.colour import eight_bit_colour
from manako.errors import ImageError

MAX_PIXELS = 64_000_000
Source = str | Path | bytes

_T = TypeVar("_T")
# Reaching frame n of an animation means decoding the n before it; a frame costs at least this many pixels' work.
_LEAST_FRAME_PIXELS = 4096
_PNG_TEXT_BYTES = 16 * 1024 * 1024
_PNG_PACKED_TEXTS = 8
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_image(
    source: Source,
    frame: int = 0,
    *,
    max_pixels: int = MAX_PIXELS,
    at_least: tuple[int, int] | None = None,
) -> Image.Image:
    """The image of a file (or of a file's bytes), upright, in mode "RGB", or "L" when it is grey.

    16 bits are scaled to 8 over the full range; CMYK follows its Adobe marker; an EXIF rotation is applied.
    Transparent parts become white, the paper that such pictures are drawn for (their hidden colour is arbitrary).
    frame: which picture of an animation, a TIFF or an IDX file. at_least: (height, width) that suffice: a JPEG is
    then decoded at 1/2, 1/4 or 1/8 of its size, several times faster, but not below these.
    Raises ImageError: missing, unreadable, empty, damaged, cut off, not an image, or more than `max_pixels`.
    """
    return decode(source, frame, max_pixels, at_least)[0]


def decode(
    source: Source, frame: int = 0, max_pixels: int = MAX_PIXELS, at_least: tuple[int, int] | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """As `open_image`, with the (height, width) of the original, of which the image may be a reduced version."""
    if not isinstance(source, bytes) and idx.is_idx_images(Path(source)):
        image = _idx_image(Path(source), frame, max_pixels)
        return image, (image.height, image.width)
    name = _name(source)
    with _open_file(source) as file:
        raw = _begin(file, name, frame, max_pixels)
        size = None
        if at_least is not None and isinstance(raw, JpegImageFile):
            size = _upright_size(raw)
            height, width = at_least if _orientation(raw) < 5 else at_least[::-1]
            raw.draft(None, (width, height))
        image = _guard(name, lambda: _finish(raw))
    return image, size or (image.height, image.width)


def open_stored(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A label image with its numbers as they are stored: indices of a palette, 16 bits, and not turned upright.

    Raises ImageError as `open_image` does.
    """
    name = _name(source)
    with _open_file(source) as file:
        raw = _begin(file, name, 0, max_pixels)
        _guard(name, raw.load)
        return raw.copy()


def image_size(source: Source, frame: int = 0) -> tuple[int, int]:
    """(height, width) of the upright image, from the file's header alone. Raises ImageError as `open_image` does."""
    facts = image_facts(source, frame)
    return facts.height, facts.width


@dataclass(frozen=True)
class ImageFacts:
    """What a file's header says. kind: format and Pillow's mode, for example "JPEG CMYK" or "PNG I;16"."""

    height: int
    width: int
    kind: str


def image_facts(source: Source, frame: int = 0) -> ImageFacts:
    """Size and kind without decoding. Raises ImageError as `open_image` does."""
    if not isinstance(source, bytes) and idx.is_idx_images(Path(source)):
        height, width = idx.read_images(Path(source)).shape[1:]
        return ImageFacts(height, width, "IDX L")
    with _open_file(source) as file:
        image = _begin(file, _name(source), frame, None)
        return ImageFacts(*_upright_size(image), f"{image.format} {image.mode}")


def _name(source: Source) -> str:
    return "<bytes>" if isinstance(source, bytes) else os.fspath(source)


def _open_file(source: Source) -> BinaryIO:
    name = _name(source)
    if isinstance(source, bytes):
        if not source:
            raise ImageError("image.empty", file=name)
        return io.BytesIO(source)
    try:
        status = Path(source).stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            raise ImageError("image.not_a_file", file=name)
        if status.st_size == 0:
            raise ImageError("image.empty", file=name)
        return Path(source).open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError("image.missing", file=name) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ImageError("image.unreadable", file=name, reason=getattr(error, "strerror", error)) from error


def _guard(name: str, step: Callable[[], _T]) -> _T:
    """Pillow raises almost any exception for a damaged file: OSError, SyntaxError, struct.error, KeyError..."""
    try:
        return step()
    except ImageError:
        raise
    except Exception as error:
        raise ImageError("image.damaged", file=name, reason=str(error) or type(error).__name__) from error


def _begin(file: BinaryIO, name: str, frame: int, max_pixels: int | None) -> ImageFile:
    """Read the header, refuse what is no image or too large, go to the frame. No pixel is decoded here."""
    head = file.read(32)
    reader = _reader(head)
    if reader is None:
        raise ImageError("image.not_an_image", file=name, kind=_kind(head))
    if reader is PngImageFile:
        _guard(name, lambda: _check_png_texts(file, name))
    # Pillow's WebP reader allocates two full canvases before it tells the size.
    if reader is WebPImageFile and max_pixels is not None:
        _check_pixels(name, _webp_size(head), max_pixels)
    file.seek(0)
    image: ImageFile = _guard(name, lambda: reader(file))
    if max_pixels is not None:
        _check_pixels(name, image.size, max_pixels)
    if frame and (max_pixels is not None or reader is TiffImageFile):
        _go_to(image, name, frame, max_pixels or MAX_PIXELS)
    return image


def _go_to(image: ImageFile, name: str, frame: int, max_pixels: int) -> None:
    each = _LEAST_FRAME_PIXELS if isinstance(image, TiffImageFile) else image.width * image.height
    if (frame + 1) * max(each, _LEAST_FRAME_PIXELS) > max(max_pixels, MAX_PIXELS):
        raise ImageError("image.far_frame", file=name, frame=frame)
    try:
        image.seek(frame)
    except EOFError:
        raise ImageError("image.no_frame", file=name, frame=frame) from None
    except Exception as error:
        raise ImageError("image.damaged", file=name, reason=str(error) or type(error).__name__) from error
    _check_pixels(name, image.size, max_pixels)


def _check_pixels(name: str, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise ImageError("image.damaged", file=name, reason=f"{width} x {height}")
    if width * height > max_pixels:
        raise ImageError("image.too_many_pixels", file=name, width=width, height=height, limit=max_pixels)


def _reader(head: bytes) -> type[ImageFile] | None:
    """By content, never by name: a PNG called .jpg opens, a text called .jpg doesn't."""
    for start, reader in (
        (b"\xff\xd8\xff", JpegImageFile),  # also MPO, whose further pictures are depth and gain maps
        (b"\x89PNG\r\n\x1a\n", PngImageFile),
        (b"GIF8", GifImageFile),
        (b"BM", BmpImageFile),
        ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), TiffImageFile),
        ((b"P4", b"P5", b"P6"), PpmImageFile),
    ):
        if head.startswith(start):
            return reader
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WebPImageFile
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return AvifImageFile
    return None


def _kind(head: bytes) -> str:
    """What else it is, as far as it can be told: for the message only."""
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "HEIC"
    text = head.lstrip(b"\xef\xbb\xbf \r\n\t").lower()
    for starts, kind in (
        (b"%pdf", "PDF"),
        (b"8bps", "PSD"),
        (b"pk\x03\x04", "ZIP"),
        ((b"<!doctype html", b"<html"), "HTML"),
        ((b"<?xml", b"<svg"), "SVG"),
        ((b"\x00\x00\x00\x0cjp", b"\xff\x4f\xff\x51"), "JPEG 2000"),
    ):
        if text.startswith(starts):
            return kind
    return "text" if all(byte >= 32 or byte in b"\t\r\n" for byte in head) else "?"


def _check_png_texts(file: BinaryIO, name: str) -> None:
    """Pillow unpacks every zTXt, iTXt and iCCP, up to 64 MB of them, before it shows the first pixel."""
    file.seek(8)
    packed = length = 0
    while len(header := file.read(8)) == 8 and header[4:] != b"IEND":
        size = int.from_bytes(header[:4], "big")
        if header[4:] not in (b"IDAT", b"fdAT"):
            packed += header[4:] in (b"zTXt", b"iTXt", b"iCCP")
            length += size
        if packed > _PNG_PACKED_TEXTS or length > _PNG_TEXT_BYTES:
            raise ImageError("image.text_bomb", file=name)
        file.seek(size + 4, io.SEEK_CUR)


def _webp_size(head: bytes) -> tuple[int, int]:
    """(width, height) from the first chunk. Source: RFC 9649."""
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF


def _orientation(image: ImageFile) -> int:
    """The EXIF orientation, 1 to 8. A damaged EXIF block doesn't cost the picture."""
    if "exif" not in image.info:  # a TIFF is turned by Pillow itself
        return 1
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def _upright_size(image: ImageFile) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if _orientation(image) < 5 else (width, height)


def _finish(raw: ImageFile) -> Image.Image:
    raw.load()
    image = eight_bit_colour(raw)
    turn = _TURNS.get(_orientation(raw))
    if turn is not None:
        image = image.transpose(turn)
    image.info = {}  # an EXIF orientation left here would turn the image again elsewhere
    return image


def _idx_image(path: Path, frame: int, max_pixels: int) -> Image.Image:
    images = idx.read_images(path)
    _check_pixels(str(path), (images.shape[2], images.shape[1]), max_pixels)
    if not 0 <= frame < len(images):
        raise ImageError("image.no_frame", file=path, frame=frame)
    return Image.fromarray(np.asarray(images[frame]))
