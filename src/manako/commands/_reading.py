"""Options of reading, the same for `predict` and `evaluate`."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import Any

from manako.commands import count
from manako.messages import message

OPTIONS = ("beam", "lexicon", "language_model", "language_weight", "pages", "finder")


def add_reading(parser: ArgumentParser) -> None:
    from manako.tasks._reading_guide import WEIGHT

    group = parser.add_argument_group(message("cli.predict_reading"))
    group.add_argument("--beam", type=count, metavar="N", help=message("cli.beam"))
    group.add_argument("--lexicon", metavar="FILE", help=message("cli.lexicon"))
    group.add_argument("--language-model", metavar="FILE|DATA", help=message("cli.language_model"))
    weight = message("cli.language_weight", default=WEIGHT)
    group.add_argument("--language-weight", type=_weight, metavar="X", help=weight)
    group.add_argument("--pages", action="store_true", help=message("cli.pages"))
    group.add_argument("--finder", metavar="RUN|MODEL.onnx", help=message("cli.finder"))


def reading_options(arguments: Namespace) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in OPTIONS}


def _weight(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10:
        raise ArgumentTypeError(message("cli.not_a_weight", value=text))
    return value
