"""The page stands alone, runs nothing, says everything in both languages; the terminal's lines too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manako.doctor.curves import Reading, Verdict
from manako.doctor.history import read_run
from manako.images import Preprocess
from manako.messages import message, set_language
from manako.report import ReportContent, curves_text, evaluation_text, write_report
from manako.report.text import display_width, pad, sparkline
from manako.report.words import VERDICTS, with_intervals
from manako.runtime.card import ModelCard
from manako.runtime.evaluate import Evaluated
from manako.tasks import get_task
from manako.types import Dataset, Evaluation, Frame, Labels, Problem, Sample, Score

EVIL = "<script>alert(1)</script>"
CLASSES = ("猫", EVIL, "\"' onerror=alert(1) x='", "dog&cat")
VOID = {"meta", "link", "img", "br", "input", "rect", "path", "polyline", "polygon", "circle"}


@dataclass(frozen=True)
class Chosen:
    setting: str
    value: object
    code: str
    facts: dict[str, object]


class Page(HTMLParser):
    """Tags with their attributes, checked to be closed in order; the text by itself."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open or self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    samples = []
    for number in range(40):
        path = folder / (f"{number:02}.png" if number else "00 ' onload=alert(1) <b>.png")
        Image.fromarray(random.integers(0, 256, (60 + 8 * number, 400, 3), np.uint8)).save(path)
        samples.append(Sample(f"{number % 4}/{path.name}", path, Labels.truth(number % 4)))
    truth = np.arange(40) % 4
    logits = random.normal(size=(40, 4)) * 1.5 + 2 * np.eye(4)[truth]
    task = get_task("classification")
    predictions = task.decode({"logits": logits.astype(np.float32)}, [Frame(8, 8)] * 40, {})
    truths = [Labels.truth(int(t)) for t in truth]
    found = task.evaluate(predictions, truths, CLASSES)
    assert 4 < len(found.worst) < 30
    shown = dict(enumerate(zip(predictions, truths, strict=True)))
    return Evaluated("classification", "cnn", "test", CLASSES, found, tuple(samples), shown)


def history(epochs: int = 12) -> list[dict[str, float]]:
    return [
        {
            "epoch": 0.5 * (i + 1),
            "progress": (i + 1) / epochs,
            "training_loss": 2 * 0.8**i,
            "validation_loss": 2 * 0.85**i + 0.2,
            "validation_score": 1 - 0.8 * 0.8**i,
        }
        for i in range(epochs)
    ]


@pytest.fixture
def content(evaluated: Evaluated) -> ReportContent:
    samples = tuple(replace(s, split="test") for s in evaluated.samples)
    problem = Problem("data.classes_alike", {"first": EVIL, "second": "猫"})
    dataset = Dataset(Path(EVIL), "folders", "classification", CLASSES, samples, (problem,) * 30)

    def explain(sample: Sample, class_id: int, *, size: tuple[int, int]) -> np.ndarray:
        return np.linspace(0, 1, size[0] * size[1], dtype=np.float32).reshape(size)

    lines = history()
    return ReportContent(
        name=f"run {EVIL}",
        run=f"runs/{EVIL}",
        card=ModelCard("classification", "cnn", CLASSES, Preprocess(32, 32), (0.5,), (0.5,)),
        evaluated=evaluated,
        history=lines,
        reading=read_run(lines),
        choices=[Chosen("lr", 0.01, "config.lr", {}), Chosen("model", EVIL, "config.model", {})],
        config=f"model: cnn # {EVIL}",
        dataset=dataset,
        environment={"python": "3.11", "packages": {"torch": EVIL}},
        best_epoch=5.5,
        seconds=75,
        explain=explain,
    )


@pytest.fixture(params=["en", "ja"])
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    set_language(request.param)
    yield request.param
    set_language(None)


def written(content: ReportContent, folder: Path) -> tuple[str, Page]:
    path = write_report(folder / "report.html", content)
    html = path.read_text("utf-8")
    return html, Page(html)


