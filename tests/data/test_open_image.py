"""Images as people have them: every kind against an oracle that doesn't go through Manako."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from manako.images import image_size, open_image

RANDOM = np.random.default_rng(0)
SOFT = np.asarray(
    Image.fromarray(RANDOM.integers(0, 256, (6, 8, 3), np.uint8)).resize((64, 48), Image.Resampling.BICUBIC)
)
COLOUR = Image.fromarray(SOFT)
GREY = COLOUR.convert("L")


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(image: Image.Image, expected: Any) -> float:
    found, wanted = np.asarray(image).astype(float), np.asarray(expected).astype(float)
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max())


LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", LOSSLESS)
@pytest.mark.parametrize("image", [COLOUR, GREY], ids=["colour", "grey"])
def test_lossless_files_come_back_exactly(kind: str, image: Image.Image) -> None:
    found = open_image(encoded(image, kind, **LOSSLESS[kind]))
    if kind == "WEBP":  # which has no grey
        image = image.convert("RGB")
    assert found.mode == image.mode and difference(found, image) == 0


@pytest.mark.parametrize("compression", ["tiff_deflate", "tiff_lzw", "packbits", "jpeg"])
def test_compressed_tiff(compression: str) -> None:
    limit = 30 if compression == "jpeg" else 0
    assert difference(open_image(encoded(COLOUR, "TIFF", compression=compression)), COLOUR) <= limit


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF", "GIF"])
def test_lossy_files_are_what_pillow_reads(kind: str) -> None:
    content = encoded(COLOUR, kind)
    assert difference(open_image(content), Image.open(io.BytesIO(content)).convert("RGB")) == 0


def test_grey_jpeg_stays_grey() -> None:
    found = open_image(encoded(GREY, "JPEG", quality=95))
    assert found.mode == "L" and difference(found, GREY) <= 8


def test_one_bit_becomes_black_and_white() -> None:
    bits = GREY.convert("1")
    found = open_image(encoded(bits, "PNG"))
    assert found.mode == "L" and difference(found, np.asarray(bits) * 255) == 0


def deep() -> np.ndarray[Any, np.dtype[np.uint16]]:
    return RANDOM.integers(0, 65536, (48, 64)).astype(np.uint16)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_keep_their_full_range(kind: str) -> None:
    values = deep()
    values[0, :2] = 0, 65535
    found = open_image(encoded(Image.fromarray(values), kind))
    assert found.mode == "L" and difference(found, np.round(values / 257)) <= 1


def test_dark_sixteen_bits_stay_dark() -> None:
    """Not stretched image by image: images of one set must stay comparable."""
    values = np.full((48, 64), 200, np.uint16)
    assert difference(open_image(encoded(Image.fromarray(values), "PPM")), np.full((48, 64), 1)) == 0


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (255.0, 0.0), (65535.0, 0.0), (300.0, -120.0)])
def test_floats(scale: float, offset: float) -> None:
    values = np.linspace(0, 1, 48 * 64, dtype=np.float32).reshape(48, 64)
    found = open_image(encoded(Image.fromarray(values * np.float32(scale) + np.float32(offset)), "TIFF"))
    assert found.mode == "L" and difference(found, values * 255) <= 1


def test_damaged_numbers_and_constant_images() -> None:
    values = np.full((4, 4), -3.0, np.float32)
    assert np.ptp(np.asarray(open_image(encoded(Image.fromarray(values), "TIFF")))) == 0
    values[0, 0] = np.nan
    values[0, 1] = np.inf
    open_image(encoded(Image.fromarray(values), "TIFF"))


def over_white(rgba: Any) -> Any:
    values = np.asarray(rgba).astype(float)
    alpha = values[..., -1:] / 255
    return np.squeeze(values[..., :-1] * alpha + 255 * (1 - alpha))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_become_white(mode: str) -> None:
    image = COLOUR.convert(mode)
    image.putalpha(Image.fromarray(np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))))
    found = open_image(encoded(image, "PNG"))
    assert found.mode == mode[:-1] and difference(found, over_white(image)) <= 1


def test_transparent_colours_of_palettes_and_plain_images() -> None:
    palette = COLOUR.quantize(16)
    rgba = np.dstack([np.asarray(palette.convert("RGB")), np.where(np.asarray(palette) == 3, 0, 255)])
    for kind in ("PNG", "GIF"):
        assert difference(open_image(encoded(palette, kind, transparency=3)), over_white(rgba)) <= 1
    assert difference(open_image(encoded(palette, "PNG")), palette.convert("RGB")) == 0
    plain = Image.new("RGB", (4, 4), (9, 9, 9))
    assert difference(open_image(encoded(plain, "PNG", transparency=(9, 9, 9))), np.full((4, 4, 3), 255)) == 0


def without_adobe_marker(jpeg: bytes) -> bytes:
    start = jpeg.index(b"\xff\xee")
    length = int.from_bytes(jpeg[start + 2 : start + 4], "big")
    return jpeg[:start] + jpeg[start + 2 + length :]


def test_cmyk_with_and_without_adobes_marker() -> None:
    ink = np.zeros((32, 32, 4), np.uint8)
    ink[:16, :, 0], ink[16:, :, 1], ink[:, 16:, 3] = 200, 120, 60
    image = Image.merge("CMYK", [Image.fromarray(ink[..., channel]) for channel in range(4)])
    expected = (255 - ink[..., :3].astype(float)) * (255 - ink[..., 3:]) / 255
    marked = encoded(image, "JPEG", quality=100)
    assert b"Adobe" in marked
    assert difference(open_image(marked), expected) <= 2
    plain = without_adobe_marker(encoded(ImageChops.invert(image), "JPEG", quality=100))
    assert b"Adobe" not in plain
    assert difference(open_image(plain), expected) <= 2
    assert difference(open_image(encoded(image, "TIFF")), expected) <= 2


def test_lab_tiff() -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(COLOUR, *profiles, outputMode="LAB")
    found = open_image(encoded(lab, "TIFF"))
    assert found.mode == "RGB" and np.abs(np.asarray(found).astype(float) - SOFT).mean() < 4


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(COLOUR, kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    found = open_image(content)
    assert difference(found, expected) == 0
    assert image_size(content) == (found.height, found.width) == ((64, 48) if orientation > 4 else (48, 64))
    assert ImageOps.exif_transpose(found).size == found.size and not found.getexif()
    if kind != "PNG":  # against the plain picture: Pillow and Manako could be wrong together
        turned = {1: SOFT, 3: SOFT[::-1, ::-1], 6: np.rot90(SOFT, -1), 8: np.rot90(SOFT)}.get(orientation)
        assert turned is None or np.abs(np.asarray(found).astype(float) - turned).mean() < 8


def test_nonsense_in_exif_costs_nothing() -> None:
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\x63\0\0\0\0\0\0\0"):
        assert open_image(encoded(COLOUR, "JPEG", exif=exif)).size == COLOUR.size


def test_frames(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("red", "lime", "blue")]
    for kind, options in {"GIF": {}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}}.items():
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        for number, frame in enumerate(frames):
            assert difference(open_image(content, number).convert("RGB"), frame) <= 1, kind
        assert image_size(content, 1) == (10, 20)


def test_further_pictures_of_a_telephones_jpeg_are_passed_over() -> None:
    assert difference(open_image(encoded(COLOUR, "MPO", save_all=True, append_images=[COLOUR])), COLOUR) < 40


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM"])
def test_thin_images(size: tuple[int, int], kind: str) -> None:
    assert open_image(encoded(Image.new("RGB", size, "red"), kind)).size == size


def test_the_content_counts_not_the_name(tmp_path: Path) -> None:
    for name in ("photo.jpg", "photo.txt", "photo"):
        path = tmp_path / name
        path.write_bytes(encoded(COLOUR, "PNG"))
        assert difference(open_image(path), COLOUR) == 0
        assert image_size(str(path)) == (48, 64)


def test_at_least_holds_in_the_upright_picture() -> None:
    image = COLOUR.resize((1600, 400))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(image, "JPEG", exif=exif)  # upright: 400 wide, 1600 high
    found = open_image(content, at_least=(400, 100))
    assert found.size == (100, 400)
    assert open_image(content, at_least=(401, 100)).size == (200, 800)
    assert open_image(content, at_least=(5000, 5000)).size == (400, 1600)
