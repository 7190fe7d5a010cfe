"""The verbs of the command line, one file each.

A file holds `add_arguments(parser)` and `run(arguments) -> exit status`; its texts are the messages
`command.<verb>` and `command.<verb>.examples`. Commands are thin: they call the same functions as Python does.
"""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from collections.abc import Mapping

from manako.messages import message


def print_json(record: Mapping[str, object]) -> None:
    """The one JSON object of a command's `--json`."""
    print(json.dumps(record, ensure_ascii=False, allow_nan=False))


def count(text: str) -> int:
    """The type of an option that is a number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError(message("cli.not_a_count", value=text))
    return int(text)
