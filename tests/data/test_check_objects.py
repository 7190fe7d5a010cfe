"""`manako check` on objects: what is there, what is odd, and a cleaned copy that never touches the original."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from label_helpers import EXPECTED, WRITE, coco_of, codes, objects_of, read, write_coco, write_yolo
from PIL import Image

from manako.api import train
from manako.doctor.data import check, fingerprint
from manako.errors import DataError, UsageError
from manako.formats import read_dataset
from manako.tasks import get_task


def snapshot(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_objects_are_counted(tmp_path: Path) -> None:
    report = check(write_coco(tmp_path))
    facts = report.objects
    assert facts is not None and report.usable and report.task == "detection"
    assert facts.counts == {"bolt": {"train": 2}, "nut": {"train": 1, "val": 1}, "washer": {"train": 2}}
    assert (facts.total, facts.empty_images, facts.an_image, facts.sizes) == (6, 1, (2, 3), (3, 3, 0))
    shown = report.as_json()["objects"]
    assert isinstance(shown, dict) and shown["sizes"] == {"small": 3, "medium": 3, "large": 0}
    found = {problem.code for problem in report.problems if problem.severity != "note"}
    assert found == {"check.few_objects"}
    assert "6 objects" in report.text() or "6 個" in report.text()


def test_without_any_object_there_is_nothing_to_learn(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    for part in ("train", "val"):
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(coco_of(part) | {"annotations": []}))
    report = check(root)
    assert not report.usable and report.problems[0].code == "check.no_objects"
    assert "bolt" in report.text()
    with pytest.raises(DataError) as caught:
        train(root, task="detection", out=tmp_path / "run")
    assert caught.value.code == "train.no_objects" and not (tmp_path / "run").exists()


def changed(root: Path, **entry: Any) -> Path:
    content = coco_of("train")
    content["annotations"][1] |= entry
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    return root


def test_boxes_made_for_another_size_are_found(tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    picture = root / "images" / "train" / "a.png"
    Image.open(picture).resize((50, 40)).save(picture)
    problems = {problem.code: problem for problem in check(root).problems}
    facts = problems["check.box_beyond_file"].facts
    assert (facts["width"], facts["height"], facts["right"], facts["bottom"]) == (50, 40, 100, 60)


def test_outlines_that_cross_and_tiny_objects_are_found(tmp_path: Path) -> None:
    content = coco_of("train")
    for entry in content["annotations"]:
        entry |= {"segmentation": [[10, 10, 30, 30, 30, 10, 10, 30]], "bbox": [10 + entry["id"], 10, 5, 5]}
    root = write_coco(tmp_path)
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    assert "check.crossing_outlines" in {problem.code for problem in check(root, task="segmentation").problems}
    problems = {problem.code: problem for problem in check(root, task="instances").problems}
    assert problems["check.crossing_outlines"].facts["count"] == 5
    assert problems["check.tiny_objects"].facts["percent"] == 83


@pytest.mark.parametrize("points", [[5, 5] * 3, [5, 5, 9, 9, 5, 5, 9, 9], [1, 2, 3, 4]])
@pytest.mark.parametrize("task", ["instances", "segmentation"])
def test_an_outline_of_fewer_than_three_different_points_is_named(points: list[int], task: str, tmp_path: Path) -> None:
    content = coco_of("train")
    for entry in content["annotations"]:
        entry["segmentation"] = [[10, 10, 30, 10, 30, 30]]
    content["annotations"][2]["segmentation"] = [points]
    root = write_coco(tmp_path)
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    named = [problem for problem in check(root, task=task).problems if problem.code == "labels.outline"]
    assert [p.facts["field"] for p in named] == ["annotations[2].segmentation"] and "points" in str(named[0].facts)


@pytest.mark.parametrize("name", ["coco", "yolo", "voc", "boxes_table"])
def test_the_cleaned_copy_is_repaired_in_its_own_format(name: str, tmp_path: Path) -> None:
    root = WRITE[name](tmp_path / "data")
    expected = objects_of(read_dataset(root, task="detection", format=name))
    if name == "coco":
        changed(root, bbox=[100, 30, -50, -30])
    elif name == "yolo":
        file = root / "labels" / "train" / "a.txt"
        file.write_text("0 25 40 30 40\n" + file.read_text().splitlines()[1] + "\n3 0.5 0.5 0.1 0.1\n")
    elif name == "voc":
        file = root / "Annotations" / "a.xml"
        file.write_text(
            file.read_text().replace("<xmin>11</xmin>", "<xmin>41</xmin>").replace("<xmax>40</xmax>", "<xmax>10</xmax>")
        )
        expected["a.png"][1][0] = ("bolt", 10.0, 20.0, 40.0, 60.0)
    else:
        file = root / "labels.csv"
        file.write_text(file.read_text().replace("bolt,10,20,40,60", "bolt,40,60,10,20"))
    (root / next(p for p in root.rglob("b.png")).relative_to(root)).write_bytes(b"not an image")
    before = snapshot(root)
    report = check(root, format=name, fix=tmp_path / "clean")
    assert report.written == tmp_path / "clean" and snapshot(root) == before
    cleaned = read(tmp_path / "clean", name)
    assert objects_of(cleaned) == {key: value for key, value in expected.items() if key != "b.png"}
    assert not codes(cleaned)
    assert "b.png" in (tmp_path / "clean" / "removed.csv").read_text()


@pytest.mark.parametrize("name", ["segmentation", "depth", "pose"])
def test_the_cleaned_copy_keeps_labels_that_lie_beside_the_images(name: str, tmp_path: Path) -> None:
    source = get_task(name).synthetic(tmp_path / "data", seed=1, count=4)
    (source.samples[1].image).write_bytes(b"broken")
    check(source.root, task=name, fix=tmp_path / "clean")
    copy = read_dataset(tmp_path / "clean", task=name)
    before = {sample.image.name: sample for sample in source.samples}
    assert {sample.image.name for sample in copy.samples} == before.keys() - {source.samples[1].image.name}
    for sample in copy.samples:
        assert get_task(name).of(copy.skeleton).same(sample.truth, before[sample.image.name].truth)


def test_what_can_t_be_written_is_not_cleaned(tmp_path: Path) -> None:
    source = get_task("anomaly").synthetic(tmp_path / "data", seed=1, count=12)
    with pytest.raises(UsageError) as caught:
        check(source.root, task="anomaly", fix=tmp_path / "clean")
    assert caught.value.code == "check.fix_format" and not (tmp_path / "clean").exists()


def test_the_fingerprint_changes_with_a_box(tmp_path: Path) -> None:
    first = read_dataset(write_yolo(tmp_path))
    again = read_dataset(tmp_path)
    assert fingerprint(first) == fingerprint(again)
    file = tmp_path / "labels" / "train" / "a.txt"
    file.write_text(file.read_text().replace("0.25", "0.26"))
    assert fingerprint(read_dataset(tmp_path)) != fingerprint(first)
    assert fingerprint(replace(first, samples=first.samples[1:])) != fingerprint(first)
    assert objects_of(first) == EXPECTED
