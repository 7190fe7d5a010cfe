"""What stands on generated lines: words and the things that papers are full of (numbers, dates, prices, addresses),
and letters or kanji in random order, so that a reader can't guess what it doesn't see."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from manako import alphabets
from manako.errors import DataError, UsageError
from manako.formats._text import read_text
from manako.types import Problem

LANGUAGES = ("en", "ja")
ALPHABET_OF: Mapping[str, str] = {"en": "ascii", "ja": "japanese"}
LONGEST: Mapping[str, int] = {"en": 22, "ja": 12}  # characters of a line
LONGER = 0.6  # exponent: 1 would make all lengths alike frequent

Random = np.random.Generator
Maker = Callable[[Random], str]


def phrase(language: str, random: Random, *, longest: int | None = None) -> str:
    """One line: pieces until a random length is reached, at most `longest` characters. Raises UsageError."""
    if language not in LANGUAGES:
        raise UsageError("samples.language", value=language, known=", ".join(LANGUAGES))
    most = longest or LONGEST[language]
    wanted = int(np.ceil(most * random.random() ** LONGER))
    makers, chances = (ENGLISH, ENGLISH_CHANCES) if language == "en" else (JAPANESE, JAPANESE_CHANCES)
    text = ""
    for _ in range(wanted):
        space = " " if text and (language == "en" or random.random() < 0.08) else ""
        text += space + makers[int(np.searchsorted(chances, random.random()))](random)
        if len(text) >= wanted:
            break
    if language == "en" and random.random() < 0.2:
        text = text.upper()
    return _shortened(text, most, random)


def own_phrase(texts: Sequence[str], random: Random, *, longest: int) -> str:
    """One of a person's own lines, or a part of a long one."""
    return _shortened(_pick(texts, random), longest, random)


def read_texts(file: Path) -> list[str]:
    """The lines of a text file in any common encoding, spaces at the ends left out. Raises DataError, LabelError."""
    problems: list[Problem] = []
    texts = [" ".join(line.split()) for line in read_text(file, problems).splitlines()]
    texts = [text for text in texts if text]
    if not texts:
        raise DataError("samples.no_words", file=file)
    return texts


def _shortened(text: str, longest: int, random: Random) -> str:
    """At most `longest` characters of `text`, whole words where it has several."""
    if len(text) <= longest:
        return text.strip()
    starts = [place for place in range(len(text)) if " " not in text or not place or text[place - 1] == " "]
    start = starts[int(random.integers(len(starts)))]
    piece = text[start : start + longest]
    if " " in piece and text[start + longest : start + longest + 1].strip():
        piece = piece.rpartition(" ")[0]
    return piece.strip()


@cache
def words(language: str) -> tuple[str, ...]:
    """The words in the package."""
    file = resources.files(__package__).joinpath("words", f"{language}.txt")
    return tuple(file.read_text("utf-8").split())


def _pick(choices: Sequence[str], random: Random) -> str:
    return choices[int(random.integers(len(choices)))]


def _some(choices: str, random: Random, low: int, high: int) -> str:
    """`low` to `high` of the characters in random order."""
    return "".join(choices[i] for i in random.integers(0, len(choices), int(random.integers(low, high + 1))))


def _digits(random: Random, low: int, high: int) -> str:
    return _some("0123456789", random, low, high)


def _filled(random: Random, *patterns: str) -> str:
    """One of `patterns`: # is a digit, A and a are letters, all else stands as it is."""
    kinds = {"#": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "a": "abcdefghijklmnopqrstuvwxyz"}
    return "".join(_some(kinds[c], random, 1, 1) if c in kinds else c for c in _pick(patterns, random))


def _amount(random: Random) -> str:
    value = int(10 ** random.uniform(0, 6))
    return f"{value:,}" if random.random() < 0.7 else str(value)


# English.


def _word(random: Random) -> str:
    word = _pick(words("en"), random)
    chance = random.random()
    return word.upper() if chance < 0.15 else word.capitalize() if chance < 0.45 else word


# Sounds of made-up words.
BEGINS = "b br c ch cl d dr f fl g gr h j k l m n p pr qu r s sh sk st t th tr v w wh x y z"
MIDDLES = "a e i o u ai ea ee oo ou y ie io"
ENDS = "  b ck d g l ll m n ng p r s ss t tt x zz j q"  # two times none


def _made_up(random: Random) -> str:
    """A word that no one has seen: sounds in turn, so that reading can't become guessing."""
    sounds = (BEGINS, MIDDLES, ENDS) * int(random.integers(1, 4))
    word = "".join(_pick(choices.split(" "), random) for choices in sounds)
    chance = random.random()
    return word.upper() if chance < 0.25 else word.capitalize() if chance < 0.6 else word


def _number(random: Random) -> str:
    chance = random.random()
    if chance < 0.4:
        return f"{_amount(random)}.{_digits(random, 2, 2)}"
    return _amount(random) if chance < 0.7 else _digits(random, 1, 9)


def _price(random: Random) -> str:
    sign = _pick(("$", "$ ", "RM ", "EUR ", "USD ", "-", "+", "x ", "@ ", "# ", "No. "), random)
    return f"{sign}{_number(random)}{_pick(('', '', '', '%', ' kg', ' pcs', '*', ' SR', '-'), random)}"


