"""FUNSD's JSON, one file a form: `form`, a list of entries with `words`, each with its box and its text.

Words are taken where there are any, else the entry as a whole. Source: Jaume, Ekenel, Thiran 2019, "FUNSD: A Dataset
for Form Understanding in Noisy Scanned Documents", arXiv 1905.13538.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from manako.errors import DataError
from manako.formats._text import read_text
from manako.formats._text_regions import TASKS as TASKS
from manako.formats._text_regions import Pages, Place, corners
from manako.formats._tree import first_files, head_of, root_of
from manako.types import Dataset, Problem


def recognise(path: Path) -> bool:
    return any(_is_form(file) for file in first_files(path, (".json",)))


def _is_form(file: Path) -> bool:
    head = head_of(file)
    return head.lstrip().startswith("{") and '"form"' in head and '"box"' in head


def read(path: Path, *, task: str, group_by: str | None) -> Dataset:
    """Raises LabelError, DataError."""
    root = root_of(path)
    pages = Pages(root, "funsd")
    for name in pages.tree.labels:
        if name.lower().endswith(".json") and (path.is_dir() or root / name == path) and _is_form(root / name):
            _read_form(root / name, name, pages)
    return pages.dataset(group_by=group_by)


def _read_form(file: Path, name: str, pages: Pages) -> None:
    content = read_json(file, pages)
    form = content.get("form") if isinstance(content, dict) else None
    if not isinstance(form, list):
        return
    stem = posixpath.splitext(posixpath.basename(name))[0]
    try:
        page = pages.beside(name, stem)
    except DataError as error:
        pages.missing(error, Place(file, 1, "-"), stem)
        return
    for field, entry in _entries(form):
        box = entry.get("box")
        numbers = corners(*box) if isinstance(box, list) and len(box) == 4 else []
        text = entry.get("text")
        pages.add(page, numbers, text if isinstance(text, str) else None, Place(file, 1, f"{field}.box"))


def _entries(form: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for index, entry in enumerate(form):
        if not isinstance(entry, dict):
            continue
        words = entry.get("words")
        if not isinstance(words, list) or not words:
            yield f"form[{index}]", entry
            continue
        for place, word in enumerate(words):
            if isinstance(word, dict):
                yield f"form[{index}].words[{place}]", word


def read_json(file: Path, pages: Pages) -> Any:
    """None, and named, where it can't be read."""
    try:
        return json.loads(read_text(file, pages.problems))
    except json.JSONDecodeError as error:
        facts: dict[str, object] = {"file": file, "line": error.lineno, "reason": f"{error.msg} (column {error.colno})"}
    except (ValueError, RecursionError) as error:  # a number of a million digits, a thousand brackets
        facts = {"file": file, "line": 1, "reason": type(error).__name__}
    except DataError as error:
        pages.problems.append(Problem(error.code, error.facts, "error"))
        return None
    pages.problems.append(Problem("labels.malformed", facts, "error"))
    return None
