"""`manako check DATA`: what is in this folder, and what is wrong with it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=message("config.data"))
    parser.add_argument("--task", help=message("config.task"))
    parser.add_argument("--format", metavar="FORMAT", help=message("convert.from"))
    parser.add_argument("--group-by", metavar="COLUMN", help=message("config.group_by"))
    parser.add_argument("--max-pixels", type=int, default=64_000_000, metavar="N", help=message("config.max_pixels"))
    parser.add_argument("--fix", metavar="OUT", help=message("cli.fix"))


def run(arguments: Namespace) -> int:
    from manako.api import check

    report = check(
        arguments.data,
        task=arguments.task,
        format=arguments.format,
        group_by=arguments.group_by,
        max_pixels=arguments.max_pixels,
        fix=arguments.fix,
        verbose=True,
    )
    if arguments.json:
        print_json(report.as_json())
    else:
        print(report.text())
    return 0 if report.usable else 3
