"""LabelMe, CVAT and Label Studio: their shapes, their names of images, their odd files."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_helpers import HEIGHT, WIDTH, codes, objects_of, write_pictures
from PIL import Image

from manako.errors import LabelError
from manako.formats import read_dataset
from manako.formats.label_studio import _brush
from manako.regions import mask_of
from manako.types import Detections, Outline


def outlines_of(data: Any, name: str) -> list[Outline | None]:
    target = next(sample.target for sample in data.samples if sample.image.name == name)
    assert isinstance(target, Detections) and target.outlines is not None
    return list(target.outlines)


def mask_text(mask: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


BLOB = np.array([[1, 1, 0], [0, 1, 1]], bool)


def write_labelme(root: Path, shapes: list[dict[str, Any]], **more: Any) -> Path:
    write_pictures(root)
    content = {"version": "5.4", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None}
    content |= {"imageHeight": HEIGHT, "imageWidth": WIDTH} | more
    (root / "images" / "train" / "a.json").write_text(json.dumps(content, indent=1))
    return root


SHAPES: list[dict[str, Any]] = [
    {"label": "nut", "shape_type": "rectangle", "points": [[40, 60], [10, 20]]},
    {"label": "bolt", "shape_type": "polygon", "points": [[1, 1], [9, 1], [9, 9]], "group_id": 1},
    {"label": "bolt", "shape_type": "polygon", "points": [[20, 1], [29, 1], [29, 9]], "group_id": 1},
    {"label": "nut", "shape_type": "circle", "points": [[50, 50], [53, 54]]},
    {"label": "nut", "shape_type": "mask", "points": [[70, 60], [72, 61]], "mask": mask_text(BLOB)},
    {"label": "nut", "shape_type": "point", "points": [[70, 60]]},
    {"label": "nut", "shape_type": "linestrip", "points": [[70, 60], [80, 60]]},
]


def test_shapes_of_labelme(tmp_path: Path) -> None:
    data = read_dataset(write_labelme(tmp_path, SHAPES), task="instances")
    assert data.format == "labelme" and not codes(data)
    part, objects = objects_of(data)["a.png"]
    assert part == "train" and objects_of(data)["b.png"] == ("train", [])
    assert objects == sorted(
        [
            ("nut", 10.0, 20.0, 40.0, 60.0),
            ("bolt", 1.0, 1.0, 29.0, 9.0),
            ("nut", 45.0, 45.0, 55.0, 55.0),
            ("nut", 70.0, 60.0, 73.0, 62.0),
        ]
    )
    outlines = outlines_of(data, "a.png")
    assert sorted(len(o.polygons) for o in outlines if o) == [0, 1, 1, 2]
    mask = mask_of(next(o for o in outlines if o and o.runs is not None), HEIGHT, WIDTH)
    assert np.array_equal(mask[60:62, 70:73], BLOB) and mask.sum() == BLOB.sum()
    passed = next(p.facts for p in data.problems if p.code == "labels.no_region")
    assert passed["count"] == 2


@pytest.mark.parametrize(
    ("shape", "code"),
    [
        ({"label": "nut", "points": [[1, 1], [2, 2]]}, "labels.outline"),
        ({"label": "nut", "points": "here"}, "labels.outline"),
        ({"label": "nut", "points": [[1, 1], [2, float("nan")], [3, 3]]}, "labels.outline"),
        ({"label": "", "points": [[1, 1], [9, 1], [9, 9]]}, "labels.unknown_class"),
        ({"label": "nut", "shape_type": "mask", "points": [[1, 1], [9, 9]], "mask": "no"}, "labels.outline"),
        ({"label": "nut", "shape_type": "mask", "points": [[99, 1], [9, 9]], "mask": mask_text(BLOB)}, ""),
        ({"label": "nut", "shape_type": "rectangle", "points": [[1, 1]]}, "labels.outline"),
        ({"label": "nut", "shape_type": "rectangle", "points": [[1, 1], [1, 9]]}, "labels.no_area"),
        ({"label": "nut", "points": [[90, 1], [130, 1], [130, 9]]}, "labels.cut"),
    ],
)
def test_bad_shapes_of_labelme_are_named(shape: dict[str, Any], code: str, tmp_path: Path) -> None:
    data = read_dataset(write_labelme(tmp_path, [SHAPES[0], shape]), task="detection")
    assert codes(data) == ({code: 1} if code else {})
    if code:
        facts = next(p.facts for p in data.problems if p.code == code)
        assert facts["file"] == tmp_path / "images" / "train" / "a.json" and "[1]" in str(facts["field"])


@pytest.mark.parametrize("name", ["C:\\Users\\me\\a.png", "/home/me/a.png", "renamed.png", "../train/a.png"])
def test_labelme_files_from_other_machines_find_their_image(name: str, tmp_path: Path) -> None:
    data = read_dataset(write_labelme(tmp_path, SHAPES[:1], imagePath=name), task="detection")
    assert objects_of(data)["a.png"][1] and not codes(data)


def test_a_broken_labelme_file_is_named_and_its_image_left_out(tmp_path: Path) -> None:
    write_labelme(tmp_path, SHAPES)
    (tmp_path / "images" / "train" / "b.json").write_text('{"shapes": [\n{"label"')
    data = read_dataset(tmp_path, task="detection")
    assert codes(data) == {"labels.malformed": 1} and "b.png" not in objects_of(data)
    assert next(p.facts["line"] for p in data.problems if p.code == "labels.malformed") == 2


CVAT = f"""<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><labels><label><name>nut</name></label><label><name>bolt</name></label></labels></task></meta>
  <image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}" subset="val">
    <box label="bolt" occluded="0" xtl="10.50" ytl="20.00" xbr="40.00" ybr="60.25" z_order="0"></box>
    <box label="nut" xtl="40" ytl="30" xbr="60" ybr="40" rotation="90"></box>
    <polygon label="nut" points="1.0,1.0;9.0,1.0;9.0,9.0"></polygon>
    <ellipse label="nut" cx="50" cy="60" rx="5" ry="3"></ellipse>
    <mask label="nut" rle="0, 2, 2, 2" left="70" top="60" width="3" height="2"></mask>
    <points label="nut" points="1.0,1.0"></points>
  </image>
  <image id="1" name="b.png" width="{WIDTH}" height="{HEIGHT}"></image>
