"""Names and colours of classes from the small text files that lie beside masks."""

from __future__ import annotations

import re
from pathlib import Path

from manako.errors import DataError
from manako.formats._mask_file import packed

NAMES = "classes.txt"
PALETTES = ("palette.txt", "palette.csv", "class_dict.csv", "label_colors.txt", "labelmap.txt")
_COLOUR = re.compile(r"(?<![\w.])(\d{1,3})\s*[,;:\s]\s*(\d{1,3})\s*[,;:\s]\s*(\d{1,3})(?![\w.])")


def read_names(folder: Path) -> tuple[str, ...]:
    """The lines of `classes.txt`: the name of class 0, of class 1... Empty without the file. Raises DataError."""
    file = folder / NAMES
    if not file.is_file():
        return ()
    names = tuple(line.strip() for line in _lines(file) if line.strip())
    if len(set(names)) != len(names) or not 2 <= len(names) <= 255:
        raise DataError("masks.class_names", file=file, count=len(names))
    return names


def read_palette(folder: Path) -> dict[str, tuple[int, ...]]:
    """Class names, each with its colours (`packed`), in the order of the file; empty where there is no such file.

    A line holds a name and three numbers 0..255 in any order, with commas, colons, tabs or spaces between
    (`name,r,g,b` of CamVid, `r g b name`, `name:r,g,b::` of CVAT). Several lines may name one class. A line without
    three numbers is a heading or, beginning with #, a remark. Raises DataError naming the line.
    """
    file = next((folder / name for name in PALETTES if (folder / name).is_file()), None)
    if file is None:
        return {}
    classes: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for number, line in enumerate(_lines(file), 1):
        found = _COLOUR.search(line)
        if line.lstrip().startswith("#") or (found is None and not classes):
            continue
        if found is None and not line.strip():
            continue
        name = "" if found is None else (line[: found.start()] + " " + line[found.end() :]).strip(" \t,;:\"'")
        levels = [] if found is None else [int(level) for level in found.groups()]
        if not name or max(levels, default=256) > 255:
            raise DataError("masks.palette_line", file=file, line=number, text=line.strip()[:60])
        colour = packed(*levels)
        if owner.setdefault(colour, name) != name:
            raise DataError("masks.palette_twice", file=file, line=number, first=owner[colour], second=name)
        classes[name] = (*classes.get(name, ()), colour)
    if not 2 <= len(classes) <= 255:
        raise DataError("masks.class_names", file=file, count=len(classes))
    return classes


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("image.unreadable", file=file, reason=error) from error
