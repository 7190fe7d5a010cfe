"""`manako evaluate RUN`: metrics with intervals, plots, worst mistakes."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.commands._reading import add_reading, reading_options
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN|MODEL.onnx", help=message("cli.model"))
    parser.add_argument("--data", metavar="DATA", help=message("cli.evaluate_data"))
    parser.add_argument("--split", choices=("train", "val", "test"), default="test", help=message("cli.split"))
    parser.add_argument("--out", metavar="DIR", help=message("cli.evaluate_out"))
    parser.add_argument("--max-pixels", type=int, default=64_000_000, metavar="N", help=message("config.max_pixels"))
    parser.add_argument("--device", default="auto", help=message("config.device"))
    add_reading(parser)


def run(arguments: Namespace) -> int:
    from manako.api import evaluate
    from manako.report import evaluation_text

    result = evaluate(
        arguments.model,
        data=arguments.data,
        split=arguments.split,
        out=arguments.out,
        device=arguments.device,
        max_pixels=arguments.max_pixels,
        **reading_options(arguments),
        verbose=True,
    )
    if arguments.json:
        print_json(result.as_json())
    else:
        print(evaluation_text(result))
    return 1 if result.skipped or result.left_out else 0