def _date(random: Random) -> str:
    month = _pick(("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), random)
    year, day = int(random.integers(1950, 2050)), int(random.integers(1, 32))
    number = int(random.integers(1, 13))
    forms = (f"{day:02}/{number:02}/{year}", f"{year}-{number:02}-{day:02}", f"{day} {month} {year}")
    more = (f"{month} {day}, {year}", f"{day:02}-{number:02}-{year % 100:02}", f"{day}.{number}.{year}")
    return _pick(forms + more, random)


def _time(random: Random) -> str:
    return _filled(random, "1#:4#", "0#:2#:3#", "2#:0#:5#", "#:3# PM", "#:1# am", "1#:0#:##")


def _code(random: Random) -> str:
    patterns = ("AA-####", "A#A#A#", "######-A", "(###) ###-####", "+## ### ####", "AAA/##/####", "#########", "AA ##")
    more = (
        "aaa@aaaaa.aaa",
        "www.aaaaaa.aaa",
        "aaaa_##",
        "A###.##",
        "[##]",
        "{aaa}",
        "<aa>",
        "~##",
        "aa\\aa",
        "A|A",
        "^#",
    )
    return _filled(random, *patterns, *patterns, *more)


def _marked(random: Random) -> str:
    """A word with marks about it."""
    word = _word(random) if random.random() < 0.6 else _made_up(random)
    return _pick(
        ("({})", '"{}"', "{}:", "{},", "{}.", "{};", "{}!", "{}?", "'{}'", "{}'s", "*{}*", "{} &", "{}/", "={}"), random
    ).format(word)


def _any_ascii(random: Random) -> str:
    return _some(alphabets.ASCII.strip(), random, 1, 8)


ENGLISH: tuple[Maker, ...] = (_word, _made_up, _number, _price, _date, _time, _code, _marked, _any_ascii)
ENGLISH_CHANCES = np.cumsum([0.30, 0.17, 0.11, 0.07, 0.05, 0.04, 0.08, 0.10, 0.08])
ENGLISH_CHANCES[-1] = 1.0


# Japanese.


def _japanese_word(random: Random) -> str:
    return _pick(words("ja"), random)


def _compound(random: Random) -> str:
    """Kanji of level 1, each as often as the others."""
    return _some(alphabets.kanji(1), random, 1, 4)


def _inflected(random: Random) -> str:
    endings = (
        "い",
        "る",
        "した",
        "して",
        "します",
        "された",
        "な",
        "に",
        "の",
        "は",
        "が",
        "を",
        "で",
        "と",
        "から",
        "まで",
        "より",
        "へ",
        "も",
        "や",
    )
    return _some(alphabets.kanji(1), random, 1, 2) + _pick(endings, random)


def _kana(random: Random) -> str:
    kinds = (alphabets.hiragana(), alphabets.katakana()[:-3])
    text = _some(kinds[int(random.random() < 0.6)], random, 2, 6)
    return text + "ー" if text[0] in kinds[1] and random.random() < 0.3 else text


def _half_kana(random: Random) -> str:
    text = _some(alphabets.HALF_KANA[5:-2], random, 2, 6)
    voiced = ("ﾞ", "", "") if text[-1] in "ｶｷｸｹｺｻｼｽｾｿﾀﾁﾂﾃﾄ" else ("ﾞ", "ﾟ", "") if text[-1] in "ﾊﾋﾌﾍﾎ" else ("",)
    return text + _pick(voiced, random)


def _japanese_price(random: Random) -> str:
    return _pick(
        ("￥{}", "{}円", "{}円", "{}円(税込)", "{}個", "{}%", "{}名", "{}点", "-{}", "{}kg", "{}cm", "{}回", "×{}"),
        random,
    ).format(_amount(random))


def _japanese_date(random: Random) -> str:
    era = _pick(("令和", "平成", "昭和"), random)
    year, small = int(random.integers(1950, 2050)), int(random.integers(1, 64))
    month, day = int(random.integers(1, 13)), int(random.integers(1, 32))
    hour, minute = int(random.integers(0, 24)), int(random.integers(0, 60))
    forms = (f"{year}年{month}月{day}日", f"{era}{small}年{month}月", f"{month}/{day}", f"{year}/{month:02}/{day:02}")
    more = (f"{hour}時{minute}分", f"{hour:02}:{minute:02}", f"{month}月{day}日({_pick('月火水木金土日', random)})")
    return _pick(forms + more, random)


def _japanese_place(random: Random) -> str:
    forms = (
        "〒###-####",
        "#-#-##",
        "##丁目#番#号",
        "第#条",
        "第##回",
        "0#-####-####",
        "090-####-####",
        "TEL ##-####",
        "No.####",
        "##階",
        "A棟###",
    )
    return _filled(random, *forms)


def _full_width(random: Random) -> str:
    return _some(alphabets.full_width() if random.random() < 0.5 else alphabets.full_width()[:10], random, 1, 6)


def _mark(random: Random) -> str:
    return _some(alphabets.COMMON[1:], random, 1, 1)


def _quoted(random: Random) -> str:
    inside = _japanese_word(random) if random.random() < 0.5 else _compound(random)
    return _pick(
        (
            "「{}」",
            "（{}）",
            "『{}』",
            "【{}】",
            "({})",
            "・{}",
            "{}、",
            "{}。",
            "{}：",
            "{}！",
            "{}？",
            "《{}》",
            "〔{}〕",
            "※{}",
            "■{}",
            "○{}",
            "{}々",
        ),
        random,
    ).format(inside)


JAPANESE: tuple[Maker, ...] = (
    _japanese_word, _compound, _inflected, _kana, _half_kana, _japanese_price, _japanese_date, _japanese_place,
    _full_width, _mark, _quoted, _any_ascii, _word,
)  # fmt: skip
JAPANESE_CHANCES = np.cumsum([0.20, 0.26, 0.11, 0.09, 0.02, 0.05, 0.05, 0.03, 0.03, 0.03, 0.07, 0.03, 0.03])
JAPANESE_CHANCES[-1] = 1.0
