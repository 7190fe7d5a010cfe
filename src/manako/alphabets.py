"""Characters by language: what a reader of lines is taught, and what generated text is made of.

The kanji are those of JIS X 0208: level 1 (2,965, in daily use) and level 2 (3,390). Half- and full-width forms are
different characters; a character that Unicode has twice (the wave dash) stands here as JIS maps it.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from manako.errors import UsageError

ASCII = "".join(map(chr, range(0x20, 0x7F)))
WESTERN = "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜÝŒŠŽßàáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœšž£¥€¢§©®°±²³µ·¿¡«»“”‘’–—…•"
HALF_KANA = "".join(map(chr, range(0xFF61, 0xFFA0)))
ALPHABETS = ("ascii", "latin", "japanese", "japanese_all")
_SYMBOLS, _LETTERS, _HIRAGANA, _KATAKANA = 1, 3, 4, 5  # rows of JIS X 0208
_LEVEL_1, _LEVEL_2 = range(16, 48), range(48, 85)
COMMON = (  # signs of JIS X 0208
    "　、。・：；？！々〇〆ー／〜…‥（）〔〕［］｛｝〈〉《》「」『』【】"
    "＋−×÷＝＜＞°′″℃￥＄％＃＆＊＠§☆★○●◎◇◆□■△▲▽▼※〒→←↑↓"
)


def alphabet(name: str) -> str:
    """All characters of one of ALPHABETS, in a fixed order.

    "ascii": the printable ones. "latin": with the letters and signs of western Europe. "japanese": ASCII, kana, JIS
    level 1 kanji and the usual symbols, in half and full width. "japanese_all": level 2 as well. Raises UsageError.
    """
    if name not in ALPHABETS:
        raise UsageError("ocr.unknown_alphabet", value=name, known=", ".join(ALPHABETS))
    if name in ("ascii", "latin"):
        return ASCII + (WESTERN if name == "latin" else "")
    return _japanese() if name == "japanese" else _all()


@cache
def row(number: int) -> str:
    """The characters of one row (1 to 94) of JIS X 0208."""
    codes = (bytes((0xA0 + number, 0xA0 + cell)) for cell in range(1, 95))
    return unicodedata.normalize("NFC", "".join(code.decode("euc_jp", "ignore") for code in codes))


@cache
def kanji(level: int) -> str:
    """Those of JIS level 1 or 2."""
    return "".join(row(number) for number in (_LEVEL_1 if level == 1 else _LEVEL_2))


def hiragana() -> str:
    return row(_HIRAGANA)


def katakana() -> str:
    return row(_KATAKANA)


def full_width() -> str:
    """Full-width digits and Latin letters."""
    return row(_LETTERS)


@cache
def _japanese() -> str:
    return ASCII + COMMON + full_width() + hiragana() + katakana() + HALF_KANA + kanji(1)


@cache
def _all() -> str:
    known = set(_japanese())
    return _japanese() + "".join(c for c in row(_SYMBOLS) + row(2) + kanji(2) if c not in known)
