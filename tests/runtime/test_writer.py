"""Predictions on disk: whole or marked as partial, and never over a source."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runtime_helpers import NAMES, MeanEngine
from simple_engines import BlockEngine, Blocks, FilterEngine, Greys

from manako.errors import ImageError, StorageError, UsageError
from manako.formats import read_dataset
from manako.runtime import label_files
from manako.runtime.ahead import Picture
from manako.runtime.predictor import Predictor, Result
from manako.runtime.writer import root_of, write_results
from manako.types import Detections, Prediction, Segmentation, Skeleton

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


class Recorder:
    """A format's `Writer` that keeps what it is given."""

    def __init__(self, folder: Path, classes: Sequence[str], *, skeleton: Skeleton | None = None) -> None:
        self.folder, self.classes, self.skeleton = folder, classes, skeleton
        self.rows: list[str] = []

    def add(self, image: str, width: int, height: int, prediction: Prediction) -> None:
        assert isinstance(prediction, Detections)
        self.rows.append(f"{image} {width} {height} {prediction.score.tolist()}")

    def finish(self) -> Path:
        (self.folder / "labels.txt").write_text("\n".join(self.rows), "utf-8")
        return self.folder / "labels.txt"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_files, "written_by", lambda task: {"recorded": Recorder} if task == "detection" else {})


def some(folder: Path) -> Iterator[Result]:
    scores = np.array([0.9, 0.3], np.float32)
    found = Detections(np.array([[0, 0, 5, 5]] * 2, np.float32), np.zeros(2, np.int64), scores, confidence=0.5)
    picture = Picture(str(folder / "walk.mp4"), 17, 0.5, 25.0, Image.new("RGB", (9, 9)))
    sources = [folder / "a.png", folder / "deep" / "りんご.jpg", Path("/elsewhere/b.png"), picture]
    yield from (Result(source, "x", 30, 20, found) for source in sources)
    yield Result(folder / "c.png", "x", error=ImageError("image.empty", file="c.png"))


@pytest.mark.usefixtures("recorded")
def test_labels_for_other_programs(tmp_path: Path) -> None:
    predictor, stream = Predictor(BlockEngine(32, 32), Blocks()), io.StringIO()
    out, root = tmp_path / "out", tmp_path / "in"
    written = write_results(some(root), predictor, stream=stream, out=out, format="recorded", root=root)
    assert (written.done, written.failed, written.file) == (4, 1, out / "recorded" / "labels.txt")
    score = "30 20 [0.8999999761581421]"  # what is below the confidence isn't shown
    names = ["a.png", "deep/りんご.jpg", "elsewhere/b.png", "walk_000017.jpg"]
    assert written.file and written.file.read_text("utf-8").splitlines() == [f"{name} {score}" for name in names]
    assert stream.getvalue() == "" and [p.name for p in out.iterdir()] == ["recorded"]
    with pytest.raises(UsageError, match="recorded"):  # never over what is there
        write_results(some(root), predictor, out=out, format="recorded", root=root)

    def interrupted() -> Iterator[Result]:
        yield from list(some(root))[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_results(interrupted(), predictor, out=tmp_path / "cut", format="recorded", root=root)
    assert [p.name for p in (tmp_path / "cut").iterdir()] == ["recorded.partial"]


@pytest.mark.usefixtures("recorded")
def test_a_format_that_can_not_hold_the_task_is_refused(tmp_path: Path) -> None:
    predictor = Predictor(MeanEngine())
    with pytest.raises(UsageError, match="json, csv"):
        write_results([], predictor, out=tmp_path / "out", format="recorded")
    with pytest.raises(UsageError, match="--out"):
        write_results([], Predictor(BlockEngine(32, 32), Blocks()), format="recorded")
    assert not (tmp_path / "out").exists()


def test_masks_as_labels(tmp_path: Path) -> None:
    """With a real format: what was predicted is read back."""
    (tmp_path / "in").mkdir()
    Image.linear_gradient("L").save(tmp_path / "in" / "a.png")
    predictor = Predictor(FilterEngine(64, 64), Greys())
    results = list(predictor.predict([tmp_path / "in" / "a.png"]))
    written = write_results(results, predictor, out=tmp_path / "out", format="masks", root=tmp_path / "in")
    assert written.file and isinstance(results[0].prediction, Segmentation)
    with Image.open(written.file / "a.png") as mask:
        assert (np.asarray(mask) == results[0].prediction.class_id).all()


@pytest.mark.parametrize("format", ["coco", "yolo"])
def test_regions_as_labels_of_objects(format: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.radial_gradient("L").save(tmp_path / "in" / "a.png")
    predictor = Predictor(FilterEngine(64, 64), Greys())
    results = list(predictor.predict([tmp_path / "in" / "a.png"]))
    write_results(results, predictor, out=tmp_path / "out", format=format, root=tmp_path / "in")
    (tmp_path / "in").rename(tmp_path / "out" / format / "images")
    found = read_dataset(tmp_path / "out" / format, task="segmentation", format=format)
    truth, predicted = found.samples[0].truth, results[0].prediction
    assert isinstance(truth, Segmentation) and isinstance(predicted, Segmentation)
    assert found.classes == ("background", "no", "yes") and set(np.unique(predicted.class_id)) == {0, 1}
    assert (truth.class_id == predicted.class_id + 1).all()
