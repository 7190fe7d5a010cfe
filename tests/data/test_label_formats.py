"""Labels of objects: the same objects whatever the format, every planted fault named, nothing opened outside."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_helpers import (
    CLASSES,
    EXPECTED,
    HEIGHT,
    WIDTH,
    WRITE,
    coco_of,
    codes,
    objects_of,
    read,
    voc_of,
    write_coco,
    write_pictures,
    write_voc,
    write_yolo,
)

from manako.errors import DataError, LabelError
from manako.formats import read_dataset, readers
from manako.formats._json import JsonMembers
from manako.types import IGNORE, Detections, Problem, Segmentation


@pytest.mark.parametrize("name", WRITE)
def test_a_clean_set_is_recognised_read_and_without_alarm(name: str, tmp_path: Path) -> None:
    data = read_dataset(WRITE[name](tmp_path), task="detection")
    assert data.format == name and objects_of(data) == EXPECTED and not codes(data)
    assert all(sample.id == sample.image.relative_to(tmp_path).as_posix() for sample in data.samples)
    if name in ("coco", "yolo"):
        assert data.classes == CLASSES
    notes = {problem.code: problem.facts for problem in data.problems}
    assert notes["labels.backgrounds"]["count"] == 1
    assert ("labels.holes_in_ids" in notes) == (name == "coco")


def test_three_formats_in_one_folder_are_one_data_set(tmp_path: Path) -> None:
    """The first of a stated order is taken, and said; `format` still chooses."""
    write_coco(tmp_path)
    write_yolo(tmp_path)
    write_voc(tmp_path / "voc")
    data = read_dataset(tmp_path)
    assert (data.format, data.task) == ("coco", "detection")
    assert data.problems[0].code == "data.chosen_format" and data.problems[0].facts["others"] == "voc, yolo"
    for name in ("coco", "yolo", "voc"):
        assert objects_of(read(tmp_path, name)) == EXPECTED


Change = Callable[[dict[str, Any]], None]


def changed_coco(root: Path, change: Change) -> Path:
    write_coco(root)
    content = coco_of("train")
    change(content)
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content, indent=1))
    return root


def box(*values: Any) -> Change:
    return lambda content: content["annotations"][1].update(bbox=list(values))


def add_object(**more: Any) -> Change:
    return lambda content: content["annotations"].append(content["annotations"][0] | {"id": 99} | more)


COCO_FAULTS: dict[str, tuple[Change, str, str]] = {
    "NaN": (box(float("nan"), 0, 5, 5), "labels.not_a_number", "annotations[1].bbox"),
    "infinite": (box(0, 0, float("inf"), 5), "labels.not_a_number", "annotations[1].bbox"),
    "text": (box("1", 2, 3, 4), "labels.not_a_number", "annotations[1].bbox"),
    "huge": (box(1, 2, 10**400, 4), "labels.not_a_number", "annotations[1].bbox"),
    "three numbers": (box(1, 2, 3), "labels.no_box", "annotations[1].bbox"),
    "no box": (lambda c: c["annotations"][1].pop("bbox"), "labels.no_box", "annotations[1].bbox"),
    "negative size": (box(50, 50, -20, 10), "labels.swapped", "annotations[1].bbox"),
    "no area": (box(5, 5, 0, 10), "labels.no_area", "annotations[1].bbox"),
    "outside": (box(WIDTH + 1, 5, 10, 10), "labels.outside", "annotations[1].bbox"),
    "partly outside": (box(-20, 5, 60, 10), "labels.cut", "annotations[1].bbox"),
    "fractions": (box(0.5, 0.5, 0.25, 0.25), "labels.fractions", "annotations[1].bbox"),
    "class": (add_object(category_id=4), "labels.unknown_class", "annotations[5].category_id"),
    "no class": (add_object(category_id=None), "labels.unknown_class", "annotations[5].category_id"),
    "image": (add_object(image_id=70), "labels.unknown_image", "annotations[5].image_id"),
    "twice": (add_object(), "labels.repeated", "annotations[5].bbox"),
    "object id twice": (add_object(id=1, bbox=[1, 1, 5, 5]), "labels.repeated_ids", ""),
    "no object": (lambda c: c["annotations"].append(7), "labels.no_entry", "annotations[5]"),
    "image id twice": (lambda c: c["images"].append(c["images"][0]), "labels.repeated_id", "images[2].id"),
    "image twice": (
        lambda c: c["images"].append(c["images"][0] | {"id": 50}),
        "labels.repeated_image",
        "images[2].file_name",
    ),
    "no image": (lambda c: c["images"].append({"id": 50}), "labels.no_entry", "images[2]"),
    "class id twice": (
        lambda c: c["categories"].append({"id": 3, "name": "x"}),
        "labels.repeated_id",
        "categories[3].id",
    ),
    "class twice": (
        lambda c: c["categories"].append({"id": 91, "name": "nut"}),
        "labels.repeated_class",
        "categories[3].name",
    ),
    "missing": (
        lambda c: c["images"].append({"id": 50, "file_name": "none.png"}),
        "table.missing",
        "images[2].file_name",
    ),
    "escape": (
        lambda c: c["images"].append({"id": 50, "file_name": "../../../outside.png"}),
        "table.escapes",
        "images[2].file_name",
    ),
}


@pytest.mark.parametrize("fault", COCO_FAULTS)
def test_each_fault_of_coco_is_named_with_its_place(fault: str, tmp_path: Path) -> None:
    change, code, field = COCO_FAULTS[fault]
    (tmp_path / "outside.png").write_bytes(b"x")
    root = changed_coco(tmp_path / "data", change)
    data = read(root, "coco")
    assert codes(data) == {code: 1}
    problem = next(problem for problem in data.problems if problem.code == code)
    assert problem.facts["file"] == root / "annotations" / "instances_train.json"
    assert not field or problem.facts["field"] == field
    if "line" in problem.facts and field.startswith("annotations["):
        text = Path(str(problem.facts["file"])).read_text().splitlines()
        assert text[int(str(problem.facts["line"])) - 1].strip() in ("{", "7")
    kept = {name: value for name, value in objects_of(data).items() if name != "a.png"}
    assert kept == {name: value for name, value in EXPECTED.items() if name != "a.png"}


YOLO_FAULTS = {
    "0 0.5 0.5 nan 0.2": "labels.not_a_number",
    "0 0.5 0.5 x 0.2": "labels.not_a_number",
    "0 50 40 20 20": "labels.pixels",
    "0 0.5 0.5 -0.2 0.2": "labels.swapped",
    "0 0.5 0.5 0 0.2": "labels.no_area",
    "0 1.5 0.5 0.2 0.2": "labels.outside",
    "0 0.95 0.5 0.4 0.2": "labels.cut",
    "3 0.5 0.5 0.2 0.2": "labels.unknown_class",
    "-1 0.5 0.5 0.2 0.2": "labels.unknown_class",
    "0.5 0.5 0.5 0.2 0.2": "labels.unknown_class",
    "0 0.5 0.5 0.2": "labels.columns",
    "0 0.5 0.5 0.2 0.2 0.9": "labels.columns",
    "0 0.25 0.5 0.3 0.5": "labels.repeated",
}


@pytest.mark.parametrize("line", YOLO_FAULTS)
def test_each_fault_of_yolo_is_named_with_its_line(line: str, tmp_path: Path) -> None:
    file = write_yolo(tmp_path) / "labels" / "train" / "a.txt"
    file.write_text(file.read_text() + "\n" + line + "\n")
    data = read(tmp_path, "yolo")
    assert codes(data) == {YOLO_FAULTS[line]: 1}
    facts = next(p.facts for p in data.problems if p.severity != "note")
    assert (facts["file"], facts["line"]) == (file, 4)


VOC_FAULTS = {
    ("<xmin>11</xmin>", "<xmin>x</xmin>"): "labels.not_a_number",
    ("<xmin>11</xmin>", "<xmin>nan</xmin>"): "labels.not_a_number",
    ("<xmin>11</xmin>", "<xmin>45</xmin>"): "labels.swapped",
    ("<xmin>11</xmin>", "<xmin>41</xmin>"): "labels.no_area",
    ("<xmax>100</xmax>", "<xmax>150</xmax>"): "labels.cut",
    ("<name>bolt</name>", "<name> </name>"): "labels.unknown_class",
    ("a.png", "none/../../../a.png"): "table.escapes",
    ("</annotation>", "</annotation"): "labels.malformed",
    ("<annotation>", '<!DOCTYPE a [<!ENTITY b "c">]><annotation>'): "labels.document_type",
    ("<annotation>", '<!DOCTYPE a SYSTEM "/etc/passwd"><annotation>'): "labels.document_type",
}


@pytest.mark.parametrize("change", VOC_FAULTS)
def test_each_fault_of_voc_is_named(change: tuple[str, str], tmp_path: Path) -> None:
    """A file that can't be read doesn't make its image a background."""
    file = write_voc(tmp_path) / "Annotations" / "a.xml"
    file.write_text(file.read_text().replace(*change))
    data = read(tmp_path, "voc")
    code = VOC_FAULTS[change]
    assert codes(data) == {code: 1}
    facts = next(p.facts for p in data.problems if p.severity != "note")
    assert facts["file"] == file and int(str(facts["line"])) >= 1
    if code in ("labels.malformed", "labels.document_type"):
        assert "a.png" not in objects_of(data)


def test_voc_counts_from_one_unless_a_box_begins_at_zero(tmp_path: Path) -> None:
    write_voc(tmp_path)
    file = tmp_path / "Annotations" / "c.xml"
    file.write_text(file.read_text().replace("<xmin>21<", "<xmin>0<"))
    data = read(tmp_path, "voc")
    assert objects_of(data)["c.png"][1] == [("nut", 0.0, 21.0, 30.0, 30.0)]
    assert "voc.from_zero" in {problem.code for problem in data.problems}


TABLE_FAULTS = {
    "images/train/a.png,bolt,1,nan,30,40": "labels.not_a_number",
    "images/train/a.png,bolt,1,x,30,40": "labels.not_a_number",
    "images/train/a.png,bolt,30,1,20,40": "labels.swapped",
    "images/train/a.png,bolt,0.1,0.1,0.5,0.5": "labels.fractions",
    "images/train/a.png,,1,2,30,40": "labels.unknown_class",
    "images/train/none.png,bolt,1,2,30,40": "table.missing",
    "../outside.png,bolt,1,2,30,40": "table.escapes",
    "/etc/passwd,bolt,1,2,30,40": "table.escapes",
}


@pytest.mark.parametrize("row", TABLE_FAULTS)
def test_each_fault_of_a_table_is_named_with_its_line(row: str, tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(b"x")
    root = WRITE["boxes_table"](tmp_path / "data")
    file = root / "labels.csv"
    count = len(file.read_text().splitlines())
    file.write_text(file.read_text() + row + "\n")
    data = read(root, "boxes_table")
    assert codes(data) == {TABLE_FAULTS[row]: 1}
    facts = next(p.facts for p in data.problems if p.severity != "note")
    assert (facts["file"], facts["line"]) == (file, count + 1)


HEADERS = (
    "image,x1,y1,x2,y2,label",
    "\ufeffFile Name;Left;Top;Right;Bottom;Category",
    "path\tx\ty\twidth\theight\tclass",
    "ファイル,左,上,右,下,ラベル",
    "filename,width,height,class,xmin,ymin,xmax,ymax",
    "",
)


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_tables_are_recognised(header: str, tmp_path: Path) -> None:
    write_pictures(tmp_path)
    mark = max(",;\t", key=header.count) if header else ","
    if "width" in header and "xmin" in header:
        row = f"images/train/a.png,{WIDTH},{HEIGHT},bolt,10,20,40,60"
    else:
        numbers = (10, 20, 30, 40) if "\twidth" in header else (10, 20, 40, 60)
        row = mark.join(["images/train/a.png", *map(str, numbers), "bolt"])
    (tmp_path / "boxes.csv").write_text(f"{header}\n{row}\n" if header else f"{row}\n")
    data = read_dataset(tmp_path / "boxes.csv", task="detection")
    assert objects_of(data) == {"a.png": ("train", [("bolt", 10.0, 20.0, 40.0, 60.0)])}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932"])
@pytest.mark.parametrize("name", WRITE)
def test_encodings_and_line_ends_of_all_formats(name: str, encoding: str, tmp_path: Path) -> None:
    WRITE[name](tmp_path)
    for file in tmp_path.rglob("*.*"):
        if file.suffix in (".json", ".txt", ".xml", ".csv", ".yaml"):
            text = file.read_text().replace("washer", "座金ワッシャー").replace("\n", "\r\n")
            file.write_bytes(text.encode(encoding))
    data = read(tmp_path, name)
    assert "座金ワッシャー" in data.classes
    assert Counter(len(objects) for _, objects in objects_of(data).values()) == {2: 1, 3: 1, 1: 1, 0: 1}


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ('{"images": [\n{"id": 1,\n}]}', 3),
        ('{"images": [1,\n2', 2),
        ('{"images": []}\n\n}', 3),
        ("[[" * 9999, 1),
        ("7", 1),
        ('{"annotations": [' + "9" * 5000 + "]}", 1),
        ('{"images" []}', 1),
        ("{7: 1}", 1),
    ],
)
def test_broken_json_is_named_with_its_line(content: str, line: int, tmp_path: Path) -> None:
    with pytest.raises(LabelError) as caught:
        list(JsonMembers(tmp_path / "x.json", content, ("images", "annotations")))
    assert caught.value.code == "labels.malformed" and caught.value.facts["line"] == line


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=4), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(["a", "b", "c", "é"]), JSON), st.sampled_from([None, 1, 3]))
def test_json_entry_by_entry_is_json(content: dict[str, Any], indent: int | None) -> None:
    text = json.dumps(content, indent=indent)
    found: dict[str, Any] = {key: [] for key in ("a", "b") if isinstance(content.get(key), list)}
    for key, index, value in JsonMembers(Path("x"), text, ("a", "b")):
        if index < 0:
            found[key] = value
        else:
            assert len(found[key]) == index
            found[key].append(value)
    assert found == content


@pytest.mark.parametrize("key", ["images", "categories"])
def test_coco_without_one_of_its_lists_says_which(key: str, tmp_path: Path) -> None:
    root = write_coco(tmp_path)
    content = coco_of("train")
    del content[key]
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    with pytest.raises(LabelError) as caught:
        read(root, "coco")
    assert caught.value.facts["file"] == root / "annotations" / "instances_train.json" and key in str(caught.value)


def test_order_of_lists_in_coco_does_not_matter(tmp_path: Path) -> None:
    write_coco(tmp_path)
    for part in ("train", "val", "test"):
        content = dict(reversed(coco_of(part).items()))
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    data = read(tmp_path, "coco")
    assert objects_of(data) == EXPECTED and not codes(data)


def test_a_folder_of_labels_and_a_label_file_lead_to_their_images(tmp_path: Path) -> None:
    write_coco(tmp_path)
    whole = read_dataset(tmp_path / "annotations")
    assert (whole.root, objects_of(whole)) == (tmp_path, EXPECTED)
    part = read_dataset(tmp_path / "annotations" / "instances_val.json")
    assert part.root == tmp_path and objects_of(part) == {"c.png": EXPECTED["c.png"]}


def test_sizes_come_from_the_labels_where_they_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """118,000 images aren't opened to read COCO's labels."""
    monkeypatch.setattr("manako.formats._objects.image_size", lambda *_: pytest.fail("an image was opened"))
    assert objects_of(read(write_coco(tmp_path), "coco")) == EXPECTED


@pytest.fixture
def opened() -> Iterator[list[str]]:
    names: list[str] = []
    active = True

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if active and event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            names.append(os.path.realpath(os.fsdecode(arguments[0])))

    sys.addaudithook(hook)
    yield names
    active = False


ESCAPES = ("../secret.png", "/etc/passwd", "..\\secret.png", "images/../../secret.png", "link.png", "C:\\secret.png")


@pytest.mark.parametrize("name", WRITE)
def test_nothing_outside_is_opened(name: str, tmp_path: Path, opened: list[str]) -> None:
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "secret.json").write_text(json.dumps(coco_of("train")))
    root = WRITE[name](tmp_path / "data")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked.json").symlink_to(tmp_path / "secret.json")
    if name == "coco":
        content = coco_of("train")
        content["images"] += [{"id": 100 + i, "file_name": escape} for i, escape in enumerate(ESCAPES)]
        (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    elif name == "yolo":
        (root / "list.txt").write_text("\n".join([*ESCAPES, "images/train/a.png", "images/train/b.png"]))
        config = (root / "data.yaml").read_text().replace("train: images/train", "train: list.txt")
        (root / "data.yaml").write_text(config.replace("/somewhere/else", "../.."))
    elif name == "voc":
        for number, escape in enumerate(ESCAPES):
            (root / "Annotations" / f"x{number}.xml").write_text(voc_of(escape, [(0, 1, 1, 5, 5)]))
    else:
        with (root / "labels.csv").open("a") as file:
            file.writelines(f"{escape},bolt,1,1,5,5\n" for escape in ESCAPES)
    opened.clear()
    data = read(root, name)
    assert {k: v for k, v in objects_of(data).items() if k in EXPECTED} == EXPECTED
    assert set(codes(data)) <= {"table.escapes", "table.missing", "folders.links"}
    assert codes(data)["table.escapes"] + codes(data)["table.missing"] == len(ESCAPES)
    inside = os.path.realpath(root)
    outside = {file for file in opened if file.startswith(os.path.realpath(tmp_path)) and not file.startswith(inside)}
    assert not outside and "/etc/passwd" not in opened


def test_outlines_and_crowds_of_coco_become_instances_and_maps(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        triangle = [10, 20, 40, 20, 10, 60]
        content["annotations"][0]["segmentation"] = [triangle]
        runs = [0, 5, HEIGHT * WIDTH - 5]
        content["annotations"][1] |= {"segmentation": {"counts": runs, "size": [HEIGHT, WIDTH]}, "iscrowd": 1}
        content["annotations"][2]["segmentation"] = [[1, 2, 3, 4]]
        content["annotations"][3]["segmentation"] = {"counts": "0123", "size": [HEIGHT, WIDTH]}

    root = changed_coco(tmp_path, change)
    data = read(root, "coco", task="instances")
    assert codes(data) == {"labels.outline": 2, "labels.without_outline": 1}
    first = next(sample for sample in data.samples if sample.image.name == "a.png").target
    assert isinstance(first, Detections) and first.outlines is not None and first.crowd is not None
    assert first.crowd.tolist() == [False, True]
    assert first.outlines[0] is not None and first.outlines[0].polygons[0].tolist() == [[10, 20], [40, 20], [10, 60]]
    painted = read(root, "coco", task="segmentation")
    assert painted.classes == ("background", *CLASSES)
    truth = next(sample for sample in painted.samples if sample.image.name == "a.png").truth
    assert isinstance(truth, Segmentation) and truth.class_id.shape == (HEIGHT, WIDTH)
    assert truth.class_id[25, 15] == 1 and truth.class_id[2, 0] == IGNORE and truth.class_id[70, 70] == 0
    assert abs((truth.class_id == 1).sum() - 600) < 40


@pytest.mark.parametrize("task", ["instances", "segmentation"])
def test_boxes_alone_are_no_outlines(task: str, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="boxes only"):
        read(write_coco(tmp_path), "coco", task=task)


def test_polygons_of_yolo(tmp_path: Path) -> None:
    file = write_yolo(tmp_path) / "labels" / "train" / "a.txt"
    file.write_text("1 0.1 0.25 0.4 0.25 0.4 0.75\n")
    data = read(tmp_path, "yolo", task="instances")
    target = next(sample.target for sample in data.samples if sample.image.name == "a.png")
    assert isinstance(target, Detections) and target.outlines is not None and target.outlines[0] is not None
    assert np.allclose(target.outlines[0].polygons[0], [[10, 20], [40, 20], [40, 60]])
    assert np.allclose(target.xyxy, [[10, 20, 40, 60]])


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        (
            "train: ../train/images\nval: ../valid/images\nnames: [bolt, nut, washer]",
            {"a.png": "train", "c.png": "val"},
        ),
        ("path: ../datasets\ntrain: /home/me/train/images\nval: valid/images\nnames: [a, b, c]", {"a.png": "train"}),
    ],
)
def test_yaml_files_from_other_machines(config: str, parts: dict[str, str], tmp_path: Path) -> None:
    for part, folder in (("train", "train"), ("val", "valid")):
        write_yolo(tmp_path / "one")
        for kind in ("images", "labels"):
            target = tmp_path / "data" / folder / kind
            target.parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "one" / kind / part).rename(target)
        shutil.rmtree(tmp_path / "one")
    (tmp_path / "data" / "data.yaml").write_text(config)
    data = read_dataset(tmp_path / "data" / "data.yaml")
    assert data.format == "yolo" and len(data.samples) == 3
    found = {sample.image.name: sample.split for sample in data.samples}
    assert {name: found[name] for name in parts} == parts


def test_one_folder_for_all_parts_of_yolo_is_split_anew(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").rename(tmp_path / kind / "all")
    (tmp_path / "data.yaml").write_text("train: images/all\nval: images/all\nnames: [bolt, nut, washer]\n")
    data = read(tmp_path, "yolo")
    assert [problem.code for problem in data.problems if problem.severity != "note"] == []
    assert [problem.facts["count"] for problem in data.problems if problem.code == "labels.one_part"] == [2]
    assert [sample.split for sample in data.samples] == [None, None]


@pytest.mark.parametrize(
    "text",
    ["names: [a, a]\ntrain: x", "names: {0: a\ntrain: x", "train: x\nnames: 7", "!!python/object:os.system\nnames: x"],
)
def test_bad_yaml_is_refused_with_its_file(text: str, tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(LabelError) as caught:
        read(tmp_path, "yolo")
    assert caught.value.facts["file"] == tmp_path / "data.yaml"


def test_a_label_file_without_an_image_and_an_image_without_one(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels" / "train" / "lost.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "labels" / "val" / "c.txt").unlink()
    data = read(tmp_path, "yolo")
    assert codes(data) == {"labels.no_image": 1}
    assert objects_of(data)["c.png"] == ("val", [])
    assert next(p.facts["count"] for p in data.problems if p.code == "labels.backgrounds") == 2


def test_many_faults_are_counted_not_listed(tmp_path: Path) -> None:
    root = changed_coco(
        tmp_path, lambda c: c["annotations"].extend([c["annotations"][0] | {"bbox": [1, 1, 0, 0]}] * 1030)
    )
    problems = read(root, "coco").problems
    assert sum(p.code == "labels.no_area" for p in problems) == 1000
    more = next(p for p in problems if p.code == "table.more")
    assert (more.facts["kind"], more.facts["count"]) == ("labels.no_area", 30)


def test_faults_that_can_be_meant_in_one_way_only_are_repaired_when_asked(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["annotations"][0]["bbox"] = [40, 60, -30, -40]
        content["annotations"][1]["bbox"] = [0.5, 0.0, 0.5, 0.375]

    root = changed_coco(tmp_path / "coco", change)
    assert codes(read(root, "coco")) == {"labels.swapped": 1, "labels.fractions": 1}
    reader: Any = readers()["coco"]
    assert objects_of(reader.read(root, task="detection", group_by=None, repair=True)) == EXPECTED
    file = write_yolo(tmp_path / "yolo") / "labels" / "val" / "c.txt"
    file.write_text("1 25 25 10 10\n")
    assert codes(read(tmp_path / "yolo", "yolo")) == {"labels.pixels": 1}
    reader = readers()["yolo"]
    assert objects_of(reader.read(tmp_path / "yolo", task="detection", group_by=None, repair=True)) == EXPECTED


FAULT = st.sampled_from(
    [
        ("labels.not_a_number", (float("nan"), 1.0, 2.0, 3.0)),
        ("labels.swapped", (30.0, 10.0, -12.0, 5.0)),
        ("labels.no_area", (30.0, 10.0, 0.0, 5.0)),
        ("labels.outside", (-30.0, 10.0, 20.0, 5.0)),
        ("labels.cut", (90.0, 10.0, 30.0, 5.0)),
        ("labels.fractions", (0.25, 0.25, 0.5, 0.5)),
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(FAULT, max_size=6), st.integers(0, 2**31))
def test_every_planted_fault_is_named_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, faults: list[Any], seed: int
) -> None:
    root = tmp_path_factory.mktemp("faults")
    random = np.random.default_rng(seed)
    content = coco_of("train")
    clean = [
        a | {"bbox": [int(v) for v in (*random.integers(0, 40, 2), *random.integers(2, 40, 2))]}
        for a in content["annotations"]
    ]
    planted = [content["annotations"][0] | {"bbox": [b[0] + i / 1024, *b[1:]]} for i, (_, b) in enumerate(faults)]
    entries = [*clean, *planted]
    random.shuffle(entries)
    content["annotations"] = [entry | {"id": i} for i, entry in enumerate(entries)]
    write_pictures(root)
    (root / "instances_train.json").write_text(json.dumps(content))
    assert codes(read(root, "coco")) == Counter(code for code, _ in faults)


def test_problems_say_what_was_done() -> None:
    """Each message of a row names file, line and field."""
    from manako.messages import catalogue

    for language in ("en", "ja"):
        for code in (
            "not_a_number",
            "no_box",
            "outline",
            "fractions",
            "pixels",
            "swapped",
            "no_area",
            "outside",
            "cut",
        ):
            assert re.match(r"\{file\}:\{line\}: \{field\}: .*\{value\}", catalogue(language)[f"labels.{code}"])


def test_a_problem_is_readable(tmp_path: Path) -> None:
    from manako.messages import message

    data = read(changed_coco(tmp_path, box(50, 50, -20, 10)), "coco")
    problem: Problem = next(p for p in data.problems if p.code == "labels.swapped")
    assert "50, 50, 30, 60" in message(problem.code, **problem.facts)
    with pytest.raises(DataError):
        read_dataset(tmp_path / "annotations" / "none.json")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("name", ["coco", "voc", "boxes_table"])
def test_names_are_found_in_both_forms_of_accents(name: str, form: Any, tmp_path: Path) -> None:
    WRITE[name](tmp_path)
    other = "NFD" if form == "NFC" else "NFC"
    picture = next(tmp_path.rglob("a.png"))
    picture.rename(picture.with_name(unicodedata.normalize(form, "がé.png")))
    for file in tmp_path.rglob("*.*"):
        if file.suffix in (".json", ".xml", ".csv"):
            file.write_text(file.read_text().replace("a.png", unicodedata.normalize(other, "がé.png")), "utf-8")
    data = read(tmp_path, name)
    assert not codes(data) and len(data.samples) == 4


@pytest.mark.parametrize("name", WRITE)
def test_long_lines_and_nul_are_read_or_named(name: str, tmp_path: Path) -> None:
    root = WRITE[name](tmp_path)
    file = {
        "coco": root / "annotations" / "instances_val.json",
        "yolo": root / "labels" / "val" / "c.txt",
        "voc": root / "Annotations" / "c.xml",
        "boxes_table": root / "labels.csv",
    }[name]
    text = file.read_text()
    file.write_text(text.replace("\n", " " * 100_000 + "\n", 1))
    assert objects_of(read(root, name)) == EXPECTED
    file.write_text(text + "\0")
    try:
        found = read(root, name)
    except LabelError as error:
        assert (error.code, error.facts["file"]) == ("table.nul", file)
    else:
        assert codes(found) == {"table.nul": 1} and len(found.samples) == 3


def test_labels_of_images_that_are_not_there_say_so(tmp_path: Path) -> None:
    write_coco(tmp_path)
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(LabelError) as caught:
        read(tmp_path, "coco")
    assert caught.value.code == "table.missing" and caught.value.facts["value"] == "d.png"


def test_a_set_of_faults_only_says_that_nothing_is_left(tmp_path: Path) -> None:
    """Boxes as fractions of the image in a format of pixels, such as Open Images has."""
    write_pictures(tmp_path)
    rows = [f"images/train/{name}.png,nut,{x},{x},1,1" for name in "ab" for x in (0, 0.5)]
    (tmp_path / "boxes.csv").write_text("\n".join(["path,label,xmin,ymin,xmax,ymax", *rows]))
    data = read(tmp_path, "boxes_table")
    assert codes(data) == {"labels.fractions": 4, "labels.nothing_left": 1}
    reader: Any = readers()["boxes_table"]
    repaired = objects_of(reader.read(tmp_path, task="detection", group_by=None, repair=True))
    assert repaired["a.png"][1] == [("nut", 0.0, 0.0, WIDTH, HEIGHT), ("nut", WIDTH / 2, HEIGHT / 2, WIDTH, HEIGHT)]


def test_archives_and_other_files_are_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data")
    archive = shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path / "data")
    for path, code in ((Path(archive), "data.unrecognised_file"), (tmp_path / "data", "data.no_labels")):
        with pytest.raises(DataError) as caught:
            read_dataset(path, task="detection")
        assert caught.value.code == code


def test_sizes_that_labels_state_don_t_take_memory(tmp_path: Path) -> None:
    """A million by a million pixels, stated by a label file of a hundred bytes."""

    def change(content: dict[str, Any]) -> None:
        for image in content["images"]:
            image |= {"height": 10**6, "width": 10**6}
        runs = {"counts": [0, 10**12], "size": [10**6, 10**6]}
        content["annotations"][0] |= {"segmentation": runs, "bbox": None}
        content["annotations"][1] |= {"segmentation": [[50, 0, 100, 0, 100, 30]]}

    data = read(changed_coco(tmp_path, change), "coco", task="segmentation")
    assert codes(data)["labels.outline"] == 1
    for sample in data.samples:
        truth = sample.truth
        assert isinstance(truth, Segmentation) and truth.class_id.shape == (HEIGHT, WIDTH)


def test_maps_have_the_size_of_the_image_whatever_the_labels_say(tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["images"][0] |= {"height": HEIGHT - 1}
        content["annotations"][1] |= {"segmentation": [[50, 0, 100, 0, 100, 30]]}

    data = read(changed_coco(tmp_path, change), "coco", task="segmentation")
    assert codes(data)["labels.other_size"] == 1
    assert all(isinstance(s.truth, Segmentation) and s.truth.class_id.shape == (HEIGHT, WIDTH) for s in data.samples)
