"""One catalogue, two languages: nothing missing, nothing over, every field filled by the code that asks for it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest

import manako
import manako.errors
from manako.errors import ManakoError
from manako.messages import LANGUAGES, catalogue, message, set_language

PACKAGE = Path(manako.__file__).parent
ERRORS = {
    name for name, kind in vars(manako.errors).items() if isinstance(kind, type) and issubclass(kind, ManakoError)
}
KEY = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)+")
ASKS = ERRORS | {"message", "say", "bar"}  # functions that take a key first
FILE_NAMES = re.compile(
    r".*\.(json|jsonl|yaml|html|csv|tsv|npz|txt|md|onnx|safetensors|otf|ttf|svg|png|py|lock|log|tmp|pth|css|j2|js)"
)


@cache
def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def nodes() -> Iterator[tuple[str, ast.AST]]:
    for path, tree in trees().items():
        for node in ast.walk(tree):
            yield f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}", node


def rooms() -> set[str]:
    return {key.partition(".")[0] for key in catalogue("en")}


def fields(text: str) -> set[str]:
    return {name.partition(".")[0].partition("[")[0] for _, name, _, _ in Formatter().parse(text) if name}


def literal_keys() -> set[str]:
    """Every text in the code, and in the pages that it fills, that could be a key."""
    found = {n.value for _, n in nodes() if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    pages = [p.read_text("utf-8") for p in PACKAGE.rglob("*") if p.suffix in (".html", ".j2", ".jinja")]
    quoted = {text for page in pages for text in re.findall(r"""["']([a-z0-9_.]+)["']""", page)}
    return {text for text in found | quoted if KEY.fullmatch(text)}


def patterns() -> dict[re.Pattern[str], str]:
    """Texts made of a room, a dot and more, such as f"plan.{name}": each stands for all keys that it can make."""
    found = {}
    for place, node in nodes():
        values = node.values if isinstance(node, ast.JoinedStr) else []
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            values = [node.left, node.right]
        parts = [p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else None for p in values]
        first = (parts and parts[0]) or ""
        if "." in first and first.partition(".")[0] in rooms() and KEY.fullmatch(first.rstrip(".") + ".x"):
            wild = (re.escape(part) if part else "[a-z0-9_.]+" for part in parts)
            found[re.compile("".join(wild))] = place
    return found


def calls() -> Iterator[tuple[str, str, set[str] | None]]:
    """(place, key, names of the given facts or None where they can't be read) of each call with a literal key."""
    for place, node in nodes():
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if name in ASKS and isinstance(node.args[0].value, str):
                names = [keyword.arg for keyword in node.keywords]
                yield place, node.args[0].value, None if None in names else {str(n) for n in names}


def test_languages_have_the_same_keys_and_fields() -> None:
    english = catalogue("en")
    for language in LANGUAGES:
        other = catalogue(language)
        assert set(other) == set(english)
        different = [key for key in english if fields(other[key]) != fields(english[key])]
        assert not different, language
        assert all(text.strip() for text in other.values())


def test_japanese_is_japanese() -> None:
    japanese = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
    plain = {key: re.sub(r"\{[^}]*\}|`[^`]*`", "", text) for key, text in catalogue("ja").items()}
    long = {key: text for key, text in plain.items() if len(re.findall(r"[A-Za-z]", text)) > 24}
    assert not [key for key, text in long.items() if not japanese.search(text)]


def test_files_are_sorted_and_readable_as_changes() -> None:
    for language in LANGUAGES:
        text = (PACKAGE / "messages" / f"{language}.json").read_text("utf-8")
        record = json.loads(text, object_pairs_hook=list)
        assert [key for key, _ in record] == sorted({key for key, _ in record})
        assert text == json.dumps(dict(record), ensure_ascii=False, indent=1) + "\n"


def test_every_key_that_the_code_asks_for_exists() -> None:
    missing = {place: key for place, key, _ in calls() if KEY.fullmatch(key) and key not in catalogue("en")}
    missing |= {place: p.pattern for p, place in patterns().items() if not any(map(p.fullmatch, catalogue("en")))}
    assert not missing


def test_texts_that_look_like_keys_are_keys() -> None:
    """A key that travels through a variable is checked too: anything of a room's form must be in the catalogue."""
    modules = {".".join(p.relative_to(PACKAGE).with_suffix("").parts) for p in trees()}
    odd = {
        text
        for text in literal_keys()
        if text.partition(".")[0] in rooms() and text not in catalogue("en") and text not in modules
    }
    prefixes = {
        text for text in odd if any(key.startswith((text + ".", text.rstrip("_") + "_")) for key in catalogue("en"))
    }
    assert not {text for text in odd - prefixes if not FILE_NAMES.fullmatch(text)}


def test_every_key_is_used() -> None:
    used = literal_keys()
    made = patterns()
    assert not [k for k in catalogue("en") if k not in used and not any(p.fullmatch(k) for p in made)]


def test_calls_fill_every_field() -> None:
    lacking = {}
    for place, key, given in calls():
        if given is not None and key in catalogue("en"):
            absent = fields(catalogue("en")[key]) - given
            if absent:
                lacking[place] = (key, absent)
    assert not lacking


def test_language_follows_choice_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MANAKO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    english, japanese = (catalogue(language)["task.unknown"].format(name="x", near="y") for language in ("en", "ja"))
    assert message("task.unknown", name="x", near="y") == english
    monkeypatch.setenv("LANG", "ja_JP.UTF-8")
    assert message("task.unknown", name="x", near="y") == japanese
    monkeypatch.setenv("MANAKO_LANG", "en")
    assert message("task.unknown", name="x", near="y") == english
    try:
        set_language("ja")
        assert message("task.unknown", name="x", near="y") == japanese
    finally:
        set_language(None)
    with pytest.raises(ValueError, match="fr"):
        set_language("fr")
