"""Lines of text that fit: measured with the shipped fonts, wrapped by the habits of English and Japanese."""

from __future__ import annotations

import re
from collections.abc import Sequence

from manako.fonts import text_width

# A line must not start with these (Japanese rules for line breaking).
_NOT_FIRST = set("、。，．・：；？！」』）】〉》〕ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;?!)]}%％")
_NOT_LAST = set("「『（【〈《〔([{")
_PIECES = re.compile(r"[⺀-鿿豈-﫿︰-﹏＀-｠]|[^\s⺀-鿿豈-﫿︰-﹏＀-｠]+\s*|\s+")


def clean(text: str) -> str:
    """`text` without control characters, which neither XML nor a font can show; line breaks stay."""
    return "".join(c for c in text if c == "\n" or (c.isprintable() and not "\ud800" <= c <= "\udfff"))


def wrap(text: str, size: float, width: float) -> list[str]:
    """Lines of at most `width` pixels, where words and the font allow; an over-long word is cut."""
    return [line for part in clean(text).split("\n") for line in _wrap_line(part, size, width)]


def _wrap_line(text: str, size: float, width: float) -> list[str]:
    lines, current = [], ""
    for piece in _pieces(text, size, width):
        if current and text_width((current + piece).rstrip(), size) > width:
            lines.append(current.rstrip())
            current = ""
        current += piece
    return [*lines, current.rstrip()]


def _pieces(text: str, size: float, width: float) -> list[str]:
    """What must stay on one line: a word, or one Japanese character with its closing signs."""
    joined: list[str] = []
    for piece in _PIECES.findall(text):
        if joined and (piece[0] in _NOT_FIRST or joined[-1][-1] in _NOT_LAST):
            joined[-1] += piece
        else:
            joined.append(piece)
    return [part for piece in joined for part in _cut(piece, size, width)]


def _cut(word: str, size: float, width: float) -> list[str]:
    parts = []
    while len(word) > 1 and text_width(word.rstrip(), size) > width:
        end = _longest(word, size, width)
        parts.append(word[:end])
        word = word[end:]
    return [*parts, word]


def _longest(text: str, size: float, width: float) -> int:
    """How many characters fit into `width`; at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(text[:middle], size) <= width else (low, middle - 1)
    return low


def shorten(text: str, size: float, width: float) -> str:
    """One line of at most `width` pixels; what does not fit becomes "…"."""
    text = " ".join(clean(text).split())
    if text_width(text, size) <= width:
        return text
    return text[: _longest(text, size, width - text_width("…", size))].rstrip() + "…"


def widest(lines: Sequence[str], size: float) -> float:
    return max((text_width(line, size) for line in lines), default=0.0)
