"""A table of labels: CSV or TSV with the columns path, label and, if wanted, split and group.

Column names are recognised whatever their case, with a few synonyms; a table without a header row is understood when
its first field is an image's name. Rows that can't be used are reported with file, line and field, and skipped; the
table as a whole is refused only where no row can be trusted.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manako.errors import DataError, LabelError
from manako.formats._listed import listed
from manako.formats._text import column_name, csv_rows, field_of, find_columns, read_text
from manako.formats.folders import SPLIT_NAMES
from manako.paths import IMAGE_SUFFIXES, inside, printable
from manako.types import Dataset, Labels, Problem, Sample, Split

TASKS = ("classification",)
_NAMES = ("labels.csv", "labels.tsv", "annotations.csv", "annotations.tsv", "train.csv")
SYNONYMS = {
    "path": (
        "path",
        "file",
        "filename",
        "file_name",
        "filepath",
        "file_path",
        "image",
        "image_path",
        "img",
        "ファイル",
        "画像",
    ),
    "label": ("label", "class", "class_name", "category", "target", "ラベル", "クラス", "分類"),
    "split": ("split", "set", "subset", "partition", "分割"),
    "group": ("group", "group_id", "グループ"),
}


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str
    split: str
    group: str


def recognise(path: Path) -> bool:
    return _table_of(path) is not None


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """The images lie in the table's folder or below. Raises LabelError, DataError."""
    file = _table_of(path)
    if file is None:
        raise DataError("data.missing", data=path)
    problems: list[Problem] = []
    text = read_text(file, problems)
    rows = list(_rows(file, text, group_by))
    if not rows:
        raise LabelError("table.no_rows", file=file)
    samples, classes = _samples(file, rows, problems)
    if not samples:
        worst = next(problem for problem in problems if problem.severity == "error")
        raise LabelError(worst.code, **worst.facts)
    return Dataset(file.parent, "table", task, classes, samples, listed(problems))


def _table_of(path: Path) -> Path | None:
    if path.is_dir():
        return next((path / name for name in _NAMES if (path / name).is_file()), None)
    return path if path.suffix.lower() in (".csv", ".tsv") and path.is_file() else None


def _rows(file: Path, text: str, group_by: str | None) -> Iterator[_Row]:
    columns: dict[str, int] | None = None
    for line, fields in csv_rows(file, text):
        if columns is None:
            columns = _columns(file, line, fields, group_by)
            if not _is_image_name(fields[0]):
                continue
        yield _Row(line, *(field_of(fields, columns.get(name)) for name in ("path", "label", "split", "group")))


def _is_image_name(name: str) -> bool:
    return os.path.splitext(name.strip())[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122


def _columns(file: Path, line: int, header: list[str], group_by: str | None) -> dict[str, int]:
    """Where each column is. Without a header row: path, label, split, group."""
    if _is_image_name(header[0]):
        if group_by is not None:
            raise LabelError("table.missing_column", file=file, line=line, field=group_by, found="-")
        return {name: index for index, name in enumerate(("path", "label", "split", "group")) if index < len(header)}
    wanted = dict(SYNONYMS)
    if group_by is not None:
        wanted["group"] = (column_name(group_by),)
    columns = find_columns(file, line, header, wanted)
    for column in ("path", "label", *(("group",) if group_by is not None else ())):
        if column not in columns:
            missing = group_by if column == "group" else column
            raise LabelError("table.missing_column", file=file, line=line, field=missing, found=", ".join(header)[:200])
    return columns


def _samples(file: Path, rows: list[_Row], problems: list[Problem]) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    usable: dict[Path, tuple[_Row, Split | None]] = {}
    contradicted: set[Path] = set()
    for row in rows:
        try:
            path, split = _checked(file, row)
        except DataError as error:
            problems.append(Problem(error.code, error.facts, "error"))
            continue
        first = usable.setdefault(path, (row, split))[0]
        if first is not row:
            facts = {"file": file, "line": row.line, "first": first.line, "field": "path", "value": row.path}
            if (first.label, usable[path][1]) == (row.label, split):
                problems.append(Problem("table.duplicate", facts))
            else:
                problems.append(Problem("table.contradiction", facts, "error"))
                contradicted.add(path)
    kept = {path: found for path, found in usable.items() if path not in contradicted}
    classes = _sorted_classes({row.label for row, _ in kept.values()})
    truths = {name: Labels.truth(index) for index, name in enumerate(classes)}
    problems += _unseen(file, [(row, split) for row, split in kept.values()])
    samples = (
        Sample(_id(file, path), path, truths[row.label], group=row.group or None, split=split)
        for path, (row, split) in kept.items()
    )
    return tuple(sorted(samples, key=lambda sample: sample.id)), classes


def _id(file: Path, path: Path) -> str:
    return printable(path.relative_to(os.path.realpath(file.parent)).as_posix())


def _checked(file: Path, row: _Row) -> tuple[Path, Split | None]:
    where = {"file": file, "line": row.line}
    if not row.path:
        raise LabelError("table.empty_field", **where, field="path")
    try:
        path = inside(file.parent, row.path)
    except DataError as error:
        raise LabelError(
            f"table.{error.code.partition('.')[2]}", **where, field="path", value=row.path[:200]
        ) from error
    if not path.is_file():
        raise LabelError("table.missing", **where, field="path", value=row.path)
    if not row.label:
        raise LabelError("table.empty_field", **where, field="label")
    if row.split and row.split.lower() not in SPLIT_NAMES:
        raise LabelError("table.unknown_split", **where, field="split", value=row.split[:200])
    return path, SPLIT_NAMES.get(row.split.lower())


def _sorted_classes(names: set[str]) -> tuple[str, ...]:
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))
    return tuple(sorted(names))


def _unseen(file: Path, rows: list[tuple[_Row, Split | None]]) -> Iterator[Problem]:
    """Labels of validation and test rows that no training row has: most often a misspelling."""
    trained = {row.label for row, split in rows if split == "train"}
    if not trained:
        return
    for row, split in rows:
        if split in ("val", "test") and row.label not in trained:
            yield Problem("table.unseen_label", {"file": file, "line": row.line, "field": "label", "value": row.label})
