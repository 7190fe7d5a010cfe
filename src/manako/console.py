"""What a person sees while a command works: lines and progress bars, on standard error.

Standard output belongs to results, so `--json` stays one clean object there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from manako.messages import message

T = TypeVar("T")
_quiet = False


@contextmanager
def quiet(on: bool = True) -> Iterator[None]:
    """Say nothing inside this block (used by tests and by library calls)."""
    global _quiet
    before, _quiet = _quiet, on or _quiet
    try:
        yield
    finally:
        _quiet = before


def say(key: str, /, **facts: object) -> None:
    """One line from the message catalogue."""
    write(message(key, **facts))


def write(text: str) -> None:
    """One line of text that is already in the reader's language."""
    if not _quiet:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)


class Bar:
    """A progress bar with the time left. Steps may be fractions; `note` shows the latest numbers."""

    def __init__(self, label: str, total: float | None, unit: str = "") -> None:
        from tqdm import tqdm

        plain = "{l_bar}{bar}| {n:.4g}/{total:.4g}{unit} [{elapsed}<{remaining}{postfix}]" if total else None
        interactive = sys.stderr.isatty()
        self._bar = tqdm(
            total=total,
            desc=label,
            unit=unit,
            file=sys.stderr,
            leave=False,
            dynamic_ncols=interactive,
            ncols=None if interactive else 100,
            mininterval=0.2 if interactive else 10.0,
            delay=0.0 if interactive else 2.0,
            disable=_quiet,
            bar_format=plain,
        )

    def step(self, amount: float = 1, note: str = "") -> None:
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(amount)

    def close(self) -> None:
        self._bar.close()


@contextmanager
def bar(key: str, total: float | None, unit: str = "", **facts: object) -> Iterator[Bar]:
    """`with bar("training.bar", total=100) as b: b.step(note="loss 0.3")`."""
    made = Bar(message(key, **facts), total, unit)
    try:
        yield made
    finally:
        made.close()


def progress(items: Iterable[T], key: str, total: int | None = None, **facts: object) -> Iterator[T]:
    """Go through `items` behind a bar."""
    with bar(key, total, **facts) as made:
        for item in items:
            yield item
            made.step()
