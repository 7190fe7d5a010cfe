"""Reading lines with what is known of texts beforehand: `--beam`, `--lexicon` and `--language-model`."""

from __future__ import annotations

import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from manako.console import say
from manako.errors import DataError, UsageError
from manako.formats import read_dataset
from manako.formats._text import read_text
from manako.runtime.pages import PagePredictor
from manako.runtime.predictor import Predictor
from manako.tasks._language_model import LanguageModel
from manako.tasks._reading_guide import WEIGHT, ReadingGuide
from manako.tasks.ocr import Beam, Ocr
from manako.types import Problem, Sample, TextLine

WIDTH = 16
LISTED = 40
LARGEST = 64 * 1024 * 1024  # bytes of a lexicon or of a text


def with_beam(
    predictor: Predictor,
    *,
    beam: int | None = None,
    lexicon: str | Path | None = None,
    language_model: str | Path | None = None,
    language_weight: float | None = None,
) -> Predictor:
    """The same, reading with a beam where one of these is given.

    lexicon: a file of what lines may say, an entry a line. language_model: a file of text, or a data set whose training
    texts are taken. Raises UsageError where the model reads no lines, DataError where a file is of no use.
    """
    if isinstance(predictor, PagePredictor):
        given = {"beam": beam, "lexicon": lexicon, "language_model": language_model}
        return predictor.with_reader(with_beam(predictor.reader, language_weight=language_weight, **given))  # type: ignore[arg-type]
    if beam is None and lexicon is None and language_model is None:
        if language_weight is not None:
            raise UsageError("beam.weight_alone")
        return predictor
    if not isinstance(predictor.task, Ocr):
        raise UsageError("beam.not_for_task", task=predictor.task.name)
    alphabet = predictor.card.classes
    guide = None
    if lexicon is not None or language_model is not None:
        guide = ReadingGuide(
            alphabet,
            lexicon=None if lexicon is None else _entries(Path(lexicon), alphabet),
            language_model=None if language_model is None else _model(Path(language_model), alphabet),
            weight=WEIGHT if language_weight is None else language_weight,
        )
    reading = Predictor(predictor.engine, Ocr(Beam(beam or WIDTH, guide)))
    reading.settings = predictor.settings
    return reading


def say_unknown(samples: Iterable[Sample], classes: Sequence[str], known: Sequence[str]) -> None:
    """Which characters of the truths the model's alphabet lacks, and how many of each: they can't be read."""
    counts: Counter[str] = Counter()
    for sample in samples:
        if isinstance(sample.target, TextLine):
            counts.update(sample.target.text(classes))
    strange = [(character, count) for character, count in counts.most_common() if character not in set(known)]
    if strange:
        listed = ", ".join(f"{character!r} {count}" for character, count in strange[:LISTED])
        total = sum(count for _, count in strange)
        say("ocr.unknown_characters", kinds=len(strange), count=total, of=counts.total(), characters=listed)


def _entries(file: Path, alphabet: Sequence[str]) -> list[str]:
    """Those that the model can read. Says how many it can't."""
    entries = _lines(file)
    known = set(alphabet)
    readable = [entry for entry in entries if known.issuperset(entry)]
    if not readable:
        raise DataError("beam.lexicon_unreadable", file=file, count=len(entries))
    if len(readable) < len(entries):
        strange = "".join(sorted(set().union(*entries) - known))[:40]
        say("beam.lexicon_some", file=file, count=len(entries) - len(readable), characters=strange)
    return readable


def _model(source: Path, alphabet: Sequence[str]) -> LanguageModel:
    return LanguageModel(_texts(source), alphabet=len(alphabet))


def _texts(source: Path) -> list[str]:
    """Never those of validation and test images: with them a reader would be scored on what it was told."""
    if not source.is_dir():
        return _lines(source)
    dataset = read_dataset(source, task="ocr")
    samples = dataset.of("train") or tuple(s for s in dataset.samples if s.split is None)
    lines = [s.target.text(dataset.classes) for s in samples if isinstance(s.target, TextLine)]
    if not lines:
        raise DataError("beam.no_training_texts", data=source)
    return lines


def _lines(file: Path) -> list[str]:
    """Lines that say anything, in Unicode's composed form. Raises DataError."""
    problems: list[Problem] = []
    text = io.StringIO(read_text(file, problems, largest=LARGEST), newline=None)
    lines = [unicodedata.normalize("NFC", line.strip()) for line in text]
    found = [line for line in lines if line]
    if not found:
        raise DataError("beam.empty_file", file=file)
    return found
