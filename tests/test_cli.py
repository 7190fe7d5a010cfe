"""The command line's manners: help with examples, one JSON object, exit statuses, never a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from manako.cli import main, verbs
from manako.messages import set_language

USES = {
    "check": ["check", "{missing}"],
    "convert": ["convert", "{missing}", "out", "--to", "yolo"],
    "train": ["train", "{missing}"],
    "evaluate": ["evaluate", "{missing}"],
    "predict": ["predict", "{missing}", "x.png"],
    "export": ["export", "{missing}"],
    "generate": ["generate", "{missing}"],
    "cluster": ["cluster", "{missing}"],
    "samples": ["samples", "text", "--out", "{missing}", "--words", "{missing}/words.txt"],
    "learn": ["learn", "no-such-topic"],
    "models": ["models", "--task", "no-such-task"],
    "demo": ["demo", "--task", "no-such-task"],
}


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANAKO_LANG", "en")
    monkeypatch.chdir(tmp_path)
    set_language(None)


@pytest.mark.parametrize("verb", verbs())
@pytest.mark.parametrize("language", ["en", "ja"])
def test_help_shows_examples(verb: str, language: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help", "--lang", language]) == 0
    shown = capsys.readouterr().out
    assert f"manako {verb}" in shown and ("examples" in shown or "例" in shown)


def test_overview_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(verb in shown for verb in verbs())


@pytest.mark.parametrize("verb", verbs())
def test_bad_use_is_a_sentence_and_a_json_object(verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = [word.format(missing=tmp_path / "missing") for word in USES[verb]]
    status = main([*words, "--json"])
    out, err = capsys.readouterr()
    assert status in (2, 3)
    found = json.loads(out)  # `check` reports even on a folder that can't be used
    assert found["problems"] if verb == "check" else set(found) == {"error", "message", "facts"}
    assert "Traceback" not in err and len(err.splitlines()) < 24


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian", "x"], "train"),
        (["train", "x", "--epocs", "3"], "--epocs"),
        (["train", "x", "--epochs", "three"], "three"),
        (["train", "x", "--epochs", "3", "--minutes", "1"], "not both"),
        (["train", "x", "--augment", "stong"], "strong"),
        (["train", "x", "--option", "depth"], "NAME=VALUE"),
        (["train"], "DATA"),
        (["models", "--lang", "fr"], "fr"),
    ],
)
def test_wrong_words_end_with_status_2_and_a_hint(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x").mkdir()
    assert main(words) in (2, 3)
    out, err = capsys.readouterr()
    assert hint in err and not out


def test_a_defect_shows_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("manako.api.models", lambda task: 1 // 0)
    assert main(["models"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and "Traceback" not in err


def test_models_lists_names_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--json"]) == 0
    names = [entry["name"] for entry in json.loads(capsys.readouterr().out)["models"]]
    assert {"resnet18", "vgg16_bn", "mlp", "cnn", "efficientnet_lite0"} <= set(names)


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m manako models | head -c 10"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words",
    ["convert", "check a b", "predict r x --tile 0", "predict r x --out", "export r --to z", "check x --max-pixels y"],
)
def test_wrong_use_is_told_in_the_readers_language(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--lang", "ja"]) == 2
    told = capsys.readouterr().err.splitlines()[0]
    assert not re.search("argument|required|expected|invalid|choose", told), told
    assert main([words.split()[0], "--help", "--lang", "ja"]) == 0
    assert not re.search("^usage:|^options:|^positional", capsys.readouterr().out, re.MULTILINE)
