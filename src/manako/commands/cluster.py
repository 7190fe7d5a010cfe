"""`manako cluster DATA`: sort a folder of unlabelled images by how they look."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.errors import ConfigError
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help=message("cli.cluster_data"))
    parser.add_argument("--clusters", default="auto", metavar="N", help=message("cli.clusters"))
    parser.add_argument(
        "--features", choices=("hog", "pixels", "backbone"), default="hog", help=message("cli.cluster_features")
    )
    parser.add_argument(
        "--method", choices=("k-means", "hierarchical"), default="k-means", help=message("cli.cluster_method")
    )
    parser.add_argument("--out", metavar="DIR", default="clusters", help=message("cli.cluster_out"))
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=message("config.seed"))


def run(arguments: Namespace) -> int:
    from manako.api import cluster

    found = cluster(
        arguments.data,
        out=arguments.out,
        clusters=_number(arguments.clusters),
        features=arguments.features,
        method=arguments.method,
        seed=arguments.seed,
        verbose=True,
    )
    if arguments.json:
        print_json(found.as_json())
    else:
        print(found.text())
    return 1 if found.skipped else 0


def _number(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal():
        raise ConfigError("config.type", field="--clusters", value=repr(text), kind="int")
    return int(text)
