"""`manako export RUN`: a file that predicts without PyTorch."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", help=message("cli.run"))
    parser.add_argument("--to", choices=("onnx",), default="onnx", help=message("cli.to"))
    parser.add_argument("--out", metavar="FILE", help=message("cli.export_out"))
    parser.add_argument("--nms", action="store_true", help=message("cli.nms"))


def run(arguments: Namespace) -> int:
    from manako.api import export

    result = export(arguments.run, to=arguments.to, out=arguments.out, nms=arguments.nms, verbose=True)
    if arguments.json:
        print_json(result.as_json())
    else:
        print(result.text())
    return 0
