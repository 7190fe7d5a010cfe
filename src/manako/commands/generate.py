"""`manako generate RUN|MODEL.onnx`: images that were never there."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import count, print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN|MODEL.onnx", help=message("cli.model"))
    parser.add_argument("--count", type=count, default=64, metavar="N", help=message("cli.generate_count"))
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help=message("config.seed"))
    parser.add_argument("--class", dest="class_name", metavar="NAME", help=message("cli.generate_class"))
    parser.add_argument("--out", default="generated", metavar="DIR", help=message("cli.generate_out"))
    parser.add_argument("--interpolate", action="store_true", help=message("cli.interpolate"))
    parser.add_argument("--device", default="auto", help=message("config.device"))


def run(arguments: Namespace) -> int:
    from manako.api import generate

    result = generate(
        arguments.model,
        count=arguments.count,
        seed=arguments.seed,
        class_name=arguments.class_name,
        out=arguments.out,
        interpolate=arguments.interpolate,
        device=arguments.device,
        verbose=True,
    )
    if arguments.json:
        print_json(result.as_json())
    else:
        print(result.text())
    return 0


def _seed(text: str) -> int:
    return 0 if text.strip("0") == "" and text else count(text)
