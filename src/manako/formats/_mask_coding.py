"""From all that masks hold to the classes: which values and colours stand for which class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from manako.errors import DataError
from manako.formats._mask_file import Coding, Stored, unpacked
from manako.types import IGNORE, Problem

BINARY = ("background", "foreground")
MOST_VALUES = 64  # without names, more values than this are no classes
_SMOOTHED = 0.9  # share of pure black and white from which the rest is taken for a smoothed border
_LISTED = 12

Made = tuple[Coding, tuple[str, ...], list[Problem]]


def coding_of(
    root: Path,
    stored: Mapping[int, Stored],
    files: Mapping[int, Path],
    *,
    names: Sequence[str],
    palette: Mapping[str, Sequence[int]],
) -> Made:
    """names: of the classes 0, 1, 2..., may be empty. palette: names with their colours, may be empty.

    Returns the coding, the classes, and what a person should know. Raises DataError where colours mean nothing or no
    two classes are there.
    """
    if palette:
        colours = {colour: index for index, each in enumerate(palette.values()) for colour in each}
        return Coding(colours=colours, by_colour=True), tuple(palette), []
    if not stored:
        raise DataError("masks.none_readable", data=root, count=len(files))
    values: Counter[int] = Counter()
    for one in stored.values():
        if not one.coloured:
            values.update(one.counts)
    indexed = next((one.palette for one in stored.values() if one.palette and not one.coloured), ())
    if not indexed:
        _refuse_colours(root, stored, files)
    table, classes, problems = _named(root, values, names) if names else _unnamed(root, values, files)
    # Coloured masks among indexed ones mean what the indexed ones' palette says.
    colours = {colour: table[value] for value, colour in reversed([*enumerate(indexed)]) if value in table}
    return Coding(table, colours), classes, problems


def _refuse_colours(root: Path, stored: Mapping[int, Stored], files: Mapping[int, Path]) -> None:
    """Raises DataError for coloured masks: nothing says what their colours mean."""
    coloured = {index: one for index, one in stored.items() if one.coloured}
    if not coloured:
        return
    found: Counter[int] = Counter()
    for one in coloured.values():
        found.update(one.counts)
    listed = "; ".join("{} {} {}".format(*unpacked(colour)) for colour, _ in found.most_common(_LISTED))
    facts = {"count": len(coloured), "first": files[next(iter(coloured))], "colours": listed}
    raise DataError("masks.no_palette", data=root, **facts)


def _named(
    root: Path, values: Counter[int], names: Sequence[str]
) -> tuple[dict[int, int], tuple[str, ...], list[Problem]]:
    if set(values) <= {0, IGNORE} and len(names) == 2 and IGNORE in values:
        return {0: 0, IGNORE: 1}, tuple(names), [Problem("masks.binary_255", {}, "note")]
    return {index: index for index in range(len(names))}, tuple(names), []


def _unnamed(
    root: Path, values: Counter[int], files: Mapping[int, Path]
) -> tuple[dict[int, int], tuple[str, ...], list[Problem]]:
    """Classes are the values that occur, named after them; two are background and foreground."""
    if set(values) == {0, IGNORE}:
        return {0: 0, IGNORE: 1}, BINARY, [Problem("masks.binary_255", {}, "note")]
    pure = (values[0] + values[IGNORE]) / max(1, values.total())
    if len(values) > _LISTED and 0 in values and IGNORE in values and pure >= _SMOOTHED:
        between = values.total() - values[0] - values[IGNORE]
        table = {value: int(value >= 128) for value in range(256)}
        return table, BINARY, [Problem("masks.smoothed", {"count": between, "share": 1 - pure})]
    found = sorted(value for value in values if value != IGNORE)
    if len(found) > MOST_VALUES:
        raise DataError("masks.many_values", count=len(found), first=next(iter(files.values())), most=MOST_VALUES)
    if len(found) < 2:
        raise DataError("masks.one_value", data=root, value=found[0] if found else "-")
    table = {value: index for index, value in enumerate(found)}
    if len(found) == 2 and found[0] == 0:
        return table, BINARY, []
    return table, tuple("background" if value == 0 else str(value) for value in found), []
