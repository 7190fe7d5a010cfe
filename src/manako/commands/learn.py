"""`manako learn [TOPIC]`: an idea of the first course, computed and drawn."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace

from manako.commands import print_json
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help=message("cli.topic"))
    parser.add_argument("--out", metavar="DIR", default="lessons", help=message("cli.learn_out"))
    parser.add_argument("--format", choices=("png", "svg"), default="png", help=message("cli.figure_format"))
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=message("config.seed"))


def run(arguments: Namespace) -> int:
    # The course's arrays are small: on a busy machine several BLAS threads wait for each other, ten times slower.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from manako.learn.play import Played, TopicList, list_topics, play_topic

    shown: Played | TopicList
    if arguments.topic is None:
        shown = list_topics()
    else:
        shown = play_topic(arguments.topic, arguments.out, format=arguments.format, seed=arguments.seed)
    if arguments.json:
        print_json(shown.as_json())
    else:
        print(shown.text())
    return 0
