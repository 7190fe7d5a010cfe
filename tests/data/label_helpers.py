"""One small data set of boxes, written by hand in the three layouts that most people have."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from manako.formats import read_dataset
from manako.types import Dataset, Detections

WIDTH, HEIGHT = 100, 80
CLASSES = ("bolt", "nut", "washer")
# part, image, boxes: class, left, top, right, bottom
TRUTH: dict[tuple[str, str], list[tuple[int, int, int, int, int]]] = {
    ("train", "a.png"): [(0, 10, 20, 40, 60), (1, 50, 0, 100, 30)],
    ("train", "b.png"): [(2, 1, 2, 90, 79), (2, 30, 30, 40, 40), (0, 60, 50, 70, 80)],
    ("val", "c.png"): [(1, 20, 20, 30, 30)],
    ("test", "d.png"): [],
}


def write_pictures(root: Path, folder: str = "images/{part}") -> None:
    for number, (part, name) in enumerate(TRUTH):
        path = root / folder.format(part=part) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)).save(path)


def coco_of(part: str) -> dict[str, Any]:
    """Ids with holes, classes last, as COCO's own files are."""
    images = [(number, name) for number, (p, name) in enumerate(TRUTH) if p == part]
    objects = [(number, box) for number, name in images for box in TRUTH[part, name]]
    return {
        "images": [{"id": 7 + n, "file_name": name, "width": WIDTH, "height": HEIGHT} for n, name in images],
        "annotations": [
            {"id": i, "image_id": 7 + n, "category_id": (3, 5, 90)[c], "bbox": [x, y, r - x, b - y], "iscrowd": 0}
            for i, (n, (c, x, y, r, b)) in enumerate(objects)
        ],
        "categories": [{"id": i, "name": name} for i, name in zip((3, 5, 90), CLASSES, strict=True)],
    }


def write_coco(root: Path) -> Path:
    write_pictures(root)
    (root / "annotations").mkdir()
    for part in ("train", "val", "test"):
        (root / "annotations" / f"instances_{part}.json").write_text(json.dumps(coco_of(part), indent=1))
    return root


def write_yolo(root: Path) -> Path:
    write_pictures(root)
    for (part, name), boxes in TRUTH.items():
        path = root / "labels" / part / f"{name[:-4]}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{c} {(x + r) / 2 / WIDTH} {(y + b) / 2 / HEIGHT} {(r - x) / WIDTH} {(b - y) / HEIGHT}\n"
            for c, x, y, r, b in boxes
        ]
        path.write_text("".join(lines))
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (root / "data.yaml").write_text(
        f"path: /somewhere/else\ntrain: ../train/images\nval: images/val\ntest: images/test\nnames:\n{names}".replace(
            "../train/images", "images/train"
        )
    )
    return root


def voc_of(name: str, boxes: list[tuple[int, int, int, int, int]]) -> str:
    objects = "".join(
        f"  <object>\n    <name>{CLASSES[c]}</name>\n    <bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>"
        f"<xmax>{r}</xmax><ymax>{b}</ymax></bndbox>\n  </object>\n"
        for c, x, y, r, b in boxes
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation>\n  <filename>{name}</filename>\n  {size}\n{objects}</annotation>\n"


def write_voc(root: Path) -> Path:
    write_pictures(root, "JPEGImages")
    for folder in ("Annotations", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for (part, name), boxes in TRUTH.items():
        (root / "Annotations" / f"{name[:-4]}.xml").write_text(voc_of(name, boxes))
        with (root / "ImageSets" / "Main" / f"{part}.txt").open("a") as file:
            file.write(f"{name[:-4]}\n")
    return root


def write_table(root: Path) -> Path:
    write_pictures(root)
    lines = ["filename,class,xmin,ymin,xmax,ymax"]
    for (part, name), boxes in TRUTH.items():
        lines += [f"images/{part}/{name},{CLASSES[c]},{x},{y},{r},{b}" for c, x, y, r, b in boxes]
        lines += [f"images/{part}/{name},,,,,"] * (not boxes)
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


WRITE = {"coco": write_coco, "yolo": write_yolo, "voc": write_voc, "boxes_table": write_table}


def objects_of(data: Dataset) -> dict[str, tuple[str | None, list[tuple[Any, ...]]]]:
    """File name -> part and objects, with classes by name."""
    found = {}
    for sample in data.samples:
        truth = sample.truth
        assert isinstance(truth, Detections)
        rows = zip((data.classes[c] for c in truth.class_id), truth.xyxy.round(3).tolist(), strict=True)
        found[sample.image.name] = (sample.split, sorted((name, *box) for name, box in rows))
    return found


EXPECTED = {
    name: (part, sorted((CLASSES[c], *map(float, box)) for c, *box in boxes)) for (part, name), boxes in TRUTH.items()
}


def codes(data: Dataset) -> Counter[str]:
    """Problems, without the notes."""
    return Counter(problem.code for problem in data.problems if problem.severity != "note")


def read(root: Path, format: str, **options: Any) -> Dataset:
    return read_dataset(root, format=format, **options)
