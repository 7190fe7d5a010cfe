"""Generated text: the same seed gives the same files, nothing is drawn that a font lacks, fonts are held out, outlines
lie on the ink."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from manako.alphabets import ALPHABETS, alphabet, kanji
from manako.cli import main
from manako.errors import DataError, UsageError
from manako.fonts import font
from manako.formats import read_dataset
from manako.samples.paper import moved, perspective
from manako.samples.phrases import ALPHABET_OF, LANGUAGES, LONGEST, own_phrase, phrase
from manako.samples.printing import horizontal_strip, vertical_strip
from manako.samples.text import split_of, write_text
from manako.samples.typefaces import Typeface, find_typefaces, share_out
from manako.samples.whole_pages import set_page
from manako.types import TextLine, TextRegions

NO_FONTS = [Path(__file__).parent]  # a folder without fonts: only the package's own is left


def own() -> Typeface:
    (face,) = find_typefaces("Aa", NO_FONTS)
    return face


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["lines", "pages", "digits"])
def test_the_same_seed_gives_the_same_files(tmp_path: Path, kind: str) -> None:
    chosen = {"language": "ja", "count": 3 if kind == "pages" else 8, "kind": kind, "fonts": NO_FONTS, "vertical": True}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_text(tmp_path / name, seed=seed, **chosen)  # type: ignore[arg-type]
    assert files(tmp_path / "a") == files(tmp_path / "b") != files(tmp_path / "c")


def test_several_processes_write_what_one_does(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("two", 2)):
        write_text(tmp_path / name, count=257, fonts=NO_FONTS, workers=workers)
    assert files(tmp_path / "one") == files(tmp_path / "two")


@pytest.mark.parametrize("language", LANGUAGES)
def test_lines_are_read_with_their_texts(tmp_path: Path, language: str) -> None:
    written = write_text(tmp_path / "out", language=language, count=40, fonts=NO_FONTS)
    dataset = read_dataset(tmp_path / "out")
    assert dataset.task == "ocr" and len(dataset.samples) == 40
    assert {split: len(dataset.of(split)) for split in ("train", "val", "test")} == written.counts  # type: ignore[arg-type]
    assert len(dataset.classes) == written.characters
    assert set(dataset.classes) <= set(alphabet(ALPHABET_OF[language]))
    for sample in dataset.samples:
        assert isinstance(sample.target, TextLine) and 1 <= len(sample.target.class_id) <= LONGEST[language]
    assert not written.held_out and "--fonts" in written.text()


def test_pages_are_read_with_their_regions(tmp_path: Path) -> None:
    write_text(tmp_path / "out", count=4, kind="pages", fonts=NO_FONTS, seed=1)
    dataset = read_dataset(tmp_path / "out", task="text_finding")
    assert dataset.format == "icdar" and len(dataset.samples) == 4
    for sample in dataset.samples:
        labels = sample.image.parent.parent / "labels" / f"gt_{sample.image.stem}.txt"
        rows = labels.read_text("utf-8").splitlines()
        assert isinstance(sample.target, TextRegions) and sample.target.texts is not None
        assert list(sample.target.texts) == [row.split(",", 8)[8] for row in rows]


def test_a_persons_own_text_is_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_bytes("ab cd ef gh ij kl mn op qr st uv wx yz\r\n東京 タワー\n".encode("cp932"))
    write_text(tmp_path / "out", count=30, fonts=NO_FONTS, words=tmp_path / "mine.txt")
    rows = (tmp_path / "out/train/labels.tsv").read_text("utf-8").splitlines()[1:]
    texts = {row.partition("\t")[2] for row in rows}
    assert "東京 タワー" in texts and all(
        t == "東京 タワー" or t in "ab cd ef gh ij kl mn op qr st uv wx yz" for t in texts
    )
    assert all(len(word) == 2 for t in texts - {"東京 タワー"} for word in t.split())


@given(st.text("ab ", min_size=1, max_size=40).map(str.strip).filter(bool), st.integers(0, 9))
def test_long_texts_are_cut_at_words(text: str, seed: int) -> None:
    piece = own_phrase([text], np.random.default_rng(seed), longest=8)
    assert len(piece) <= 8 and piece in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_phrases_keep_to_the_alphabet_and_cover_it(language: str) -> None:
    random = np.random.default_rng(0)
    texts = [phrase(language, random) for _ in range(3000)]
    known, seen = set(alphabet(ALPHABET_OF[language])), set("".join(texts))
    assert seen <= known and max(map(len, texts)) <= LONGEST[language]
    assert len(seen) > (94 if language == "en" else 2800)


def test_alphabets_are_those_of_jis() -> None:
    assert (len(kanji(1)), len(kanji(2))) == (2965, 3390)
    assert kanji(1)[0] == "亜" and kanji(2)[-1] == "熙"
    for name in ALPHABETS:
        assert len(set(alphabet(name))) == len(alphabet(name))
    assert set(alphabet("ascii")) < set(alphabet("latin")) and {"ｱ", "Ａ", "あ", "ア"} < set(alphabet("japanese"))
    with pytest.raises(UsageError):
        alphabet("klingon")


def test_a_font_says_what_it_lacks() -> None:
    """Against the table of characters inside the file: M PLUS has no full-width letters, as few others lack kana."""
    face = own()
    assert face.has("Aé 永あア") and not face.has("Ａ") and not face.has("ཨ") and not face.has("\U0010fffd")
    tofu = font(24).getmask("\U0010fffd")
    for character in "口ロ□囗国回":
        if face.has(character):
            assert bytes(font(24).getmask(character)) != bytes(tofu)


def test_nothing_is_drawn_that_the_font_lacks(tmp_path: Path) -> None:
    write_text(tmp_path / "out", language="ja", count=150, fonts=NO_FONTS, seed=2)
    texts = (tmp_path / "out/train/labels.tsv").read_text("utf-8").splitlines()[1:]
    assert all(own().has(row.partition("\t")[2]) for row in texts)


def faces(*families: str) -> list[Typeface]:
    return [Typeface("" if f == "own" else f"/{f}{n}.ttf", f"{f} {n}", f) for f in families for n in range(2)]


@given(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8), st.integers(0, 5))
def test_whole_families_are_held_out(families: list[str], seed: int) -> None:
    some = faces("own", *families)
    shared = share_out(some, seed=seed)
    parts = {split: {face.family for face in shared[split]} for split in shared}
    if len(families) < 2:
        assert all(shared[split] == some for split in shared)
        return
    assert all(parts.values()) and "own" in parts["train"]
    assert not parts["train"] & parts["test"] and not parts["train"] & parts["val"] and not parts["val"] & parts["test"]
    assert sum(map(len, shared.values())) == len(some)


def test_named_fonts_are_for_the_test_alone() -> None:
    shared = share_out(faces("own", "alpha", "beta", "gamma"), ["BETA 1"])
    assert {face.family for face in shared["test"]} == {"beta"} and shared["val"] and shared["train"]
    with pytest.raises(UsageError, match="delta"):
        share_out(faces("own", "alpha"), ["delta"])


def test_a_renamed_copy_belongs_to_the_same_family(tmp_path: Path) -> None:
    from importlib import resources

    data = resources.files("manako.fonts").joinpath("sans.otf").read_bytes()
    (tmp_path / "copy.otf").write_bytes(data)
    (tmp_path / "broken.ttf").write_bytes(data[:200])
    found = find_typefaces("Aあ永", [tmp_path])
    assert len(found) == 2 and len({face.family for face in found}) == 1
    with pytest.raises(UsageError):
        find_typefaces("A", [tmp_path / "nowhere"])
    with pytest.raises(DataError):
        find_typefaces("ཨཀཁ", NO_FONTS)


def test_split_sizes() -> None:
    for count, held in ((1, 0), (10, 2), (1000, 50), (20_000, 1000), (100_000, 1000)):
        sizes = [split_of(number, count) for number in range(count)]
        assert (sizes.count("val"), sizes.count("test")) == (held, held)


def test_vertical_lines_are_read_from_left_to_right() -> None:
    """Turned back clockwise, the characters stand one below the other: the first is the topmost."""
    sized = font(24)
    turned = vertical_strip("日一", sized).transpose(Image.Transpose.ROTATE_270)
    assert turned.height > 1.5 * turned.width
    ink = np.asarray(turned, float).sum(1)
    assert ink[:24].sum() > 2 * ink[24:].sum()
    bar = np.asarray(vertical_strip("ー", sized).transpose(Image.Transpose.ROTATE_270)) > 128
    assert np.ptp(np.nonzero(bar)[0]) > 2 * np.ptp(np.nonzero(bar)[1])  # the long vowel stands upright


def test_strips_hold_all_the_ink() -> None:
    sized = font(30)
    for tracking in (0.0, 3.0):
        strip = np.asarray(horizontal_strip("gÉ|jy_", sized, tracking), np.float64)
        whole = sum(float(np.asarray(sized.getmask(c), np.float64).sum()) for c in "gÉ|jy_")
        assert strip.sum() == pytest.approx(whole, rel=0.06)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_points_move_as_pixels_do(seed: int) -> None:
    random = np.random.default_rng(seed)
    square = np.array([(0, 0), (90, 0), (90, 40), (0, 40)], float)
    target = square + random.uniform(-5, 5, (4, 2))
    np.testing.assert_allclose(moved(square, (90, 40), target), target, atol=1e-6)
    points = random.uniform(0, 40, (6, 2))
    a, b, c, d, e, f, g, h = perspective(square, target)
    x, y = moved(points, (90, 40), target).T
    back = np.stack([a * x + b * y + c, d * x + e * y + f], 1) / (g * x + h * y + 1)[:, None]
    np.testing.assert_allclose(back, points, atol=1e-6)


@pytest.mark.parametrize("vertical", [False, True])
def test_outlines_lie_on_the_ink(vertical: bool) -> None:
    lines = 0
    for seed in range(3):
        sheet = set_page(own(), lambda most: "永国あ漢字"[:most], np.random.default_rng(seed), vertical=vertical)
        ink = np.asarray(sheet.ink) > 100
        covered = Image.new("1", sheet.ink.size)
        for quad, text in zip(sheet.quads, sheet.texts, strict=True):
            corners = [(float(x), float(y)) for x, y in quad]
            ImageDraw.Draw(covered).polygon(corners, fill=1)
            mask = Image.new("1", sheet.ink.size)
            ImageDraw.Draw(mask).polygon(corners, fill=1)
            assert 0.05 < ink[np.asarray(mask)].mean() < 0.75, text  # letters are neither all nor nothing of it
            wide, high = np.hypot(*(quad[1] - quad[0])), np.hypot(*(quad[3] - quad[0]))
            assert wide > (len(text) - 0.8) * high * 0.5  # the first side runs along the text
            lines += 1
        if vertical:  # pages without rules: all the ink is in some outline
            assert (ink & ~np.asarray(covered)).sum() <= 0.03 * max(1, ink.sum())
    assert lines > 15


def test_the_verb_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["samples", "text", "--lang", "ja", "--count", "6", "--fonts", str(NO_FONTS[0]), "--workers", "1"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["language"] == "ja" and sum(told["counts"].values()) == 6
    with Image.open(io.BytesIO(next((out / "train/images").iterdir()).read_bytes())) as image:
        assert image.format == "JPEG"
    assert main([*words, "--out", str(out)]) == 2  # the folder is not empty any more
    assert main([*words[:-2], "--count", "0", "--out", str(tmp_path / "none")]) == 2
    assert main(["samples", "text", "--language", "en", "--vertical", "--out", str(tmp_path / "none")]) == 2
    assert "--language ja" in capsys.readouterr().err and not (tmp_path / "none").exists()
