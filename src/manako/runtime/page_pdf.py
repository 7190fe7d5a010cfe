"""A page as PDF: its image, and over it its text, invisible, so that it can be searched and copied.

Source: ISO 32000-1. The text is set in fonts of type 3 whose letters draw nothing: they need no font file, and what
each code means is said by a table (`ToUnicode`). Such a font has up to 255 characters; further ones are made as needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.polygons import sides_of

RESOLUTION = 200.0  # dots an inch, where the image doesn't say
QUALITY = 90
PER_FONT = 255
_LETTER = 0.5  # width of every letter, in heights of the font

Quad = NDArray[np.floating]


def page_pdf(image: Image.Image, lines: Sequence[tuple[str, Quad]], *, turned: int = 0) -> bytes:
    """image: any mode. lines: text and four corners in pixels, the first where it begins, the second where it ends,
    clockwise from above the letters. turned: degrees, clockwise, that viewers turn the page back by."""
    scale = 72.0 / _resolution(image)
    image = image if image.mode in ("L", "RGB") else image.convert("RGB")
    codes = _codes(text for text, _ in lines)
    objects = _Objects()
    catalogue, pages, page = (objects.reserve() for _ in range(3))
    picture = objects.add(_picture(image), _dictionary(image))
    fonts = [_font(objects, characters) for characters in _by_font(codes)]
    names = " ".join(f"/F{i} {number} 0 R" for i, number in enumerate(fonts))
    width, height = image.width * scale, image.height * scale
    drawn = f"q {width:.4f} 0 0 {height:.4f} 0 0 cm /Im0 Do Q\n"
    content = objects.add(
        zlib.compress((drawn + _text(lines, codes, scale, height)).encode("ascii")), "/Filter /FlateDecode"
    )
    resources = f"<< /XObject << /Im0 {picture} 0 R >> /Font << {names} >> >>"
    objects.put(catalogue, f"<< /Type /Catalog /Pages {pages} 0 R >>")
    objects.put(pages, f"<< /Type /Pages /Kids [{page} 0 R] /Count 1 >>")
    box = f"/MediaBox [0 0 {width:.4f} {height:.4f}] /Rotate {-turned % 360}"
    objects.put(page, f"<< /Type /Page /Parent {pages} 0 R {box} /Resources {resources} /Contents {content} 0 R >>")
    return objects.file(catalogue)


def _resolution(image: Image.Image) -> float:
    found = image.info.get("dpi", (0,))[0]
    return float(found) if 72 <= found <= 2400 else RESOLUTION


def _dictionary(image: Image.Image) -> str:
    colours = "/DeviceGray" if image.mode == "L" else "/DeviceRGB"
    size = f"/Width {image.width} /Height {image.height}"
    return f"/Type /XObject /Subtype /Image {size} /ColorSpace {colours} /BitsPerComponent 8 /Filter /DCTDecode"


def _picture(image: Image.Image) -> bytes:
    stream = BytesIO()
    image.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _codes(texts: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Each character -> (font, code 1..255)."""
    seen = dict.fromkeys("".join(texts))
    return {character: (i // PER_FONT, 1 + i % PER_FONT) for i, character in enumerate(seen)}


def _by_font(codes: dict[str, tuple[int, int]]) -> list[list[str]]:
    fonts: list[list[str]] = []
    for character, (font, _) in codes.items():
        if font == len(fonts):
            fonts.append([])
        fonts[font].append(character)
    return fonts


def _font(objects: _Objects, characters: Sequence[str]) -> int:
    count = len(characters)
    nothing = objects.add(f"{1000 * _LETTER:.0f} 0 d0".encode("ascii"), "")
    table = objects.add(_to_unicode(characters).encode("ascii"), "")
    widths = " ".join([f"{1000 * _LETTER:.0f}"] * count)
    return objects.write(
        "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 1000 1000] /FontMatrix [0.001 0 0 0.001 0 0] "
        f"/CharProcs << /n {nothing} 0 R >> /Encoding << /Type /Encoding /Differences [1 {'/n ' * count}] >> "
        f"/FirstChar 1 /LastChar {count} /Widths [{widths}] /Resources << >> /ToUnicode {table} 0 R >>"
    )


def _to_unicode(characters: Sequence[str]) -> str:
    rows = [f"<{code:02X}> <{c.encode('utf-16-be').hex().upper()}>" for code, c in enumerate(characters, 1)]
    blocks = [rows[i : i + 100] for i in range(0, len(rows), 100)]
    mapped = "\n".join(f"{len(block)} beginbfchar\n" + "\n".join(block) + "\nendbfchar" for block in blocks)
    return (
        "/CIDInit /ProcSet findresource begin\n12 dict begin\nbegincmap\n"
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def\n"
        "/CMapName /Adobe-Identity-UCS def\n/CMapType 2 def\n"
        f"1 begincodespacerange\n<00> <FF>\nendcodespacerange\n{mapped}\n"
        "endcmap\nCMapName currentdict /CMap defineresource pop\nend\nend\n"
    )


def _text(lines: Sequence[tuple[str, Quad]], codes: dict[str, tuple[int, int]], scale: float, height: float) -> str:
    """Render mode 3 draws nothing. A line's letters fill its length: they are stretched along it."""
    rows = []
    for text, quad in lines:
        long, high = (side * scale for side in sides_of(quad))
        if not text or long <= 0 or high <= 0:
            continue
        along = np.asarray(quad[1], np.float64) - quad[0]
        x, y = along / max(float(np.linalg.norm(along)), 1e-9)
        left, base = quad[3] * scale
        stretch = 100 * long / (len(text) * _LETTER * high)
        place = f"{x:.5f} {-y:.5f} {y:.5f} {x:.5f} {left:.3f} {height - base:.3f} Tm"
        rows.append(f"BT 3 Tr {place} {stretch:.3f} Tz {_shown(text, codes, high)} ET")
    return "\n".join(rows)


def _shown(text: str, codes: dict[str, tuple[int, int]], size: float) -> str:
    parts: list[tuple[int, str]] = []
    for character in text:
        font, code = codes[character]
        if parts and parts[-1][0] == font:
            parts[-1] = font, parts[-1][1] + f"{code:02X}"
        else:
            parts.append((font, f"{code:02X}"))
    return " ".join(f"/F{font} {size:.3f} Tf <{shown}> Tj" for font, shown in parts)


class _Objects:
    """The numbered objects of a file."""

    def __init__(self) -> None:
        self._bodies: list[bytes] = []

    def reserve(self) -> int:
        self._bodies.append(b"")
        return len(self._bodies)

    def put(self, number: int, body: str) -> None:
        self._bodies[number - 1] = body.encode("ascii")

    def write(self, body: str) -> int:
        number = self.reserve()
        self.put(number, body)
        return number

    def add(self, stream: bytes, entries: str) -> int:
        number = self.reserve()
        head = f"<< {entries} /Length {len(stream)} >>\nstream\n".encode("ascii")
        self._bodies[number - 1] = head + stream + b"\nendstream"
        return number

    def file(self, catalogue: int) -> bytes:
        out, places = BytesIO(), []
        out.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
        for number, body in enumerate(self._bodies, 1):
            places.append(out.tell())
            out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
        start = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1))
        out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
        out.write(
            b"trailer\n<< /Size %d /Root %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, catalogue, start)
        )
        return out.getvalue()
