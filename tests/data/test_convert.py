"""`manako convert`: nothing is lost that the new format can hold, and what it can't is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_helpers import CLASSES, EXPECTED, HEIGHT, WIDTH, WRITE, coco_of, objects_of, write_coco, write_pictures
from PIL import Image

from manako import convert
from manako.cli import main
from manako.errors import ConfigError, UsageError
from manako.formats import read_dataset, readers
from manako.regions import mask_of, outline_of
from manako.types import IGNORE, Detections, Outline, Segmentation

NAMES = {"coco": "coco", "yolo": "yolo", "voc": "voc", "csv": "boxes_table"}


@pytest.mark.parametrize("start", WRITE)
@pytest.mark.parametrize("to", NAMES)
def test_any_format_to_any_other(start: str, to: str, tmp_path: Path) -> None:
    """Parts, backgrounds, classes, boxes and the images themselves arrive."""
    result = convert(WRITE[start](tmp_path / "in"), tmp_path / "out", to=to)
    assert (result.format, result.to, result.images, result.objects) == (start, to, 4, 6)
    assert not result.lost and result.complete
    data = read_dataset(tmp_path / "out", task="detection")
    assert data.format == NAMES[to]
    expected = EXPECTED if start != "boxes_table" else objects_of(read_dataset(tmp_path / "in", task="detection"))
    assert objects_of(data) == expected
    for sample in data.samples:
        original = next((tmp_path / "in").rglob(sample.image.name))
        assert sample.image.read_bytes() == original.read_bytes()


def test_there_and_back_is_the_same_data_set(tmp_path: Path) -> None:
    convert(write_coco(tmp_path / "a"), tmp_path / "b", to="yolo")
    convert(tmp_path / "b", tmp_path / "c", to="coco")
    first, last = (read_dataset(tmp_path / name) for name in "ac")
    assert [s.id for s in first.samples] == [s.id for s in last.samples]
    assert first.classes == last.classes and objects_of(first) == objects_of(last)


COORDINATE = st.floats(0, 4096, width=32)
BOXES = st.lists(st.tuples(COORDINATE, COORDINATE, COORDINATE, COORDINATE), max_size=5)


@settings(max_examples=25, deadline=None)
@given(
    boxes=BOXES, name=st.sampled_from(sorted(NAMES.values())), text=st.text(st.characters(codec="utf-8"), min_size=1)
)
def test_what_writers_write_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, boxes: list[tuple[float, ...]], name: str, text: str
) -> None:
    root = tmp_path_factory.mktemp("round")
    size = 4096
    xyxy = np.array([(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in boxes], np.float32).reshape(-1, 4)
    xyxy = np.unique(xyxy[((xyxy[:, 2:] - xyxy[:, :2]) > 2).all(1)].round(2), axis=0)
    label = " ".join("".join(c for c in text if c.isprintable()).split()) or "x"
    classes = (label, label + " 2")
    truth = Detections.truth(xyxy, np.arange(len(xyxy)) % 2)
    reader: Any = readers()[name]
    writer = reader.Writer(root, classes)
    image = root / writer.IMAGES / "sub" / "a 1.png"
    image.parent.mkdir(parents=True)
    Image.new("L", (size, size)).save(image)
    writer.add("sub/a 1.png", size, size, truth)
    writer.finish()
    data = read_dataset(root, format=name, task="detection")
    assert [sample.id for sample in data.samples] == [image.relative_to(root).as_posix()]
    back = data.samples[0].target
    assert isinstance(back, Detections) and len(back) == len(truth)
    order = [np.lexsort(d.xyxy.round(1).T) for d in (truth, back)]
    assert np.abs(truth.xyxy[order[0]] - back.xyxy[order[1]]).max(initial=0) <= 1e-3
    names = [[c[i] for i in d.class_id[o]] for c, d, o in ((classes, truth, order[0]), (data.classes, back, order[1]))]
    assert [" ".join(n.split()) for n in names[0]] == [" ".join(n.split()) for n in names[1]]
    assert not [p for p in data.problems if p.severity != "note"]


def outlined(root: Path) -> Path:
    write_pictures(root)
    content = coco_of("train")
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:30, 10:30], mask[15:20, 15:20] = True, False
    outlines = [
        Outline((np.array([[10, 20], [40, 20], [25, 60]], np.float32),)),
        Outline(tuple(np.array([[x, 0], [x + 9, 0], [x, 9]], np.float32) for x in (50, 70))),
        outline_of(mask),
    ]
    boxes = np.array([[10, 20, 40, 60], [50, 0, 79, 9], [10, 10, 30, 30]], np.float32)
    crowd = np.array([False, False, True])
    found = Detections(
        boxes, np.array([0, 1, 1]), np.array([1, 1, 0.5], np.float32), crowd=crowd, outlines=tuple(outlines)
    )
    reader: Any = readers()["coco"]
    writer = reader.Writer(root, CLASSES)
    writer.add("train/a.png", WIDTH, HEIGHT, found, split="train")
    writer.finish()
    assert content["images"]
    return root


def regions(data: Any) -> list[np.ndarray]:
    target = data.samples[0].target
    return [mask_of(o, HEIGHT, WIDTH) for o in target.outlines]


def test_outlines_survive_where_there_is_room_and_losses_are_said(tmp_path: Path) -> None:
    root = outlined(tmp_path / "in")
    first = read_dataset(root, task="instances")
    lost = {to: convert(root, tmp_path / to, to=to).lost for to in NAMES}
    assert lost == {
        "coco": {},
        "yolo": {"parts": 1, "crowds": 1},
        "voc": {"outlines": 3, "parts": 1, "holes": 1, "crowds": 1, "unused_classes": 1},
        "csv": {"outlines": 3, "parts": 1, "holes": 1, "crowds": 1, "unused_classes": 1},
    }
    again = read_dataset(tmp_path / "coco", task="instances")
    assert all(np.array_equal(a, b) for a, b in zip(regions(first), regions(again), strict=True))
    truth = again.samples[0].target
    assert isinstance(truth, Detections) and truth.crowd is not None and truth.crowd.tolist() == [False, False, True]
    polygons = regions(read_dataset(tmp_path / "yolo", task="instances"))
    assert all(np.array_equal(a, b) for a, b in zip(regions(first), polygons, strict=True))  # the hole, too


def test_outlines_become_masks(tmp_path: Path) -> None:
    """The map of classes that a network of regions learns, as files."""
    root = outlined(tmp_path / "in")
    result = convert(root, tmp_path / "out", to="masks")
    assert (result.images, result.format) == (1, "coco")
    painted = read_dataset(root, task="segmentation", format="coco")
    masks = read_dataset(tmp_path / "out", task="segmentation", format="masks")
    assert masks.classes == painted.classes and masks.samples[0].split == "train"
    first, second = painted.samples[0].truth, masks.samples[0].truth
    assert isinstance(first, Segmentation) and isinstance(second, Segmentation)
    assert np.array_equal(first.class_id, second.class_id) and set(np.unique(first.class_id)) == {0, 1, 2, 255}


@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_masks_become_outlines_and_come_back(to: str, tmp_path: Path) -> None:
    """Rings, regions that touch at a corner, and unknown pixels, which YOLO has no room for."""
    random = np.random.default_rng(0)
    ids = np.kron(random.integers(0, 3, (12, 14)), np.ones((3, 3))).astype(np.uint8)
    ids[:, -1] = IGNORE
    for folder in ("images", "masks"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        Image.fromarray(ids).save(tmp_path / "in" / folder / "a.png")
    (tmp_path / "in" / "classes.txt").write_text("background\ncell\ndirt\n")
    result = convert(tmp_path / "in", tmp_path / "out", to=to)
    assert result.lost == ({} if to == "coco" else {"ignored": 1}) and (to == "coco" or "1 " in result.text())
    found = read_dataset(tmp_path / "out", task="segmentation", format=to)
    truth = found.samples[0].truth
    assert isinstance(truth, Segmentation) and found.classes == ("background", "cell", "dirt")
    expected = ids if to == "coco" else np.where(ids == IGNORE, 0, ids)
    assert np.array_equal(truth.class_id, expected)


def test_images_of_one_name_in_two_folders_stay_two(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        for suffix in ("png", "bmp"):
            path = tmp_path / "in" / folder / f"a.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (50, 50)).save(path)
    rows = [f"{f}/a.{s},1,1,{n},9,bolt" for n, (f, s) in enumerate([(f, s) for f in "xy" for s in ("png", "bmp")], 5)]
    (tmp_path / "in" / "boxes.csv").write_text("path,xmin,ymin,xmax,ymax,label\n" + "\n".join(rows))
    convert(tmp_path / "in", tmp_path / "out", to="yolo", link=True)
    data = read_dataset(tmp_path / "out", task="detection")
    assert sorted(s.target.xyxy[0, 2] for s in data.samples if isinstance(s.target, Detections)) == [5, 6, 7, 8]
    assert all(sample.image.stat().st_nlink == 2 for sample in data.samples)


def test_nothing_is_overwritten_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "in")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    for out in (tmp_path / "full", root / "out", root):
        with pytest.raises(UsageError):
            convert(root, out, to="yolo")
    for bad in ("png", "idx"):
        with pytest.raises(UsageError):
            convert(root, tmp_path / "out", to=bad)
    with pytest.raises(ConfigError):
        convert(root, tmp_path / "out", to="yolo", format="no-format")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "in"]


def test_the_command_prints_one_object_and_says_what_was_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_coco(tmp_path / "in")
    assert main(["convert", str(root), str(tmp_path / "out"), "--to", "csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == 6
    content = coco_of("val")
    content["annotations"][0]["bbox"] = [5, 5, 0, 0]
    (root / "annotations" / "instances_val.json").write_text(json.dumps(content))
    assert main(["convert", str(root), str(tmp_path / "out2"), "--to", "voc", "--lang", "en"]) == 1
    assert "no area" in capsys.readouterr().out
