"""What a data set of texts holds: alphabet, rare characters, lengths; and which labels are suspicious."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from manako.duplicates import Look
from manako.messages import message
from manako.polygons import sides_of, smallest_rectangle
from manako.types import Dataset, Problem, Sample, TextLine, TextRegions

RARE = 5  # a character seen less often is hardly learnt
LENGTHS = (1, 2, 5, 10, 20, 40, 80)  # where each group begins
_CROWDED = 6.0  # characters on a piece of a line as wide as the line is high: no print is so narrow
_REPEATED = re.compile(r"([^\W\d_])\1{4}")
_SPACES = re.compile(r"\s{2}|[^\S ]")
_LOWEST = 8  # pixels: the least height at which letters differ
_KINDS = (
    ("hiragana", "HIRAGANA"),
    ("katakana", "KATAKANA"),
    ("kanji", "CJK"),
    ("latin", "LATIN"),
    ("cyrillic", "CYRILLIC"),
    ("greek", "GREEK"),
    ("hangul", "HANGUL"),
)
SCRIPTS = (*(name for name, _ in _KINDS), "digits", "other_letters", "spaces", "symbols")


@dataclass(frozen=True)
class TextFacts:
    """scripts: script -> (different characters, all of them). lengths: first of a group of lengths -> texts. rare:
    character -> how often, those below RARE. regions, ignored, blank: of text to be found; None for lines."""

    texts: int
    scripts: Mapping[str, tuple[int, int]]
    lengths: Mapping[int, int]
    shortest: int
    median: int
    longest: int
    rare: Mapping[str, int]
    regions: int | None = None
    ignored: int = 0
    blank: int = 0

    def lines(self) -> Iterator[str]:
        if self.regions is not None:
            yield message("check.text_regions", regions=self.regions, ignored=self.ignored, blank=self.blank)
        if not self.texts:
            return
        facts = {"shortest": self.shortest, "median": self.median, "longest": self.longest}
        yield message("check.text_lengths", texts=self.texts, **facts)
        most = max(self.lengths.values())
        names = [_group(start) for start in self.lengths]
        wide = max(map(len, names))
        for name, count in zip(names, self.lengths.values(), strict=True):
            yield f"  {name:>{wide}} {count:>8}  {'█' * round(24 * count / most)}".rstrip()
        kinds = sum(different for different, _ in self.scripts.values())
        yield message("check.text_alphabet", kinds=kinds, count=sum(count for _, count in self.scripts.values()))
        for script, (different, count) in self.scripts.items():
            yield message("check.text_script", script=message(f"script.{script}"), kinds=different, count=count)

    def as_json(self) -> dict[str, object]:
        return {
            "texts": self.texts,
            "scripts": {name: {"kinds": k, "count": n} for name, (k, n) in self.scripts.items()},
            "lengths": {_group(start): count for start, count in self.lengths.items()},
            "shortest": self.shortest,
            "median": self.median,
            "longest": self.longest,
            "rare": dict(self.rare),
            "regions": self.regions,
            "ignored": self.ignored,
            "blank": self.blank,
        }


def _group(start: int) -> str:
    place = LENGTHS.index(start)
    last = LENGTHS[place + 1] - 1 if place + 1 < len(LENGTHS) else None
    return f"≥ {start}" if last is None else str(start) if last == start else f"{start}–{last}"


def script_of(character: str) -> str:
    """One of SCRIPTS; full-width letters and half-width kana are letters of their script."""
    plain = unicodedata.normalize("NFKC", character)[:1] or character
    if plain.isspace():
        return "spaces"
    if unicodedata.category(plain) == "Nd":
        return "digits"
    name = unicodedata.name(plain, "")
    if plain in "々ー":
        return "kanji" if plain == "々" else "katakana"
    if unicodedata.category(plain)[0] not in "LM":
        return "symbols"
    return next((script for script, word in _KINDS if name.startswith(word)), "other_letters")


def text_facts(dataset: Dataset) -> TextFacts | None:
    """None for data without texts."""
    targets = [s.target for s in dataset.samples if isinstance(s.target, (TextLine, TextRegions))]
    if not targets:
        return None
    texts = [text for sample in dataset.samples for text, _ in _texts(sample, dataset.classes)]
    counts = Counter(character for text in texts for character in text)
    scripts: dict[str, tuple[int, int]] = {}
    for script in SCRIPTS:
        own = [count for character, count in counts.items() if script_of(character) == script]
        if own:
            scripts[script] = len(own), sum(own)
    lengths = np.array([len(text) for text in texts] or [0])
    groups = Counter(LENGTHS[i] for i in (np.searchsorted(LENGTHS, lengths, "right") - 1).tolist() if i >= 0)
    regions = [target for target in targets if isinstance(target, TextRegions)]
    return TextFacts(
        texts=len(texts),
        scripts=scripts,
        lengths=dict(sorted(groups.items())),
        shortest=int(lengths.min()),
        median=int(np.median(lengths)),
        longest=int(lengths.max()),
        rare={character: count for character, count in sorted(counts.items()) if count < RARE},
        regions=sum(map(len, regions)) if regions else None,
        ignored=sum(int(r.ignored.sum()) for r in regions if r.ignored is not None),
        blank=sum(not len(r) for r in regions),
    )


def _texts(sample: Sample, classes: Sequence[str]) -> Iterator[tuple[str, tuple[float, float] | None]]:
    """Each known text of an image, and how wide and high its region is; None: it is the whole image."""
    target = sample.target
    if isinstance(target, TextLine):
        yield target.text(classes), None
    elif isinstance(target, TextRegions):
        for polygon, text in zip(target.polygons, target.texts or (), strict=bool(target.texts)):
            if text is not None:
                yield text, sides_of(polygon if len(polygon) == 4 else smallest_rectangle(polygon))


def text_findings(dataset: Dataset, looks: Sequence[Look]) -> Iterator[Problem]:
    """Labels that are hardly meant so, lines too low to be read, characters that look alike."""
    counts: Counter[str] = Counter()
    for sample, look in zip(dataset.samples, looks, strict=True):
        for text, size in _texts(sample, dataset.classes):
            counts.update(text)
            whole = (float(look.width), float(look.height)) if look.error is None else None
            for code, value in _suspicions(text, size or whole):
                facts = {"id": sample.id, "value": value, "text": text[:80]}
                yield Problem(code, facts, samples=(sample.id,))
    twins = [(c, twin) for c in sorted(counts) if (twin := unicodedata.normalize("NFKC", c)) != c and twin in counts]
    if twins:
        pairs = ", ".join(f"{twin} {counts[twin]} / {c} {counts[c]}" for c, twin in twins[:20] if c.strip())
        yield Problem("check.text_widths", {"count": len(twins), "pairs": pairs or repr(twins[0][0])})


def _suspicions(text: str, size: tuple[float, float] | None) -> Iterator[tuple[str, str]]:
    if size is not None:
        down = len(text) > 2 and size[1] > size[0]  # a line that runs from top to bottom
        low, long = size if down else size[::-1]
        if low < _LOWEST:
            yield "check.text_low", f"{low:.0f}"
        elif len(text) > 2 and len(text) > _CROWDED * long / low:
            yield "check.text_crowded", f"{long:.0f} x {low:.0f}"
    if found := _REPEATED.search(text):
        yield "check.text_repeated", found[1]
    if strange := [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cn") or c == "\ufffd"]:
        yield "check.text_control", f"U+{ord(strange[0]):04X}"
    elif found := _SPACES.search(text):
        yield "check.text_spaces", " ".join(f"U+{ord(c):04X}" for c in found[0])
    for word in text.split():
        scripts = {script_of(c) for c in word}
        if "latin" in scripts and scripts & {"cyrillic", "greek"}:
            yield "check.text_mixed", word
            break
