"""`manako models`: what can be trained."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--task", help=message("config.task"))


def run(arguments: Namespace) -> int:
    from manako.api import models

    entries = models(arguments.task)
    if arguments.json:
        print_json({"models": [asdict(entry) for entry in entries]})
        return 0
    width = max(len(entry.name) for entry in entries) + 2
    for family in dict.fromkeys(entry.family for entry in entries):
        members = [entry for entry in entries if entry.family == family]
        print(f"\n{members[0].summary}  [{', '.join(members[0].tasks)}]")
        for entry in members:
            options = ", ".join(f"{name}={value}" for name, value in entry.options.items())
            name = f"{entry.name}NAME" if entry.name.endswith(":") else entry.name
            ready = f"[{message('cli.ready')}]  " if entry.ready else ""
            print(f"  {name:<{width}}{ready}{options}")
    return 0
