"""`manako samples text`: generated data to train with."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from manako.commands import print_json
from manako.messages import language, message

KINDS = ("text",)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, help=message("samples.kind"))
    parser.add_argument("--out", required=True, metavar="DIR", help=message("samples.out"))
    parser.add_argument("--count", type=int, default=1000, metavar="N", help=message("samples.count_help"))
    parser.add_argument("--language", choices=("en", "ja"), help=message("samples.language_help"))
    parser.add_argument("--fonts", nargs="+", metavar="DIR", help=message("samples.fonts"))
    parser.add_argument("--hold-fonts", nargs="+", default=(), metavar="NAME", help=message("samples.hold_fonts"))
    parser.add_argument("--words", metavar="FILE", help=message("samples.words"))
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--pages", action="store_true", help=message("samples.pages"))
    shape.add_argument("--digits", action="store_true", help=message("samples.digits"))
    parser.add_argument("--vertical", action="store_true", help=message("samples.vertical_help"))
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=message("config.seed"))
    parser.add_argument("--workers", type=int, metavar="N", help=message("samples.workers"))


def run(arguments: Namespace) -> int:
    from manako.console import counter
    from manako.samples.text import write_text

    with counter("samples.bar") as progress:
        written = write_text(
            Path(arguments.out),
            language=arguments.language or language(),
            count=arguments.count,
            kind="pages" if arguments.pages else "digits" if arguments.digits else "lines",
            fonts=[Path(folder) for folder in arguments.fonts] if arguments.fonts else None,
            hold=arguments.hold_fonts,
            words=Path(arguments.words) if arguments.words else None,
            vertical=arguments.vertical,
            seed=arguments.seed,
            workers=arguments.workers or os.cpu_count() or 1,
            progress=progress,
        )
    if arguments.json:
        print_json(written.as_json())
    else:
        print(written.text())
    return 0
