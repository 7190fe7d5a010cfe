"""Label files as text: every encoding that people's programs write, rows of tables, columns by whatever name."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from manako.errors import DataError, LabelError
from manako.types import Problem

LARGEST = 512 * 1024 * 1024
_SAMPLE = 2**20


def read_text(file: Path, problems: list[Problem], *, largest: int = LARGEST, declared: str = "") -> str:
    """UTF-8, UTF-16 with its mark, or the encodings that Japanese and Western programs write.

    declared: an encoding that the file itself names. Raises LabelError, DataError.
    """
    try:
        if file.stat().st_size > largest:
            raise LabelError("table.too_large", file=file, megabytes=largest // 2**20)
        content = file.read_bytes()
    except OSError as error:
        raise DataError("image.unreadable", file=file, reason=error.strerror) from error
    for encoding in _encodings(content, declared):
        try:
            text = content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if encoding in ("cp932", "cp1252"):
            problems.append(Problem("table.encoding", {"file": file, "encoding": encoding}, "note"))
        if "\0" in text:
            raise LabelError("table.nul", file=file, line=1 + text.count("\n", 0, text.index("\0")))
        return text
    raise LabelError("table.undecodable", file=file)


def _encodings(content: bytes, declared: str) -> Iterator[str]:
    """What to try, most likely first."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield "utf-16"
        return
    yield "utf-8-sig"
    if declared:
        yield declared
    # Shift-JIS begins most characters with a byte from 0x81 to 0x9F; Western text has few such signs.
    high = sum(byte >= 0x80 for byte in content[:_SAMPLE])
    leading = sum(0x81 <= byte <= 0x9F for byte in content[:_SAMPLE])
    yield from ("cp932", "cp1252") if 4 * leading >= high else ("cp1252", "cp932")


def csv_rows(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold anything, with the line where each begins (a quoted field may hold line breaks).

    Raises LabelError.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(file, text), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise LabelError("table.malformed", file=file, line=line, reason=error) from error
        if any(field.strip() for field in fields):
            yield line, fields


def _delimiter(file: Path, text: str) -> str:
    if file.suffix.lower() == ".tsv":
        return "\t"
    header = text.lstrip("\r\n").splitlines()[0] if text.strip() else ""
    return max(",;\t", key=header.count)


def column_name(text: str) -> str:
    """A heading as it is compared: whatever its case, width and spaces."""
    return unicodedata.normalize("NFKC", text).strip().lower().replace(" ", "_")


def find_columns(file: Path, line: int, header: list[str], synonyms: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Where each column is, by any of its names. Raises LabelError where two could be one."""
    names = [column_name(name) for name in header]
    columns: dict[str, int] = {}
    for column, choices in synonyms.items():
        places = [index for index, name in enumerate(names) if name in choices]
        exact = [index for index in places if names[index] == column]
        if len(exact) == 1:
            places = exact
        if len(places) > 1:
            found = ", ".join(header[index] for index in places)
            raise LabelError("table.two_columns", file=file, line=line, field=column, found=found)
        if places:
            columns[column] = places[0]
    return columns


def field_of(fields: list[str], index: int | None) -> str:
    """Empty where the row is too short."""
    if index is None or index >= len(fields):
        return ""
    return unicodedata.normalize("NFC", fields[index].strip())
