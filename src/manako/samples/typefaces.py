"""Fonts to draw text with: those of the machine, what each of them has, and which are kept for validation and test.

A font is asked by drawing: a character that it lacks gives its empty box, the same as one that no font has.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont

from manako.errors import DataError, UsageError
from manako.fonts import font
from manako.types import Split

OWN = "manako sans"  # the font in the package
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
LEAST = 0.8  # of the characters that are asked for at first, a font must have
ASKED = 40  # of them
_NOWHERE = "\U0010fffe"  # no font has it
_ASKED_AT = 24  # pixels: at this size no box looks like a kanji
_PROBES = "Rg5永あ"
_LARGEST = 2**26  # bytes of a file

Font = ImageFont.FreeTypeFont
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Typeface:
    """file: "" for the font in the package. family: all that look related share it."""

    file: str
    name: str
    family: str

    def at(self, size: int) -> Font:
        return _opened(self.file, size)

    def has(self, text: str) -> bool:
        """Whether every character of `text` can be drawn."""
        return all(_has(self.file, character) for character in text)


@lru_cache(maxsize=4096)
def _opened(file: str, size: int) -> Font:
    """The first face of a file: those that follow in a collection differ in few characters. By its name, not its
    contents: so only what is drawn is read, and fonts of 20 MB take no memory."""
    return ImageFont.truetype(file, size, layout_engine=ImageFont.Layout.BASIC) if file else font(size)


@lru_cache(maxsize=2**20)
def _has(file: str, character: str) -> bool:
    drawn = _drawn(_opened(file, _ASKED_AT), character)
    return character.isspace() or drawn not in (_EMPTY, _box(file))


@cache
def _box(file: str) -> tuple[int, int, bytes]:
    return _drawn(_opened(file, _ASKED_AT), _NOWHERE)


def font_folders() -> list[Path]:
    """Where this kind of system keeps its fonts."""
    home = Path.home()
    if sys.platform == "win32":
        return [Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".local/share/fonts", home / ".fonts"]


def find_typefaces(
    characters: str, folders: Sequence[Path] | None = None, *, progress: Progress | None = None
) -> list[Typeface]:
    """The package's font and all in `folders` (the machine's, if None) that seem to have most of `characters`: some are
    asked for here, each that is to be drawn must be asked for before (`has`).

    Fonts that can't be opened are passed over. Raises UsageError for a folder that isn't there, DataError where no font
    has the characters.
    """
    for folder in folders or ():
        if not folder.exists():
            raise UsageError("samples.no_folder", folder=folder)
    files = ["", *_files(font_folders() if folders is None else folders)]
    found = []
    for number, file in enumerate(files, 1):
        found += _faces(file, characters)
        if progress:
            progress(number, len(files))
    if not found:
        raise DataError("samples.no_font", characters=len(characters))
    return _related(found)


def _files(folders: Iterable[Path]) -> list[str]:
    paths = {path.resolve() for folder in folders for path in ([folder] if folder.is_file() else folder.rglob("*"))}
    return sorted(str(p) for p in paths if p.suffix.lower() in SUFFIXES and p.is_file() and p.stat().st_size < _LARGEST)


def _faces(file: str, characters: str) -> list[Typeface]:
    """The font of a file, where it is one and fits."""
    drawable = [c for c in characters if not c.isspace()]
    few = drawable[:: max(1, len(drawable) // ASKED)]
    try:
        name = " ".join(part for part in _opened(file, _ASKED_AT).getname() if part) or Path(file).stem
        fits = sum(_has(file, c) for c in few) >= LEAST * len(few)
    except (OSError, ValueError):
        return []
    return [Typeface(file, name, name if file else OWN)] if fits else []


_EMPTY = (0, 0, b"")


def _drawn(font: Font, character: str) -> tuple[int, int, bytes]:
    mask = font.getmask(character)
    return (*mask.size, bytes(mask)) if mask.size[0] and mask.getbbox() else _EMPTY


def _related(faces: list[Typeface]) -> list[Typeface]:
    """Fonts whose family's name begins alike, or that draw a character exactly alike, get one family."""
    known: dict[object, str] = {}
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for face in faces:
        leader.setdefault(face.family, face.family)
        marks: list[object] = [_first_words(face.name)]
        marks += [_drawn(face.at(_ASKED_AT), c) for c in _PROBES if face.has(c)]
        for mark in marks:
            leader[lead(face.family)] = lead(known.setdefault(mark, face.family))
    return [replace(face, family=lead(face.family)) for face in faces]


def _first_words(name: str) -> str:
    """The first word, and the second where the first is one letter ("M PLUS")."""
    words = name.lower().split()
    return " ".join(words[: 2 if len(words[0]) == 1 else 1])


def share_out(faces: Sequence[Typeface], hold: Sequence[str] = (), *, seed: int = 0) -> dict[Split, list[Typeface]]:
    """Whole families for each split, so that what is tested was never seen; all fonts in all splits where there are
    fewer than three families.

    hold: parts of the names of fonts; families that hold one of them are for the test. The font in the package stays
    in training unless it is named. Raises UsageError for a part that no name has.
    """
    families = sorted({face.family for face in faces})
    for part in hold:
        if not any(_named(face, part) for face in faces):
            raise UsageError("samples.no_such_font", value=part, known=", ".join(sorted(f.name for f in faces)[:20]))
    test = sorted({face.family for face in faces if any(_named(face, part) for part in hold)})
    own = next((face.family for face in faces if not face.file), "")
    order = np.random.default_rng([seed, len(families)]).permutation(len(families)).tolist()
    free = [families[i] for i in order if families[i] not in test and families[i] != own]
    if len(families) < 3 or len(free) < 1 + (not test):
        return {"train": list(faces), "val": list(faces), "test": list(faces)}
    count = max(1, len(families) // 6)
    if not test:
        test, free = free[: min(count, len(free) - 1)], free[min(count, len(free) - 1) :]
    val = free[: max(1, min(count, len(free) - 1))]
    placed = dict.fromkeys(test, "test") | dict.fromkeys(val, "val")
    shared: dict[Split, list[Typeface]] = {"train": [], "val": [], "test": []}
    for face in faces:
        shared[placed.get(face.family, "train")].append(face)
    return shared if shared["train"] else {"train": list(faces), "val": list(faces), "test": list(faces)}


def _named(face: Typeface, part: str) -> bool:
    wanted = part.lower().replace(" ", "")
    return wanted in face.name.lower().replace(" ", "") or wanted in Path(face.file).stem.lower()
