"""Everything that Manako shows to people, in English and Japanese, from one catalogue.

Code sends a key and facts; the text stands in `en.json` and `ja.json` (flat keys, `str.format` fields).
The language is `set_language(...)`'s, else `MANAKO_LANG`, else that of the locale, else English.
"""

from __future__ import annotations

import json
import os
from functools import cache
from importlib import resources

LANGUAGES = ("en", "ja")
_chosen: str | None = None


def set_language(language: str | None) -> None:
    """Choose `"en"` or `"ja"` for this process; `None` goes back to the environment's."""
    global _chosen
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"language must be one of {LANGUAGES}, not {language!r}")
    _chosen = language


def language() -> str:
    """The language in force: `"en"` or `"ja"`."""
    if _chosen:
        return _chosen
    for name in ("MANAKO_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


@cache
def catalogue(language: str) -> dict[str, str]:
    """All messages of one language."""
    text = resources.files(__package__).joinpath(f"{language}.json").read_text("utf-8")
    loaded: dict[str, str] = json.loads(text)
    return loaded


def message(key: str, /, **facts: object) -> str:
    """The text of `key` in the language in force, its fields filled from `facts`.

    Raises KeyError for an unknown key: a missing message is a defect, found by the tests.
    """
    return catalogue(language())[key].format(**facts)
