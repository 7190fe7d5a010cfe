"""Key points in COCO's, DeepLabCut's and YOLO's files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import LabelError
from manako.formats import coco_keypoints, deeplabcut, read_dataset, yolo_pose
from manako.skeletons import complete, flips_of, missing_limbs, side_of, sigma_of
from manako.types import Dataset, Poses

FORMATS = (coco_keypoints, deeplabcut, yolo_pose)
POINTS = ("nose", "left_ear", "right_ear")
CATEGORY = {"id": 1, "name": "cat", "keypoints": list(POINTS), "skeleton": [[1, 2], [1, 3]]}
Make = Callable[..., Path]


@pytest.fixture
def coco(tmp_path: Path) -> Make:
    """A folder with one image of 100 x 80 and one subject."""

    def make(points: object, *, category: dict[str, Any] | None = None, **more: Any) -> Path:
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.new("RGB", (100, 80)).save(tmp_path / "images" / "a.png")
        entry = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points, **more}
        image = {"id": 1, "file_name": "a.png", "width": 100, "height": 80}
        content = {"images": [image], "annotations": [entry], "categories": [CATEGORY | (category or {})]}
        (tmp_path / "annotations.json").write_text(json.dumps(content), "utf-8")
        return tmp_path

    return make


def target(dataset: Dataset) -> Poses:
    found = dataset.samples[0].target
    assert isinstance(found, Poses)
    return found


def codes(dataset: Dataset) -> dict[str, Any]:
    return {problem.code: problem.facts for problem in dataset.problems}


def test_flags_say_what_is_seen_hidden_and_not_labelled(coco: Make) -> None:
    found = target(dataset := read_dataset(coco([10, 20, 2, 30, 40, 1, 0, 0, 0], bbox=[5, 6, 40, 50], area=700)))
    assert dataset.format == "coco_keypoints" and dataset.classes == POINTS and dataset.task == "pose"
    np.testing.assert_array_equal(found.xy[0], [[10, 20], [30, 40], [np.nan, np.nan]])
    assert found.score.tolist() == [[1, 0.5, 0]]
    assert found.xyxy.tolist() == [[5, 6, 45, 56]] and found.area.tolist() == [700]


@pytest.mark.parametrize(
    ("points", "code", "score"),
    [
        ([10, 20, 7, 1, 1, 2, 2, 2, 2], "pose.bad_flag", [1, 1, 1]),
        ([0, 0, 2, 1, 1, 2, 2, 2, 2], "pose.flag_without_point", [0, 1, 1]),
        ([10, 20, 0, 1, 1, 2, 2, 2, 2], "pose.point_without_flag", [0, 1, 1]),
        ([10, 20, 2, 1, 99, 2, -9, 2, 2], "pose.outside", [1, 0, 0]),
    ],
)
def test_oddities_are_counted_and_left_out(coco: Make, points: list[float], code: str, score: list[float]) -> None:
    dataset = read_dataset(coco(points))
    assert target(dataset).score.tolist() == [score]
    count = points[2] != 2 or sum(s == 0 for s in score)
    assert codes(dataset)[code]["count"] == int(count) and codes(dataset)[code]["first"] == "a.png"


def test_unusable_subjects_are_named(coco: Make) -> None:
    for points in ([1, 2, 2], "text", [1, 2, 2, 3, 4, 2, None, 1, 2], [1e999, 0, 2, 0, 0, 0, 0, 0, 0]):
        dataset = read_dataset(coco(points))
        assert not len(target(dataset)) and codes(dataset)["pose.bad_points"]["count"] == 1


def test_crowds_are_regions_without_points(coco: Make) -> None:
    found = target(read_dataset(coco([1, 2, 2] * 3, iscrowd=1, bbox=[0, 0, 50, 50])))
    assert len(found) == 1 and not found.score.any() and np.isnan(found.xy).all()


def test_a_skeleton_is_checked_and_completed(coco: Make) -> None:
    points = [10, 20, 2, 30, 40, 1, 5, 5, 2]
    dataset = read_dataset(
        coco(points, category={"skeleton": [[1, 2], [1, 9], [2, 2], "x"], "flips": [[2, 3], [3, 7]]})
    )
    assert dataset.skeleton and dataset.skeleton.limbs == ((0, 1), (0, 2)) and dataset.skeleton.flips == ((1, 2),)
    assert "1–9" in codes(dataset)["pose.bad_limb"]["pairs"] and "3–7" in codes(dataset)["pose.bad_flip"]["pairs"]
    assert codes(dataset)["pose.limbs_added"]["limbs"] == "nose–right_ear"
    assert dataset.skeleton.sigmas == (0.026, 0.035, 0.035)
    twice = complete(POINTS, flips=[(1, 2), (2, 0)], facts={"file": "x"})
    assert twice[0].flips == ((1, 2),) and "pose.flip_twice" in [p.code for p in twice[1]]


@pytest.mark.parametrize(
    ("category", "code"),
    [({"keypoints": ["a", "a"]}, "pose.point_names"), ({"keypoints": []}, "pose.point_names")],
)
def test_points_need_names(coco: Make, category: dict[str, Any], code: str) -> None:
    with pytest.raises(LabelError) as caught:
        read_dataset(coco([1, 2, 2] * 3, category=category))
    assert caught.value.code == code


def test_sides_are_read_from_names() -> None:
    assert flips_of(["l_ear", "EarR", "earL", "r_ear", "tail"]) == ((0, 3), (1, 2))
    assert flips_of(["leftEar", "rightEar", "nose", "左目", "右目"]) == ((0, 1), (3, 4))
    assert flips_of(["left", "ball", "upright"]) == ()
    assert [side_of(name) for name in ("LeftEye", "eye_r", "collar", "RT hand")] == ["left", "right", "", "right"]
    assert sigma_of("left_hip") == sigma_of("hipR".lower()[:3]) == 0.107 and sigma_of("tail") == 0.05


def test_missing_limbs_join_all_parts() -> None:
    assert missing_limbs([(0, 1), (2, 3)], 5) == ((0, 2), (0, 4))


DEEPLABCUT = """scorer,me,me,me,me,me,me
bodyparts,nose,nose,left_ear,left_ear,right_ear,right_ear
coords,x,y,x,y,x,y
labeled-data/v/a.png,10,20,30,40,,
labeled-data/v/b.png,1,2,x,4,200,6
labeled-data/v/c.png,1,2,3,4,5,6
"""


def write_project(folder: Path, text: str) -> Path:
    inner = folder / "labeled-data" / "v"
    inner.mkdir(parents=True)
    for name in "ab":
        Image.new("L", (100, 80)).save(inner / f"{name}.png")
    (inner / "CollectedData_me.csv").write_text(text, "utf-8")
    return folder


def test_deeplabcut_tables_and_coco_give_the_same_samples(coco: Make, tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", DEEPLABCUT)
    found = [read_dataset(place) for place in (project, project / "labeled-data" / "v" / "CollectedData_me.csv")]
    assert [d.format for d in found] == ["deeplabcut"] * 2
    assert [s.image.name for s in found[0].samples] == ["a.png", "b.png"]
    (tmp_path / "coco").mkdir()
    other = read_dataset(coco([10, 20, 2, 30, 40, 2, 0, 0, 0]), format="coco_keypoints")
    for field in ("xy", "score", "xyxy", "area"):
        np.testing.assert_allclose(getattr(target(found[0]), field), getattr(target(other), field))
    assert target(found[0]).xyxy.tolist() == [[5, 15, 35, 45]]  # a quarter of the longer side around
    told = codes(found[0])
    assert told["pose.no_number"]["first"] == "5: x" and told["pose.outside"]["count"] == 1
    assert told["table.missing"]["line"] == 6


def test_newer_deeplabcut_tables_have_several_columns_for_a_name_and_individuals(tmp_path: Path) -> None:
    text = "scorer,,,me,me,me,me\nindividuals,,,one,one,two,two\nbodyparts,,,nose,nose,nose,nose\n"
    text += "coords,,,x,y,x,y\nlabeled-data,v,a.png,1,2,3,4\nlabeled-data,v,b.png,,,3,4\n"
    dataset = read_dataset(write_project(tmp_path, text))
    found = [s.target for s in dataset.samples if isinstance(s.target, Poses)]
    assert [poses.xy.tolist() for poses in found] == [[[[1, 2]], [[3, 4]]], [[[3, 4]]]]


@pytest.mark.parametrize(
    ("text", "code"),
    [("scorer,a\nx,1\n", "pose.no_header"), ("scorer,m\nbodyparts,nose\ncoords,x\na,1\n", "pose.no_axes")],
)
def test_damaged_deeplabcut_tables_are_refused(tmp_path: Path, text: str, code: str) -> None:
    with pytest.raises(LabelError) as caught:
        read_dataset(write_project(tmp_path, text))
    assert caught.value.code == code


def write_yolo(folder: Path, config: str, row: str) -> Path:
    for name in ("images/train", "labels/train"):
        (folder / name).mkdir(parents=True)
    Image.new("RGB", (100, 80)).save(folder / "images" / "train" / "a.png")
    (folder / "labels" / "train" / "a.txt").write_text(row, "utf-8")
    (folder / "data.yaml").write_text("train: images/train\nnames: {0: cat}\n" + config, "utf-8")
    return folder


def test_yolo_pose(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.2 0.5 0.1 0.25 2 0.3 0.5 1 0 0 0\n0 0.5 0.5 0.2\n"
    dataset = read_dataset(write_yolo(tmp_path, "kpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n", row))
    assert dataset.format == "yolo_pose" and dataset.samples[0].split == "train"
    assert dataset.skeleton and dataset.skeleton.flips == ((1, 2),) and dataset.classes[0] == "point_1"
    np.testing.assert_allclose(target(dataset).xy[0], np.array([[10, 20], [30, 40], [np.nan] * 2]))
    np.testing.assert_allclose(target(dataset).xyxy, [[40, 20, 60, 60]])
    assert codes(dataset)["pose.bad_row"]["count"] == 1


def test_yolo_pose_without_flags_and_with_a_wrong_mirror(tmp_path: Path) -> None:
    row = "0 0.5 0.5 0.2 0.5 0.1 0.25 0.3 0.5\n"
    config = "kpt_shape: [2, 2]\nflip_idx: [0, 2]\nkpt_names: {0: [left eye, right eye]}\n"
    dataset = read_dataset(write_yolo(tmp_path, config, row))
    assert "pose.flip_idx" in codes(dataset) and dataset.skeleton and dataset.skeleton.flips == ((0, 1),)
    assert target(dataset).score.tolist() == [[1, 1]]


@pytest.mark.parametrize("shape", ["3", "[3]", "[0, 3]", "[3, 4]", "[3, x]"])
def test_wrong_shapes_are_refused(tmp_path: Path, shape: str) -> None:
    with pytest.raises(LabelError) as caught:
        read_dataset(write_yolo(tmp_path, f"kpt_shape: {shape}\n", "0 0.5 0.5 0.2 0.5\n"))
    assert caught.value.code == "pose.kpt_shape"


@pytest.mark.parametrize("module", FORMATS, ids=lambda m: m.__name__.rpartition(".")[2])
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_what_is_written_is_read_again(
    module: ModuleType, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("round")
    count = data.draw(st.integers(1, 3))
    place = st.integers(1, 7900).map(lambda v: np.float32(v / 100))
    xy = np.array(data.draw(st.lists(place, min_size=count * 6, max_size=count * 6)), np.float32).reshape(count, 3, 2)
    flags = st.sampled_from([0.0, 0.5, 1.0] if module is not deeplabcut else [0.0, 1.0])
    score = np.array(data.draw(st.lists(flags, min_size=count * 3, max_size=count * 3)), np.float32).reshape(count, 3)
    score[:, 0] = 1
    xy[score == 0] = np.nan
    box = np.array([[5, 6, 70.5, 60.25]] * count, np.float32)
    poses = Poses(box, xy, score, (box[:, 2:] - box[:, :2]).prod(1))
    skeleton = complete(POINTS, facts={})[0]
    writer = module.Writer(folder, POINTS, skeleton=skeleton)
    (folder / "images").mkdir()
    Image.new("L", (100, 80)).save(folder / "images" / "é a.png")
    writer.add("é a.png", 100, 80, poses)
    assert writer.finish().exists()
    dataset = read_dataset(folder)
    assert dataset.format == module.__name__.rpartition(".")[2] and dataset.classes == POINTS
    assert dataset.skeleton and dataset.skeleton.flips == skeleton.flips
    np.testing.assert_allclose(target(dataset).xy, xy, atol=1e-3)
    assert target(dataset).score.tolist() == score.tolist()
    if module is not deeplabcut:  # it has no boxes
        np.testing.assert_allclose(target(dataset).xyxy, box, atol=1e-3)


def test_files_of_one_folder_must_agree(coco: Make) -> None:
    folder = coco([1, 2, 2] * 3)
    content = json.loads((folder / "annotations.json").read_text("utf-8"))
    content["categories"][0]["keypoints"] = ["x", "y", "z"]
    (folder / "b.json").write_text(json.dumps(content), "utf-8")
    with pytest.raises(LabelError) as caught:
        read_dataset(folder)
    assert caught.value.code == "pose.other_points"