</annotations>
"""


def test_shapes_of_cvat(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "annotations.xml").write_text(CVAT)
    data = read_dataset(tmp_path, task="instances")
    assert data.format == "cvat" and data.classes == ("nut", "bolt")
    assert codes(data) == {"labels.without_outline": 1}
    assert objects_of(data)["a.png"] == (
        "val",
        sorted(
            [
                ("bolt", 10.5, 20.0, 40.0, 60.25),
                ("nut", 45.0, 25.0, 55.0, 45.0),
                ("nut", 1.0, 1.0, 9.0, 9.0),
                ("nut", 45.0, 57.0, 55.0, 63.0),
                ("nut", 70.0, 60.0, 73.0, 62.0),
            ]
        ),
    )
    runs = next(o for o in outlines_of(data, "a.png") if o and o.runs is not None)
    assert np.array_equal(mask_of(runs, HEIGHT, WIDTH)[60:62, 70:73], BLOB)


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('xtl="10.50"', 'xtl="ten"', "labels.not_a_number"),
        ('xbr="40.00"', 'xbr="5"', "labels.swapped"),
        ('xbr="60"', 'xbr="1e999"', "labels.not_a_number"),
        ('cx="50"', 'cx="nan"', "labels.outline"),
        ("1.0,1.0;9.0,1.0;9.0,9.0", "1.0,1.0;9.0,1.0", "labels.outline"),
        ("0, 2, 2, 2", "0, 2, 2, 3", "labels.outline"),
        ('name="b.png"', 'name="none.png"', "table.missing"),
        ('name="b.png"', 'name="../../../b.png"', "table.escapes"),
    ],
)
def test_faults_of_cvat_are_named_with_their_line(old: str, new: str, code: str, tmp_path: Path) -> None:
    write_pictures(tmp_path)
    (tmp_path / "annotations.xml").write_text(CVAT.replace(old, new))
    data = read_dataset(tmp_path, task="detection")
    assert codes(data) == {code: 1}
    line = next(p.facts["line"] for p in data.problems if p.code == code)
    assert line == 1 + CVAT[: CVAT.index(old)].count("\n")


def test_an_entity_bomb_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><annotations>&b;</annotations>'
    (tmp_path / "annotations.xml").write_text(bomb)
    with pytest.raises(LabelError) as caught:
        read_dataset(tmp_path / "annotations.xml", task="detection")
    assert caught.value.code == "labels.document_type" and caught.value.facts["line"] == 1


def pack(mask: np.ndarray) -> list[int]:
    """Label Studio's packed bytes, each value on its own: written from its description, apart from the reader."""
    values = np.repeat(mask.reshape(-1).astype(np.uint8) * 255, 4).tolist()
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    at = 0
    while at < len(values):
        run = 1
        while at + run < len(values) and values[at + run] == values[at] and run < 256:
            run += 1
        if run > 2:
            bits += "1" + "10" + f"{run - 1:08b}" + f"{values[at]:08b}"
        else:
            bits += "0" + "00" + f"{run - 1:03b}" + "".join(f"{v:08b}" for v in values[at : at + run])
        at += run
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_brushes_of_label_studio() -> None:
    mask = np.random.default_rng(0).random((9, 13)) < 0.4
    assert np.array_equal(_brush(pack(mask), 9, 13), mask)
    for codes_ in (pack(mask)[:-9], pack(mask)[:5], [], "x"):
        with pytest.raises(ValueError, match="brush"):
            _brush(codes_, 9, 13)
    with pytest.raises(ValueError, match="image"):
        _brush(pack(mask), 9, 14)


