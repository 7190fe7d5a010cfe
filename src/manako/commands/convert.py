"""`manako convert IN OUT --to FORMAT`: the same labels in another format."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="IN", help=message("config.data"))
    parser.add_argument("out", metavar="OUT", help=message("convert.out"))
    parser.add_argument("--to", required=True, metavar="FORMAT", help=message("convert.to"))
    parser.add_argument("--task", help=message("config.task"))
    parser.add_argument("--from", dest="format", metavar="FORMAT", help=message("convert.from"))
    parser.add_argument("--link", action="store_true", help=message("convert.link"))


def run(arguments: Namespace) -> int:
    from manako.api import convert

    result = convert(
        arguments.data,
        arguments.out,
        to=arguments.to,
        task=arguments.task,
        format=arguments.format,
        link=arguments.link,
        verbose=True,
    )
    if arguments.json:
        print_json(result.as_json())
    else:
        print(result.text())
    return 0 if result.complete else 1
