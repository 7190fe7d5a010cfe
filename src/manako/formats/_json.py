"""Large JSON label files, one entry at a time: a list of a million objects never stands in memory as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from pathlib import Path

from manako.errors import LabelError

_DECODER = json.JSONDecoder(strict=False)
_SPACE = re.compile(r"[ \t\n\r]*")
Turns = Generator[tuple[str, int, object], None, int]  # returns where the text goes on


class JsonMembers:
    """The members of the object (or list) that a JSON text holds.

    Iterating gives (key, index, value): for a list among `lists`, and for a text that is a list itself (key ""), one
    turn an entry; for anything else the whole value with index -1. `line` is where the value of the turn begins.
    Raises LabelError with file and line.
    """

    def __init__(self, file: Path, text: str, lists: tuple[str, ...]) -> None:
        self.line = 1
        self._file = file
        self._text = text
        self._lists = lists
        self._counted = 0

    def __iter__(self) -> Iterator[tuple[str, int, object]]:
        try:
            yield from self._top()
        except json.JSONDecodeError as error:
            # Much JSON is one line only: the column tells more.
            reason = f"{error.msg} (column {error.colno})"
            raise LabelError("labels.malformed", file=self._file, line=error.lineno, reason=reason) from error
        except (ValueError, RecursionError) as error:  # a number of a million digits, a thousand brackets
            reason = type(error).__name__
            raise LabelError("labels.malformed", file=self._file, line=self.line, reason=reason) from error

    def _top(self) -> Iterator[tuple[str, int, object]]:
        at = self._skip(0)
        if self._text[at : at + 1] == "[":
            at = yield from self._entries("", at)
        elif self._text[at : at + 1] == "{":
            at = yield from self._members(at)
        else:
            raise json.JSONDecodeError("neither an object nor a list", self._text, at)
        if (end := self._skip(at)) != len(self._text):
            raise json.JSONDecodeError("something follows the end", self._text, end)

    def _members(self, at: int) -> Turns:
        at = self._skip(at + 1)
        while self._text[at : at + 1] != "}":
            key, at = self._value(at)
            if not isinstance(key, str):
                raise json.JSONDecodeError("a name must be text", self._text, at)
            at = self._skip(self._expect(":", at))
            if key in self._lists and self._text[at : at + 1] == "[":
                at = yield from self._entries(key, at)
            else:
                value, end = self._value(at)
                self._count(at)
                at = end
                yield key, -1, value
            at = self._next("}", at)
        return at + 1

    def _entries(self, key: str, at: int) -> Turns:
        at = self._skip(at + 1)
        index = 0
        while self._text[at : at + 1] != "]":
            value, end = self._value(at)
            self._count(at)
            yield key, index, value
            index += 1
            at = self._next("]", end)
        return at + 1

    def _value(self, at: int) -> tuple[object, int]:
        return _DECODER.raw_decode(self._text, at)

    def _next(self, closing: str, at: int) -> int:
        """Past the comma, or at the closing bracket."""
        at = self._skip(at)
        if self._text[at : at + 1] == closing:
            return at
        at = self._skip(self._expect(",", at))
        if self._text[at : at + 1] == closing:
            raise json.JSONDecodeError("nothing after a comma", self._text, at)
        return at

    def _expect(self, sign: str, at: int) -> int:
        at = self._skip(at)
        if self._text[at : at + 1] != sign:
            raise json.JSONDecodeError(f"{sign!r} is missing", self._text, at)
        return at + 1

    def _skip(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _count(self, at: int) -> None:
        self.line += self._text.count("\n", self._counted, at)
        self._counted = at
