"""Predictions on disk: whole or marked as partial, and never over a source."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runtime_helpers import NAMES, MeanEngine

from manako.errors import StorageError, UsageError
from manako.runtime.predictor import Predictor, Result
from manako.runtime.writer import root_of, write_results

NAMES_OF_FILES = ["a.png", "b,\n'\"c.png", "りんご.png", "d.png"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for i, name in enumerate(NAMES_OF_FILES):
        path = folder / f"{i % 2}" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (300, 200), 25 * i).save(path)
    (folder / "1" / "d.png").write_bytes(b"broken")
    return folder


def sources_of(folder: Path) -> list[Path]:
    return [folder / f"{i % 2}" / name for i, name in enumerate(NAMES_OF_FILES)]


def test_lines_of_json(folder: Path, tmp_path: Path) -> None:
    predictor, stream, out = Predictor(MeanEngine()), io.StringIO(), tmp_path / "out"
    written = write_results(predictor.predict(sources_of(folder)), predictor, stream=stream, out=out)
    assert written.file and (written.done, written.failed, written.pictures) == (3, 1, None)
    text = written.file.read_text("utf-8")
    assert text == stream.getvalue() and "りんご" in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["image"] for line in lines] == [str(p) for p in sources_of(folder)]
    assert [line["predictions"][0]["class"] for line in lines[:3]] == list(NAMES[:3])
    assert lines[3]["error"].startswith("image.") and lines[3]["message"]
    assert [p.name for p in out.iterdir()] == ["predictions.jsonl"]


def test_a_table_survives_its_reader(folder: Path, tmp_path: Path) -> None:
    predictor = Predictor(MeanEngine())
    written = write_results(predictor.predict(sources_of(folder)), predictor, out=tmp_path, format="csv")
    assert written.file and written.file.read_bytes()[:3] == b"\xef\xbb\xbf"
    with written.file.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == [str(p) for p in sources_of(folder)]
    assert [row["class"] for row in rows] == [*NAMES[:3], ""] and rows[3]["error"].startswith("image.")
    assert [row["width"] for row in rows] == ["300"] * 3 + [""]


def test_pictures_keep_their_folders_and_leave_sources_alone(folder: Path, tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    predictor, out = Predictor(MeanEngine()), folder
    for _ in range(2):  # again, over the first time's pictures
        written = write_results(
            predictor.predict(sources_of(folder)), predictor, out=out, draw=True, root=root_of([folder])
        )
    assert written.pictures == folder / "pictures"
    drawn = sorted(str(p.relative_to(written.pictures)) for p in written.pictures.rglob("*.jpg"))
    assert drawn == sorted(["0/a.png.jpg", "0/りんご.png.jpg", "1/b,\n'\"c.png.jpg"])
    with Image.open(written.pictures / drawn[0]) as image:
        assert image.width == 300 and image.height > 200
        assert abs(np.asarray(image.convert("L"))[:190].astype(int) - 0).max() < 8
    assert {p: p.read_bytes() for p in before} == before
    memory = write_results(predictor.predict([Image.new("L", (9, 9))] * 2), predictor, out=tmp_path / "m", draw=True)
    assert memory.pictures and len(list(memory.pictures.iterdir())) == 2
    with pytest.raises(UsageError, match="never overwrites"):
        write_results(predictor.predict([written.pictures / drawn[0]]), predictor, out=out, draw=True)
    with pytest.raises(UsageError):
        write_results([], predictor, draw=True)


def test_interrupted_work_is_marked_and_kept(folder: Path, tmp_path: Path) -> None:
    predictor = Predictor(MeanEngine())

    def interrupted() -> Iterator[Result]:
        yield from predictor.predict(sources_of(folder)[:2])
        raise KeyboardInterrupt

    (tmp_path / "predictions.jsonl").write_text("the one before")
    with pytest.raises(KeyboardInterrupt):
        write_results(interrupted(), predictor, out=tmp_path)
    assert (tmp_path / "predictions.jsonl").read_text() == "the one before"
    assert len((tmp_path / "predictions.jsonl.partial").read_text("utf-8").splitlines()) == 2


def test_a_folder_that_can_not_be_written_is_our_error(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file"):
        write_results([], Predictor(MeanEngine()), out=tmp_path / "file" / "out")


def test_the_root_of_sources(folder: Path) -> None:
    assert root_of([folder]) == folder.resolve()
    assert root_of([folder / "0" / "a.png", folder / "1"]) == folder.resolve()
    assert root_of([str(folder / "*" / "*.png")]) == folder.resolve()
    assert root_of([]) is None
