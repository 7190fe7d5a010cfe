"""XML label files as small trees that know their lines. A document type is refused: it is what entity bombs and reads
of other files are made of, and no label needs one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from manako.errors import LabelError
from manako.formats._text import read_text
from manako.types import Problem

_DEEPEST = 64
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding=["']([A-Za-z][\w.-]{0,40})["']""")


@dataclass(eq=False)
class Node:
    """One element. line: where it begins."""

    tag: str
    line: int
    attributes: dict[str, str]
    children: list[Node] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Node]:
        return (child for child in self.children if child.tag == tag)

    def first(self, tag: str) -> Node | None:
        return next(self.all(tag), None)

    def value(self, *path: str) -> str:
        """The text at the end of the path; empty where there is none."""
        node: Node | None = self
        for tag in path:
            node = node.first(tag) if node else None
        return node.text.strip() if node else ""


def read_xml(file: Path, problems: list[Problem]) -> Node:
    """The outermost element. Raises LabelError with file and line."""
    with file.open("rb") as start:
        declared = _DECLARED.match(start.read(200))
    text = read_text(file, problems, declared=declared[1].decode() if declared else "")
    parser = expat.ParserCreate()
    parser.buffer_text = True
    builder = _Builder(file, parser)
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise LabelError("labels.malformed", file=file, line=error.lineno, reason=reason) from error
    assert builder.root is not None  # expat refuses a document without an element
    return builder.root


class _Builder:
    def __init__(self, file: Path, parser: expat.XMLParserType) -> None:
        self.root: Node | None = None
        self._file = file
        self._parser = parser
        self._open: list[Node] = []
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters

    def _refuse(self, *_: object) -> None:
        raise LabelError("labels.document_type", file=self._file, line=self._parser.CurrentLineNumber)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        line = self._parser.CurrentLineNumber
        if len(self._open) >= _DEEPEST:
            raise LabelError("labels.malformed", file=self._file, line=line, reason=f"> {_DEEPEST} levels")
        node = Node(tag, line, attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _end(self, tag: str) -> None:
        self._open.pop()

    def _characters(self, text: str) -> None:
        self._open[-1].text += text
