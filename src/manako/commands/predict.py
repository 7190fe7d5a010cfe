"""`manako predict RUN|MODEL.onnx SOURCE...`: one JSON line an image."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN|MODEL.onnx", help=message("cli.model"))
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help=message("cli.sources"))
    parser.add_argument("--out", metavar="DIR", help=message("cli.predict_out"))
    parser.add_argument("--format", choices=("json", "csv"), default="json", help=message("cli.format"))
    parser.add_argument("--draw", action="store_true", help=message("cli.draw"))
    parser.add_argument("--batch", type=int, default=16, metavar="N", help=message("cli.predict_batch"))
    parser.add_argument("--max-pixels", type=int, default=64_000_000, metavar="N", help=message("config.max_pixels"))
    parser.add_argument("--device", default="auto", help=message("config.device"))


def run(arguments: Namespace) -> int:
    from manako.api import predict

    result = predict(
        arguments.model,
        arguments.sources,
        out=arguments.out,
        format=arguments.format,
        draw=arguments.draw,
        batch=arguments.batch,
        max_pixels=arguments.max_pixels,
        device=arguments.device,
        lines=not arguments.json,
        verbose=True,
    )
    if arguments.json:
        print_json(result.as_json())
    return 1 if result.failed else 0
