"""Files that are no image, not a whole one, or made to do harm: a typed error, soon, without much memory."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import ImageError
from manako.images import image_size, open_image

KINDS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")


@cache
def whole(kind: str) -> bytes:
    rough = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    image = Image.fromarray(rough).resize((120, 90), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    return buffer.getvalue()


def refused(source: str | Path | bytes, frame: int = 0, **options: int) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(source, frame, **options)
    assert str(caught.value) and caught.value.exit_status == 3
    return caught.value.code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=100, deadline=None)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_cut_file_is_refused_never_filled_with_grey(kind: str, part: float) -> None:
    content = whole(kind)
    for cut, options in ((int(part * len(content)), {}), (len(content) - 1 - int(part * 30), {"at_least": (20, 20)})):
        try:
            found = open_image(content[:cut], **options)  # type: ignore[arg-type]
        except ImageError:
            continue
        # Where only the end mark is missing, every pixel is there.
        assert np.array_equal(found, open_image(content, **options))  # type: ignore[arg-type]
        assert cut > len(content) - 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=60, deadline=5000)
@given(data=st.data())
def test_changed_bytes_give_an_image_or_our_error(kind: str, data: st.DataObject) -> None:
    content = bytearray(whole(kind))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, min(200, len(content)) - 1))] = data.draw(st.integers(0, 255))
    for use in (lambda: open_image(bytes(content), max_pixels=1_000_000), lambda: image_size(bytes(content))):
        try:
            use()
        except ImageError as error:
            assert str(error)


def test_what_is_no_image(tmp_path: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("This is a text, however it is called.")
    assert refused(text) == "image.not_an_image"
    for content, kind in (
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"%PDF-1.7 and so on", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<!DOCTYPE html><html>", "HTML"),
        (b"P3 1 1 255 0 0 0", "text"),
        (bytes(100), "?"),
    ):
        with pytest.raises(ImageError) as caught:
            open_image(content)
        assert caught.value.facts["kind"] == kind


def test_what_cant_be_opened(tmp_path: Path) -> None:
    (tmp_path / "zero.png").touch()
    assert refused(tmp_path / "zero.png") == refused(b"") == "image.empty"
    assert refused(tmp_path / "nowhere.png") == refused(tmp_path / "zero.png" / "x.png") == "image.missing"
    assert refused(tmp_path) == "image.not_a_file"
    os.mkfifo(tmp_path / "pipe.png")
    assert refused(tmp_path / "pipe.png") == "image.not_a_file"
    assert refused("nul\0.png") == "image.unreadable"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(whole("PNG"))
    path.chmod(0)
    assert refused(path) == "image.unreadable"


def test_a_frame_that_isnt_there() -> None:
    for kind in ("JPEG", "GIF", "TIFF", "PNG", "BMP"):
        assert refused(whole(kind), 1) == "image.no_frame"


def test_the_limit_on_pixels_can_be_raised() -> None:
    assert refused(whole("PNG"), max_pixels=120 * 90 - 1) == "image.too_many_pixels"
    assert open_image(whole("PNG"), max_pixels=120 * 90).size == (120, 90)
    large = Image.new("1", (20_000, 10_000))  # 200 megapixels: Pillow alone would refuse it
    buffer = io.BytesIO()
    large.save(buffer, "PNG")
    assert refused(buffer.getvalue()) == "image.too_many_pixels"
    assert open_image(buffer.getvalue(), max_pixels=200_000_000).size == (20_000, 10_000)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *extra: bytes, after: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes((width + 1) * height) if width * height < 1e6 else b""))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + pixels + after + chunk(b"IEND", b"")


def bombs() -> dict[str, tuple[bytes, int]]:
    """Name -> (content, frame)."""
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    huge = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(300_000_000), 1))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(300_000_000), 1))
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    gif = b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 30_000 + b";"
    webp = b"VP8L" + struct.pack("<I", 10) + b"/" + struct.pack("<I", 16382 | 16382 << 14) + bytes(5)
    tiff = [(256, 65535), (257, 65535), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 65535), (279, 100)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tiff)
    return {
        "png": (png(65535, 65535), 0),
        "texts": (png(1, 1, text * 60), 0),
        "texts_at_the_end": (png(1, 1, after=text * 60), 0),
        "one_large_text": (png(1, 1, huge), 0),
        "profile": (png(1, 1, profile), 0),
        "gif_frames": (gif, 29_999),
        "gif_canvas": (b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + frame + b";", 0),
        "webp": (b"RIFF" + struct.pack("<I", len(webp) + 4) + b"WEBP" + webp, 0),
        "bmp": (b"BM" + struct.pack("<IIIIiiHHIIiiII", 99, 0, 54, 40, 65535, 65535, 1, 24, 0, 0, 0, 0, 0, 0), 0),
        "ppm": (b"P6 65535 65535 255 ", 0),
        "tiff": (b"II*\0\x08\0\0\0" + struct.pack("<H", len(tiff)) + entries + bytes(4), 0),
    }


def test_bombs_are_refused_soon_and_without_memory(tmp_path: Path) -> None:
    """In a process of its own, whose memory may not grow by 50 MB; each in 50 ms, the best of three."""
    for name, (content, frame) in bombs().items():
        (tmp_path / f"{name}-{frame}").write_bytes(content)
    script = """
        import resource, sys, time, pathlib
        from manako.errors import ImageError
        from manako.images import open_image
        open_image(pathlib.Path(sys.argv[2]))
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + 50 * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
            times = []
            for _ in range(3):
                start = time.perf_counter()
                try:
                    open_image(path, int(path.name.rpartition("-")[2]))
                except ImageError as error:
                    times.append(time.perf_counter() - start)
                    code = error.code
                else:
                    sys.exit(f"{path.name} was opened")
            print(path.name, code, round(1000 * min(times)))
        """
    good = tmp_path.with_name("good.png")
    good.write_bytes(whole("PNG"))
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(good)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == len(bombs())
    assert all(int(milliseconds) < 50 for *_, milliseconds in lines), done.stdout


def test_an_animation_of_30000_frames_still_shows_its_first() -> None:
    content, _ = bombs()["gif_frames"]
    assert open_image(content).size == (1, 1)
