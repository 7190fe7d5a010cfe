"""The command line: `manako VERB ...`. One file a verb in `commands/`; a new file is a new verb.

Exit status: 0 done, 1 done with skipped or failed items, 2 wrong use, 3 the data can't be used.
With `--json`, standard output holds one JSON object and nothing else; all that is for people goes to standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from manako.errors import ManakoError, UsageError
from manako.messages import LANGUAGES, message, set_language

INTERRUPTED = 130


# What argparse says of a mistake -> the message for it.
MISTAKES = (
    (r"the following arguments are required: (?P<names>.+)", "cli.required"),
    (r"unrecognized arguments: (?P<names>.+)", "cli.unrecognised"),
    (r"argument (?P<name>.+?): expected (one|at least one) argument", "cli.no_value"),
    (r"argument (?P<name>.+?): invalid choice: (?P<value>.+) \(choose from (?P<known>.+)\)", "cli.choice"),
    (r"argument (?P<name>.+?): invalid \w+ value: (?P<value>.+)", "cli.bad_value"),
    (r"argument (?P<name>.+?): (?P<reason>.+)", "cli.bad_argument"),  # a command's own words
)


class Parser(argparse.ArgumentParser):
    """An argument parser whose mistakes are Manako's errors, in the reader's language."""

    def error(self, message: str) -> NoReturn:
        raise UsageError("cli.wrong_use", reason=_in_our_words(message), command=self.prog)


class Help(argparse.RawDescriptionHelpFormatter):
    """Help that begins in the reader's language."""

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, message("cli.usage") if prefix is None else prefix)


def _in_our_words(mistake: str) -> str:
    for pattern, code in MISTAKES:
        if found := re.fullmatch(pattern, mistake, re.DOTALL):
            return message(code, **found.groupdict())
    return mistake


def verbs() -> list[str]:
    """All verbs, from the names of the files in `commands/`."""
    folder = Path(__file__).parent / "commands"
    return sorted(p.stem for p in folder.glob("[!_]*.py"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; never raises and never shows a traceback (unless MANAKO_DEBUG is set)."""
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words
    try:
        words = _take_language(words)
        return _run(words)
    except ManakoError as error:
        return _report(error, as_json)
    except KeyboardInterrupt:
        print(message("cli.interrupted"), file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error. Keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("MANAKO_DEBUG"):
            raise
        defect = ManakoError("cli.defect", kind=type(error).__name__, reason=" ".join(str(error).split())[:500])
        return _report(defect, as_json)


def _take_language(words: list[str]) -> list[str]:
    """`--lang ja` may stand anywhere; it is applied first, since help texts depend on it."""
    for i, word in enumerate(words):
        value = word.partition("=")[2] if word.startswith("--lang=") else None
        if word == "--lang":
            value = words[i + 1] if i + 1 < len(words) else ""
        if value is not None:
            if value not in LANGUAGES:
                raise UsageError("cli.language", value=value, known=", ".join(LANGUAGES))
            set_language(value)
            return words[:i] + words[i + (1 if "=" in word else 2) :]
    return words


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        from manako import __version__

        print(f"manako {__version__}")
        return 0
    verb = words[0]
    if verb not in verbs():
        near = get_close_matches(verb, verbs(), n=1)
        raise UsageError("cli.unknown_verb", verb=verb, near=near[0] if near else ", ".join(verbs()))
    module = import_module(f"manako.commands.{verb}")
    try:
        arguments = _parser(verb, module).parse_args(words[1:])
    except SystemExit as stop:  # argparse after --help
        return int(stop.code or 0)
    status: int = module.run(arguments)
    return status


def _parser(verb: str, module: ModuleType) -> Parser:
    parser = Parser(
        prog=f"manako {verb}",
        description=message(f"command.{verb}"),
        epilog=message(f"command.{verb}.examples"),
        formatter_class=Help,
        allow_abbrev=False,
        add_help=False,
    )
    parser._positionals.title, parser._optionals.title = message("cli.positionals"), message("cli.options")
    module.add_arguments(parser)
    shared = parser.add_argument_group(message("cli.shared"))
    shared.add_argument("--json", action="store_true", help=message("cli.json"))
    shared.add_argument("--lang", choices=LANGUAGES, help=message("cli.lang"))
    shared.add_argument("-h", "--help", action="help", help=message("cli.help"))
    return parser


def _overview() -> str:
    width = max(map(len, verbs())) + 2
    lines = [f"  {verb:<{width}}{message(f'command.{verb}').splitlines()[0]}" for verb in verbs()]
    return message("cli.overview", verbs="\n".join(lines))


def _report(error: ManakoError, as_json: bool) -> int:
    if as_json:
        print(json.dumps(error.as_json(), ensure_ascii=False))
    print(message("cli.error", text=error), file=sys.stderr)
    return error.exit_status
