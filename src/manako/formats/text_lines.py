"""Images of lines of text, and `labels.tsv` beside them or above: file, tab, text.

The file may lie in `train/`, `val/` and `test/` instead, one each. A heading (`file`, `text` or their synonyms) may
stand in the first line. The text begins after the first tab and ends with the line: quotes are characters like others.
Images are looked for beside the file and in `images/`. Texts are brought to Unicode's composed form (NFC).
"""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manako.errors import DataError, LabelError
from manako.formats._listed import listed
from manako.formats._text import column_name, read_text
from manako.formats.folders import SPLIT_NAMES
from manako.paths import atomic_write, inside, printable
from manako.types import Dataset, Prediction, Problem, Sample, Skeleton, Split, TextLine

TASKS = ("ocr",)
WRITES = ("ocr",)
PREFERENCE = 1  # a table of classes has the same name, but no column of texts
NAMES = ("labels.tsv", "gt.txt", "labels.txt")
FILE_WORDS = ("file", "path", "filename", "file_name", "image", "ファイル", "画像")
TEXT_WORDS = ("text", "transcription", "transcript", "words", "文字", "文字列", "テキスト")
RARE = 5  # a character seen less often is hardly learnt
_HEAD = 4096  # bytes that hold the heading


@dataclass(frozen=True)
class _Line:
    file: Path
    number: int
    name: str
    text: str
    split: Split | None

    @property
    def where(self) -> dict[str, object]:
        return {"file": self.file, "line": self.number}


def recognise(path: Path) -> bool:
    """Only with a heading that says so: else a table of classes may be meant, unless the task is named."""
    return any(_says_text(file) for file, _ in _label_files(path))


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    files = _label_files(path)
    if not files:
        raise DataError("ocr.no_labels", data=path, names=", ".join(NAMES))
    problems: list[Problem] = []
    root = path if path.is_dir() else path.parent
    lines = [line for file, split in files for line in _lines(file, split, problems)]
    if not lines:
        raise LabelError("table.no_rows", file=files[0][0])
    usable = _usable(lines, problems)
    if not usable:
        worst = next(problem for problem in problems if problem.severity == "error")
        raise LabelError(worst.code, **worst.facts)
    alphabet = tuple(sorted({character for _, line in usable for character in line.text}))
    place = {character: index for index, character in enumerate(alphabet)}
    samples = [
        Sample(
            printable(image.relative_to(root.resolve()).as_posix()),
            image,
            TextLine.truth(np.array([place[c] for c in line.text], np.int64)),
            split=line.split,
        )
        for image, line in usable
    ]
    ordered = tuple(sorted(samples, key=lambda sample: sample.id))
    told = (*listed(problems), *_alphabet(usable))
    return Dataset(root, "text_lines", task, alphabet, ordered, told)


def _label_files(path: Path) -> list[tuple[Path, Split | None]]:
    """The file of a folder, else those of its splits."""
    if path.is_file():
        return [(path, None)] if path.name in NAMES or path.suffix.lower() == ".tsv" else []
    own = next((path / name for name in NAMES if (path / name).is_file()), None)
    if own is not None:
        return [(own, None)]
    found: list[tuple[Path, Split | None]] = []
    for folder in sorted(p for p in path.iterdir() if p.is_dir() and p.name.lower() in SPLIT_NAMES):
        file = next((folder / name for name in NAMES if (folder / name).is_file()), None)
        if file is not None:
            found.append((file, SPLIT_NAMES[folder.name.lower()]))
    return found


def _says_text(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:
        return False
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return _is_heading(head.decode(encoding, "ignore").splitlines()[:1])


def _is_heading(first: Sequence[str]) -> bool:
    name, tab, text = (first[0] if first else "").partition("\t")
    return bool(tab) and column_name(name) in FILE_WORDS and column_name(text) in TEXT_WORDS


def _lines(file: Path, split: Split | None, problems: list[Problem]) -> Iterator[_Line]:
    # Not splitlines(): it would also cut at characters that a text may hold.
    rows = list(io.StringIO(read_text(file, problems), newline=None))
    for number, row in enumerate(rows, 1):
        row = row.rstrip("\n")
        if (number == 1 and _is_heading([row])) or not row.strip():
            continue
        name, tab, text = row.partition("\t")
        line = _Line(file, number, name.strip(), unicodedata.normalize("NFC", text.strip()), split)
        if not tab:
            problems.append(Problem("ocr.no_tab", line.where, "error"))
            continue
        if line.text != text.strip():
            problems.append(Problem("ocr.composed", line.where | {"value": name.strip()}, "note"))
        yield line


def _usable(lines: Sequence[_Line], problems: list[Problem]) -> list[tuple[Path, _Line]]:
    """Images with their lines. One image has one text."""
    first: dict[Path, _Line] = {}
    contradicted: set[Path] = set()
    for line in lines:
        try:
            image = _checked(line)
        except DataError as error:
            problems.append(Problem(error.code, error.facts, "error"))
            continue
        known = first.setdefault(image, line)
        if known is line:
            continue
        facts = line.where | {"first": known.number, "field": "file", "value": line.name}
        if known.text == line.text:
            problems.append(Problem("table.duplicate", facts))
        else:
            problems.append(Problem("table.contradiction", facts, "error"))
            contradicted.add(image)
    return [(image, line) for image, line in first.items() if image not in contradicted]


def _checked(line: _Line) -> Path:
    """Raises LabelError."""
    if not line.name:
        raise LabelError("table.empty_field", **line.where, field="file")
    if not line.text:
        raise LabelError("ocr.empty_text", **line.where, value=line.name[:200])
    for name in (line.name, f"images/{line.name}"):
        try:
            image = inside(line.file.parent, name)
        except DataError as error:
            if error.code == "paths.missing":
                continue
            code = f"table.{error.code.partition('.')[2]}"
            raise LabelError(code, **line.where, field="file", value=line.name[:200]) from error
        if image.is_file():
            return image
    raise LabelError("table.missing", **line.where, field="file", value=line.name[:200])


def _alphabet(usable: Sequence[tuple[Path, _Line]]) -> Iterator[Problem]:
    """What will be learnt to be read, and what is hardly there to learn from; never seen in training at all."""
    counts = Counter(character for _, line in usable for character in line.text)
    listed = "".join(c for c in sorted(counts) if c.isprintable())[:200]
    longest = max(len(line.text) for _, line in usable)
    yield Problem("ocr.alphabet", {"count": len(counts), "characters": listed, "longest": longest}, "note")
    rare = "".join(sorted(character for character, count in counts.items() if count < RARE))
    if rare:
        yield Problem("ocr.rare", {"count": len(rare), "characters": rare[:200], "least": RARE}, "note")
    taught = {character for _, line in usable if line.split in ("train", None) for character in line.text}
    strange = "".join(sorted(set(counts) - taught))
    if strange and taught:
        yield Problem("ocr.untaught", {"count": len(strange), "characters": strange[:200]})


class Writer:
    """`labels.tsv` with a heading, in UTF-8: what `read` reads. Images without any text are left out."""

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self._file = folder / NAMES[0]
        self._alphabet = classes
        self._rows = ["file\ttext"]

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None:
        assert isinstance(prediction, TextLine)
        text = prediction.text(self._alphabet)
        if text:
            self._rows.append(f"{image}\t{text}")

    def finish(self) -> Path:
        """Raises StorageError."""
        atomic_write(self._file, "\n".join(self._rows) + "\n")
        return self._file
