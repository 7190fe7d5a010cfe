"""`check` of texts: what is there, what is suspicious, in words and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manako.api import check
from manako.cli import main
from manako.doctor.data import fingerprint
from manako.doctor.texts import SCRIPTS, script_of
from manako.formats import read_dataset


def line(folder: Path, name: str, size: tuple[int, int] = (200, 20)) -> None:
    pixels = np.random.default_rng(sum(map(ord, name))).integers(0, 255, size[::-1], dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)


SUSPICIOUS = {  # text -> what is said of it
    "合計 500円": "",
    "ﾃｽﾄ テスト Ａ A": "",
    "this is far too long for it": "check.text_crowded",
    "low": "check.text_low",
    "1": "",
    "縦書き": "",
    "aaaaaa": "check.text_repeated",
    "a\u200bb": "check.text_control",
    "a  b": "check.text_spaces",
    "a\u3000b": "check.text_spaces",
    "a\tb": "check.text_control",
    "p\u0430y": "check.text_mixed",
    "00000000": "",
    "----------": "",
}

SIZES = {"this is far too long for it": (40, 20), "low": (60, 1), "1": (5, 20), "縦書き": (20, 60)}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = ["file\ttext"]
    for number, text in enumerate(SUSPICIOUS):
        size = SIZES.get(text, (200, 20))
        line(tmp_path, f"{number}.png", size)
        rows.append(f"{number}.png\t{text}")
    line(tmp_path, "empty.png")
    rows.append("empty.png\t")
    (tmp_path / "labels.tsv").write_text("\n".join(rows), "utf-8")
    return tmp_path


def test_what_is_suspicious_is_named_and_nothing_else(data: Path) -> None:
    report = check(data)
    assert read_dataset(data).left_out == 1  # the empty one
    said = {p.samples[0]: p.code for p in report.problems if p.code.startswith("check.text_") and p.samples}
    assert said == {f"{n}.png": code for n, code in enumerate(SUSPICIOUS.values()) if code}
    codes = {problem.code for problem in report.problems}
    assert {"ocr.empty_text", "check.text_widths"} <= codes and "check.odd_size" not in codes
    assert report.usable and report.counts == {}


def test_the_alphabet_is_told_by_scripts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(data), "--json"]) == 0
    texts = json.loads(capsys.readouterr().out)["texts"]
    everything = "".join(SUSPICIOUS)
    assert texts["texts"] == len(SUSPICIOUS) and texts["longest"] == max(map(len, SUSPICIOUS))
    assert sum(found["count"] for found in texts["scripts"].values()) == len(everything)
    assert sum(found["kinds"] for found in texts["scripts"].values()) == len(set(everything))
    assert texts["scripts"]["kanji"] == {"kinds": 5, "count": 5} and texts["scripts"]["katakana"]["count"] == 6
    assert texts["rare"]["合"] == 1 and "0" not in texts["rare"]
    assert sum(texts["lengths"].values()) == len(SUSPICIOUS)
    for language, words in (("en", ("kanji", "Latin letters")), ("ja", ("漢字", "ラテン文字"))):
        assert main(["check", str(data), "--lang", language]) == 0
        out = capsys.readouterr().out
        assert all(word in out for word in words) and "\n  a " not in out  # no table of characters


OF_SCRIPT = {
    "hiragana": "あ",
    "katakana": "アｱー",
    "kanji": "漢々",
    "latin": "aＡé",
    "cyrillic": "я",
    "greek": "α",
    "hangul": "한",
    "digits": "5５٣",
    "spaces": " \u3000",
    "symbols": "。!€",
    "other_letters": "ا",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts(script: str) -> None:
    assert {script_of(character) for character in OF_SCRIPT[script]} == {script}


def test_regions_are_counted_with_what_can_not_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line(tmp_path, "a.png", (200, 100))
    line(tmp_path, "b.png", (200, 100))
    rows = ["10,10,90,10,90,30,10,30,ab", "10,40,90,40,90,60,10,60,###", "10,70,20,70,20,90,10,90,much too long"]
    (tmp_path / "gt_a.txt").write_text("\n".join(rows))
    (tmp_path / "gt_b.txt").write_text("")
    assert main(["check", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    texts = found["texts"]
    assert (texts["regions"], texts["ignored"], texts["blank"], texts["texts"]) == (3, 1, 1, 2)
    assert "check.text_crowded" in [problem["code"] for problem in found["problems"]]


def test_a_changed_text_changes_the_fingerprint(data: Path) -> None:
    before = fingerprint(read_dataset(data))
    file = data / "labels.tsv"
    file.write_text(file.read_text("utf-8").replace("low", "wol"), "utf-8")
    assert fingerprint(read_dataset(data)) != before
