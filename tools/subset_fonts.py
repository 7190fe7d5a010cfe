"""Build `src/manako/fonts/` (needs fonttools):

    python tools/subset_fonts.py MPLUS1-REGULAR.otf DEJAVUSANS.ttf BIZUDGOTHIC-REGULAR.ttf

`sans.otf` keeps Latin, kana and the kanji of JIS X 0208 from M PLUS 1; `symbols.ttf` keeps what that font lacks and
figures need (Greek, Cyrillic, arrows, mathematics, marks) from DejaVu Sans; `rare.ttf` what both lack of Japanese (rare
kanji, brackets, full and half width, enclosed letters) from BIZ UDGothic. Hinting and layout features go: at these
sizes Pillow needs neither. All are renamed, so that nobody takes them for the originals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

FONTS = Path(__file__).parent.parent / "src" / "manako" / "fonts"
SYMBOL_BLOCKS = (
    range(0xA0, 0x250),  # Latin with accents
    range(0x2B0, 0x370),  # raised letters, combining accents
    range(0x370, 0x400),  # Greek
    range(0x400, 0x500),  # Cyrillic
    range(0x1E00, 0x1F00),  # Latin for Vietnamese
    range(0x2010, 0x20C0),  # punctuation, superscripts, subscripts, currency
    range(0x2150, 0x2400),  # fractions, arrows, mathematics
    range(0x25A0, 0x2700),  # shapes, signs
    range(0x2700, 0x27C0),  # ticks, crosses
    range(0x1D62, 0x1D6B),  # subscript letters
)

RARE_BLOCKS = (
    range(0x2100, 0x2150),  # letters as signs
    range(0x2460, 0x2580),  # enclosed numbers, lines of tables
    range(0x3000, 0x3400),  # Japanese signs, enclosed letters, squared units
    range(0xFF01, 0xFFF0),  # full and half width
)


def main(sans: str, symbols: str, rare: str) -> None:
    covered = write(Path(sans), FONTS / "sans.otf", "Manako Sans", set(japanese()) | set(range(0x20, 0x250)))
    wanted = {code for block in SYMBOL_BLOCKS for code in block} - covered
    extra = write(Path(symbols), FONTS / "symbols.ttf", "Manako Symbols", wanted | {0x20})
    list_characters("symbols", extra - covered)
    covered |= extra
    wanted = {code for block in RARE_BLOCKS for code in block} | set(japanese())
    list_characters("rare", write(Path(rare), FONTS / "rare.ttf", "Manako Rare", (wanted - covered) | {0x20}) - covered)


def list_characters(name: str, codes: set[int]) -> None:
    """Beside each font but the first: the characters that are drawn with it."""
    text = "".join(chr(code) for code in sorted(codes - {0xAD}) if chr(code).isprintable())
    (FONTS / f"{name}.txt").write_text(text, "utf-8")


def japanese() -> Iterator[int]:
    """The code points of JIS X 0208: signs, kana, level 1 and level 2 kanji."""
    for row in range(1, 85):
        for cell in range(1, 95):
            try:
                yield ord(bytes([row + 0xA0, cell + 0xA0]).decode("euc_jp"))
            except UnicodeDecodeError:
                continue
    yield from map(ord, "〜～−·•…—–‘’“”")
    yield from range(0xFF01, 0xFFA0)


def write(source: Path, target: Path, name: str, codes: set[int]) -> set[int]:
    """Write the subset; return the code points that it really has."""
    font = TTFont(source)
    options = subset.Options(
        layout_features=[], hinting=False, name_IDs=[0, 13, 14], notdef_outline=True, drop_tables=["DSIG", "GDEF"]
    )
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=sorted(codes))
    cutter.subset(font)
    full = name.replace(" ", "")
    for number, text in {1: name, 2: "Regular", 3: f"1;{full}", 4: name, 6: full}.items():
        font["name"].setName(text, number, 3, 1, 0x409)
    if "CFF " in font:
        top = font["CFF "].cff
        top.fontNames[0] = full
        for field, text in {"FullName": name, "FamilyName": name}.items():
            setattr(top.topDictIndex[0], field, text)
    font.recalcTimestamp = False
    font.save(target)
    return set(TTFont(target).getBestCmap())


if __name__ == "__main__":
    main(*sys.argv[1:])
