"""Lexicon and language model as people give them, with an engine whose outputs are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from manako.errors import DataError, LabelError, UsageError
from manako.images import Preprocess
from manako.runtime.card import ModelCard
from manako.runtime.predictor import Predictor
from manako.runtime.reading import say_unknown, with_beam
from manako.types import Sample, TextLine

ALPHABET = ("0", "C", "O", "W")
SURE, DOUBT = 0.9, 0.6


class Cow:
    """Reads C, then a 0 that may be an O, then W, with blanks between."""

    def __init__(self, task: str = "ocr") -> None:
        self.card = ModelCard(task, "cow", ALPHABET, Preprocess(8, 24, "line", channels=1), (0.5,), (0.5,))

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[np.generic]]:
        symbols = np.array([[2, 0], [0, 2], [1, 3], [0, 1], [4, 0]])
        scores = np.array([SURE, SURE, DOUBT, SURE, SURE], np.float32)
        both = np.stack([scores, 1 - scores], 1)
        return {
            "symbols": np.repeat(symbols[None], len(images), 0),
            "symbol_scores": np.repeat(both[None], len(images), 0),
        }


def read(predictor: Predictor) -> tuple[str, float]:
    (result,) = predictor.predict(Image.new("L", (60, 20), 200))
    assert isinstance(result.prediction, TextLine)
    return result.prediction.text(ALPHABET), float(result.prediction.score.min())


@pytest.fixture
def cow() -> Predictor:
    return Predictor(Cow())


def test_a_beam_alone_reads_what_is_likeliest(cow: Predictor) -> None:
    text, score = read(with_beam(cow, beam=5))
    assert text == read(cow)[0] == "C0W" and score == pytest.approx(DOUBT)
    assert with_beam(cow) is cow


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp932"])
def test_a_lexicon_says_what_may_stand_there(
    cow: Predictor, tmp_path: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes("\r\nCOW\r\n牛\r\n".encode(encoding))
    text, score = read(with_beam(cow, lexicon=file))
    assert text == "COW" and score == pytest.approx(1 - DOUBT)
    assert "牛" in capsys.readouterr().err  # an entry that no text of this model can say
    file.write_text("WWW")
    assert read(with_beam(cow, lexicon=file))[0] == "C0W"  # no entry fits: freely


def test_a_language_model_learns_from_a_file_or_from_training_texts(cow: Predictor, tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("COW\nCOW\nCOW\n")
    assert read(with_beam(cow, language_model=texts))[0] == "COW"
    assert read(with_beam(cow, language_model=texts, language_weight=0))[0] == "C0W"
    for split, text in (("train", "COW"), ("test", "C0W")):
        folder = tmp_path / "data" / split
        folder.mkdir(parents=True)
        rows = [f"{number}.png\t{text}" for number in range(9)]
        for number in range(9):
            Image.new("L", (60, 20)).save(folder / f"{number}.png")
        (folder / "labels.tsv").write_text("file\ttext\n" + "\n".join(rows))
    assert read(with_beam(cow, language_model=tmp_path / "data"))[0] == "COW"  # not what the test images say


def test_what_is_of_no_use_is_said(cow: Predictor, tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text(" \n\n")
    with pytest.raises(DataError, match="no text"):
        with_beam(cow, lexicon=file)
    file.write_text("牛\n")
    with pytest.raises(DataError, match="alphabet"):
        with_beam(cow, lexicon=file)
    file.write_bytes(b"a\0b")
    with pytest.raises(LabelError):
        with_beam(cow, language_model=file)
    with pytest.raises(DataError):
        with_beam(cow, language_model=tmp_path / "nothing.txt")
    with pytest.raises(UsageError, match="language-model"):
        with_beam(cow, language_weight=0.5)
    with pytest.raises(UsageError, match="classification"):
        with_beam(Predictor(Cow("classification")), beam=4)


def test_characters_that_the_alphabet_lacks_are_listed_with_counts(capsys: pytest.CaptureFixture[str]) -> None:
    samples = [Sample(str(n), Path(f"{n}.png"), TextLine.truth(np.array([0, 1, 1, 2]))) for n in range(3)]
    say_unknown(samples, ("C", "牛", " "), ("C", "0", " "))
    assert "'牛' 6" in (err := capsys.readouterr().err) and "6 of 12" in err
    say_unknown(samples, ("C", "0", " "), ("C", "0", " "))
    assert not capsys.readouterr().err