def test_the_page_runs_and_loads_nothing(content: ReportContent, language: str, tmp_path: Path) -> None:
    html, page = written(content, tmp_path)
    assert page.all("html")[0]["lang"] == language
    assert not {"script", "iframe", "object", "embed", "form", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            value = attributes.get(name) or ""
            assert value == "" or value.startswith(("data:image/", "data:,", "#")), (tag, value[:80])
    assert "url(" not in html and "@import" not in html and "javascript:" not in html.lower()
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy and "default-src 'none'" in policy and "script-src" not in policy
    assert EVIL in page.text and EVIL not in html


def test_everything_is_said(content: ReportContent, language: str, tmp_path: Path) -> None:
    _, page = written(content, tmp_path)
    for name in (
        *CLASSES,
        content.evaluated.samples[0].id,
        message("report.minutes", minutes=1, seconds=15),
        "manako export",
        "manako predict",
    ):
        assert " ".join(name.split()) in page.text
    main = content.evaluated.evaluation.main
    for value in (main.value, main.low, main.high):
        assert f"{100 * value:.2f} %" in page.text
    assert content.reading and str(content.reading) in page.text
    for line in content.reading.evidence:
        assert str(line) in page.text
    assert "report." not in page.text and "metric." not in page.text and "{" not in page.text
    anchors = {str(a["href"])[1:] for a in page.all("a")}
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert anchors <= set(ids) and len(ids) == len(set(ids))
    assert {"curves", "mistakes", "correct", "metrics", "choices", "data", "next", "environment"} <= set(ids)
    assert len(page.all("svg")) == 2 * (2 + 1 + 1 + 1 + 2 + 1 + 1)  # light and dark
    pictures = page.all("img")
    mistakes = min(12, len(content.evaluated.evaluation.worst))
    assert len(pictures) == 2 * mistakes + 12 and all(i["alt"] for i in pictures)


def test_headings_descend_by_one(content: ReportContent, tmp_path: Path) -> None:
    _, page = written(content, tmp_path)
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_little_is_enough_and_lost_images_are_left_out(
    evaluated: Evaluated, content: ReportContent, tmp_path: Path
) -> None:
    gone = tuple(replace(s, image=tmp_path / "gone.png") for s in evaluated.samples)
    bare = ReportContent("bare", "runs/bare", content.card, replace(evaluated, samples=gone))
    _, page = written(bare, tmp_path)
    assert not page.all("img")
    ids = {a["id"] for _, a in page.tags if a.get("id")}
    assert "metrics" in ids and not {"curves", "mistakes", "choices", "data", "environment"} & ids


def test_every_verdict_has_a_sign() -> None:
    assert set(VERDICTS) == set(Verdict)


def test_epochs_of_a_reading_are_those_of_the_history() -> None:
    """Two looks an epoch: the turn at look 8 is epoch 4."""
    lines = [
        line
        | {
            "training_loss": 2 * 0.8**i,
            "validation_loss": 1 + 0.1 * abs(i - 7),
            "validation_score": 0.9 - 0.03 * abs(i - 7),
        }
        for i, line in enumerate(history(24))
    ]
    reading = read_run(lines)
    assert reading.verdict is Verdict.OVER_FITTING and reading.since_epoch == 4
    assert all(e.facts.get("epoch", 4) == 4 for e in reading.evidence)
    assert read_run([]).verdict is Verdict.TOO_SHORT


def test_the_terminal_says_the_same(evaluated: Evaluated, language: str) -> None:
    lines = history()
    reading: Reading = read_run(lines)
    shown = curves_text(lines, score="accuracy", reading=reading).splitlines()
    assert len({display_width(line[: line.index("█")]) for line in shown[:2]}) == 1
    assert str(reading) in shown[3] and f"{lines[-1]['training_loss']:.4g}" in shown[0]
    text = evaluation_text(evaluated)
    assert f"{100 * evaluated.evaluation.main.value:.2f} %" in text.splitlines()[0] and "dog&cat" in text
    assert "report." not in text


def test_sparkline() -> None:
    assert sparkline([0, 1, 2, 7], 10, pool=[0, 7]) == "▁▂▃█"
    assert sparkline(list(range(80)), 8, pool=[0, 79]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1, float("nan"), 1], 8, pool=[1]) == "▅·▅"
    assert pad("検証", 6) == "検証  " and display_width("検証ab") == 6


def test_ends_of_intervals_stand_beside_their_metric() -> None:
    metrics = {"accuracy": 0.5, "dice": 0.8, "dice_low": 0.7, "dice_high": 0.9, "ece": 0.1}
    found = Evaluation(Score("accuracy", 0.5, 0.4, 0.6), metrics, {}, 10)
    assert [(name, interval) for name, _, interval in with_intervals(found)] == [
        ("accuracy", "40.00 % – 60.00 %"),
        ("dice", "70.00 % – 90.00 %"),
        ("ece", ""),
    ]
