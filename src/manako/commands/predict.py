"""`manako predict RUN|MODEL.onnx SOURCE...`: one JSON line an image, or labels in another format."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace

from manako.commands import count, print_json
from manako.commands._reading import add_reading, reading_options
from manako.console import write
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="RUN|MODEL.onnx", help=message("cli.model"))
    parser.add_argument("sources", metavar="SOURCE", nargs="+", help=message("cli.sources"))
    parser.add_argument("--out", metavar="DIR", help=message("cli.predict_out"))
    parser.add_argument("--format", default="json", metavar="F", help=message("cli.format"))
    parser.add_argument("--draw", action="store_true", help=message("cli.draw"))
    parser.add_argument("--batch", type=count, metavar="N", help=message("cli.predict_batch"))
    parser.add_argument("--max-pixels", type=count, metavar="N", help=message("cli.predict_max_pixels"))
    parser.add_argument("--device", default="auto", help=message("config.device"))
    parser.add_argument("--confidence", type=_share, metavar="X", help=message("cli.confidence"))
    parser.add_argument("--iou", type=_share, metavar="X", help=message("cli.iou"))
    parser.add_argument("--threshold", type=_share, metavar="X", help=message("cli.threshold"))
    large = parser.add_argument_group(message("cli.predict_large"))
    large.add_argument("--tile", type=_tile, metavar="N|auto", help=message("cli.tile"))
    large.add_argument("--overlap", type=int, metavar="N", help=message("cli.overlap"))
    video = parser.add_argument_group(message("cli.predict_video"))
    video.add_argument("--every", type=count, default=1, metavar="N", help=message("cli.every"))
    video.add_argument("--track", action="store_true", help=message("cli.track"))
    video.add_argument(
        "--count-line", action="append", default=[], metavar="X1,Y1,X2,Y2", help=message("cli.count_line")
    )
    video.add_argument("--count-zone", action="append", default=[], metavar="X1,Y1,...", help=message("cli.count_zone"))
    video.add_argument("--smooth", action="store_true", help=message("cli.smooth"))
    video.add_argument("--watch", metavar="WHAT", help=message("cli.watch"))
    video.add_argument("--closed", type=_share, default=0.2, metavar="RATIO", help=message("cli.closed"))
    video.add_argument("--alarm", type=_share, default=0.15, metavar="SHARE", help=message("cli.alarm"))
    regions = parser.add_argument_group(message("cli.predict_regions"))
    regions.add_argument("--scale", metavar="0.5um", help=message("cli.scale"))
    regions.add_argument("--outlines", action="store_true", help=message("cli.outlines"))
    add_reading(parser)
    depth = parser.add_argument_group(message("cli.predict_depth"))
    depth.add_argument("--clouds", nargs="?", const="assumed", metavar="FX,FY,CX,CY", help=message("cli.clouds"))
    depth.add_argument("--cut-outs", nargs="?", const="auto", metavar="METRES", help=message("cli.cut_outs"))


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
        confidence=arguments.confidence,
        iou=arguments.iou,
        threshold=arguments.threshold,
        tile=arguments.tile,
        overlap=arguments.overlap,
        every=arguments.every,
        track=arguments.track,
        count_lines=arguments.count_line,
        count_zones=arguments.count_zone,
        smooth=arguments.smooth,
        watch=arguments.watch,
        closed=arguments.closed,
        alarm=arguments.alarm,
        clouds=arguments.clouds,
        cut_outs=arguments.cut_outs,
        scale=arguments.scale,
        outlines=arguments.outlines,
        **reading_options(arguments),
        lines=not arguments.json,
        verbose=True,
    )
    if arguments.json:
        print_json(result.as_json())
    else:
        write(result.text())
    return 1 if result.failed else 0


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 1:
        raise ArgumentTypeError(message("cli.not_a_share", value=text))
    return value


def _tile(text: str) -> int | str:
    return text if text == "auto" else count(text)
