"""`manako train DATA`: learn from this folder. Its flags are the fields of `RunConfig`."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import yaml

from manako.commands import print_json
from manako.config import RunConfig
from manako.errors import ConfigError
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", nargs="?", help=message("config.data"))
    parser.add_argument("--out", metavar="RUN", help=message("cli.out_run"))
    parser.add_argument("--resume", metavar="RUN", help=message("cli.resume"))
    parser.add_argument("--config", metavar="FILE", help=message("cli.config"))
    for item in fields(RunConfig):
        if item.name == "data":
            continue
        flag = "--" + item.name.replace("_", "-")
        help_text = message(f"config.{item.name}")
        kind = item.metadata["kind"]
        if item.name == "options":
            parser.add_argument("--option", action="append", metavar="NAME=VALUE", help=help_text)
        elif kind is bool:
            parser.add_argument(flag, action=BooleanOptionalAction, default=None, help=help_text)
        else:
            parser.add_argument(flag, type=_reader(flag, kind), metavar=_metavar(item), help=help_text)


def run(arguments: Namespace) -> int:
    from manako.api import train

    base = RunConfig.read(Path(arguments.config)) if arguments.config else RunConfig()
    given = {f.name: getattr(arguments, f.name) for f in fields(RunConfig) if f.name != "options"}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if arguments.option:
        changes["options"] = {**base.options, **_options(arguments.option)}
    if ("epochs" in changes) != ("minutes" in changes):  # the one given replaces the file's other one
        changes.setdefault("minutes" if "epochs" in changes else "epochs", None)
    settings = {f.name: getattr(base, f.name) for f in fields(RunConfig)} | changes
    result = train(out=arguments.out, resume=arguments.resume, verbose=True, **settings)
    if arguments.json:
        print_json(result.as_json())
    else:
        print(result.text())
    return 1 if result.left_out else 0


def _metavar(item: Any) -> str:
    if item.metadata["choices"]:
        return "{" + ",".join(item.metadata["choices"]) + "}"
    names = {int: "N", float: "X", str: "VALUE"}
    return names[item.metadata["kind"]] if item.default is None or item.default is not MISSING else "VALUE"


def _reader(flag: str, kind: type) -> Any:
    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise ConfigError("config.type", field=flag, value=repr(text), kind=kind.__name__) from None

    return read


def _options(pairs: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError("cli.option_form", value=pair)
        found[name] = yaml.safe_load(value)
    return found