def mark(kind: str, value: dict[str, Any], label: str = "nut") -> dict[str, Any]:
    sizes = {"original_width": WIDTH, "original_height": HEIGHT}
    return {"type": kind, "value": value | {kind: [label]}, "from_name": "label", "to_name": "image"} | sizes


def export(image: str, *marks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": 1, "data": {"image": image}, "annotations": [{"result": list(marks), "was_cancelled": False} | more]}


def test_marks_of_label_studio(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    box = {"x": 10, "y": 25, "width": 30, "height": 50, "rotation": 0}
    tasks = [
        export(
            "/data/upload/1/0123abcd-a.png",
            mark("rectanglelabels", box),
            mark("polygonlabels", {"points": [[1, 1.25], [9, 1.25], [9, 11.25]]}, "bolt"),
            mark("ellipselabels", {"x": 50, "y": 50, "radiusX": 5, "radiusY": 5}),
            mark("rectanglelabels", {"x": 50, "y": 50, "width": 10, "height": 25, "rotation": 90}),
            {"type": "choices", "value": {"choices": ["good"]}},
        ),
        export("/data/local-files/?d=images%2Ftrain%2Fb.png"),
        export("s3://bucket/d.png", mark("rectanglelabels", box), was_cancelled=True),
    ]
    (tmp_path / "project-1.json").write_text(json.dumps(tasks))
    data = read_dataset(tmp_path, task="instances")
    assert data.format == "label_studio" and data.classes == ("bolt", "nut")
    found = objects_of(data)
    assert found["b.png"] == ("train", []) and "d.png" not in found
    assert found["a.png"] == (
        "train",
        sorted(
            [
                ("nut", 10.0, 20.0, 40.0, 60.0),
                ("bolt", 1.0, 1.0, 9.0, 9.0),
                ("nut", 45.0, 36.0, 55.0, 44.0),
                ("nut", 30.0, 40.0, 50.0, 50.0),
            ]
        ),
    )
    notes = {p.code: p.facts.get("count") for p in data.problems}
    assert notes["label_studio.waiting"] == 1 and notes["labels.no_region"] == 1


def test_the_short_form_of_label_studio(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    value = {"x": 10, "y": 25, "width": 30, "height": 50, "rotation": 0, "rectanglelabels": ["nut"]}
    sizes = {"original_width": WIDTH, "original_height": HEIGHT}
    task = {"image": "/data/upload/1/a.png", "label": [value | sizes], "annotator": 1, "annotation_id": 1}
    (tmp_path / "project-1.json").write_text(json.dumps([task]))
    data = read_dataset(tmp_path, task="detection")
    assert objects_of(data) == {"a.png": ("train", [("nut", 10.0, 20.0, 40.0, 60.0)])}
