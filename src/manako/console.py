"""What a person sees while a command works: lines and progress bars, on standard error.

Standard output belongs to results, so `--json` stays one clean object there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from manako.messages import message

T = TypeVar("T")
LINE_EVERY = 10.0  # seconds, where there is no terminal
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


class Bar(Protocol):
    """Progress with the time left. Steps may be fractions; `note` shows the latest numbers."""

    def step(self, amount: float = 1, note: str = "") -> None: ...

    def close(self) -> None: ...


class _TerminalBar:
    """A bar that redraws itself."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        from tqdm import tqdm

        shape = "{l_bar}{bar}| {n:.4g}/{total:.4g}{unit} [{elapsed}<{remaining}{postfix}]" if total else None
        self._bar = tqdm(
            total=total, desc=label, unit=unit, file=sys.stderr, leave=False, dynamic_ncols=True, bar_format=shape
        )

    def step(self, amount: float = 1, note: str = "") -> None:
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(amount)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """Where output goes to a file or a log: a line now and then, nothing for what is quickly done."""

    def __init__(self, label: str, total: float | None, unit: str) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done, self._note = 0.0, ""
        self._began = self._told = time.monotonic()

    def step(self, amount: float = 1, note: str = "") -> None:
        self._done += amount
        self._note = note or self._note
        now = time.monotonic()
        if now - self._told >= LINE_EVERY:
            self._told = now
            left = (now - self._began) * ((self._total or 0) / self._done - 1) if self._done else 0.0
            facts = {"done": self._done, "total": self._total or 0, "unit": self._unit, "left": max(0.0, left)}
            say("console.progress", label=self._label, note=self._note, **facts)

    def close(self) -> None:
        pass


class _Silence:
    def step(self, amount: float = 1, note: str = "") -> None:
        pass

    def close(self) -> None:
        pass


def _bar(label: str, total: float | None, unit: str) -> Bar:
    if _quiet:
        return _Silence()
    return (_TerminalBar if sys.stderr.isatty() else _Lines)(label, total, unit)


@contextmanager
def bar(key: str, total: float | None, unit: str = "", **facts: object) -> Iterator[Bar]:
    """`with bar("training.bar", total=100) as b: b.step(note="loss 0.3")`."""
    made = _bar(message(key, **facts), total, unit)
    try:
        yield made
    finally:
        made.close()


def progress(items: Iterable[T], key: str, total: int | None = None, **facts: object) -> Iterator[T]:
    """Go through `items` behind a bar."""
    with bar(key, total, "", **facts) as made:
        for item in items:
            yield item
            made.step()


@contextmanager
def counter(key: str, **facts: object) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that reports itself by calling `(done, total)`."""
    made: list[Bar] = []
    seen = 0

    def told(done: int, total: int) -> None:
        nonlocal seen
        if not made:
            made.append(_bar(message(key, **facts), total, ""))
        made[0].step(done - seen)
        seen = done

    try:
        yield told
    finally:
        for bar_ in made:
            bar_.close()
