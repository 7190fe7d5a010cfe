"""`manako demo`: the whole line on real images that come with Manako: check, train, evaluate, predict, export."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from manako.commands import print_json
from manako.console import say, write
from manako.messages import message


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="DIR", default="runs/demo", help=message("cli.demo_out"))
    parser.add_argument("--minutes", type=float, default=2.0, metavar="X", help=message("config.minutes"))
    parser.add_argument("--task", help=message("config.task"))


def _unseen(data: Path, run: Path, task: str) -> list[Path]:
    """The images of the test part."""
    from manako.formats import read_dataset
    from manako.run_folder import open_run_folder
    from manako.splits import read_split_csv

    splits = read_split_csv(open_run_folder(run).split)
    return [s.image for s in read_dataset(data, task=task).samples if splits.get(s.id) == "test"]


def run(arguments: Namespace) -> int:
    from manako.api import check, demo_data, export, predict, train

    folder, task = Path(arguments.out), arguments.task or "classification"
    data = demo_data(folder / "data", task=task)
    say("demo.check", data=data)
    write(check(data, task=task).text())
    say("demo.train", minutes=arguments.minutes)
    trained = train(data, task=task, minutes=arguments.minutes, out=folder / "run", verbose=True)
    write(trained.text())
    say("demo.predict", run=trained.folder, data=data / "test")
    predicted = predict(trained.folder, _unseen(data, trained.folder, task), out=folder / "predictions", draw=True)
    write(predicted.text())
    say("demo.export", run=trained.folder)
    exported = export(trained.folder)
    write(exported.text())
    if arguments.json:
        print_json({"train": trained.as_json(), "predict": predicted.as_json(), "export": exported.as_json()})
    say("demo.next", run=trained.folder, report=trained.folder / "report.html", model=exported.path, out=folder)
    return 0
