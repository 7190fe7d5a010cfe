"""Pairs of image and depth, in the layouts that people have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from manako.errors import DataError, LabelError
from manako.formats import read_dataset
from manako.formats.depth_pairs import Writer
from manako.types import Dataset, Depth

METRES = np.array([[1.0, 2.0, 3.5], [0.0, 4.25, 0.5]])  # one hole


def image(path: Path, size: tuple[int, int] = (3, 2)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (len(path.name) * 7 % 256, 90, 40)).save(path)


def depth(path: Path, scale: float = 1000, values: NDArray[np.float64] = METRES, kind: type = np.uint16) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = (values * scale).astype(kind)
    if path.suffix == ".npy":
        np.save(path, stored)
    else:
        Image.fromarray(stored).save(path)


def loaded(dataset: Dataset) -> dict[str, NDArray[np.float32]]:
    truths = {sample.id: sample.truth for sample in dataset.samples}
    return {name: truth.depth for name, truth in truths.items() if isinstance(truth, Depth)}


def expect(found: NDArray[np.float32], tolerance: float = 1e-6) -> None:
    wanted = np.where(METRES > 0, METRES, np.nan)
    np.testing.assert_allclose(found, wanted, rtol=tolerance)


def codes(dataset: Dataset) -> list[str]:
    return [problem.code for problem in dataset.problems]


def test_plain_folders_with_and_without_splits(tmp_path: Path) -> None:
    image(tmp_path / "a" / "images" / "x.png")
    depth(tmp_path / "a" / "depth" / "x.png")
    for split in ("train", "val", "test"):  # the same names in each: a pair never crosses splits
        image(tmp_path / "b" / split / "rgb" / "0.png")
        depth(tmp_path / "b" / split / "depths" / "0.npy", scale=1, kind=np.float32)
        image(tmp_path / "c" / "rgb" / split / "0.png")
        depth(tmp_path / "c" / "depth" / split / "0.tiff", scale=1, kind=np.float32)
    one = read_dataset(tmp_path / "a")
    assert one.task == "depth" and one.classes == () and one.samples[0].split is None
    expect(loaded(one)["images/x.png"])
    for name in ("b", "c"):
        found = read_dataset(tmp_path / name)
        assert sorted(str(sample.split) for sample in found.samples) == ["test", "train", "val"]
        assert all(
            str(sample.split) in sample.id and str(sample.split) in str(sample.target) for sample in found.samples
        )
        for array in loaded(found).values():
            expect(array)


def test_nyu_keeps_a_scene_together(tmp_path: Path) -> None:
    for scene in range(5):
        image(tmp_path / f"kitchen_{scene}" / "rgb_00045.jpg")
        depth(tmp_path / f"kitchen_{scene}" / "sync_depth_00045.png")
    found = read_dataset(tmp_path)
    assert len(found.samples) == 5 and {sample.group for sample in found.samples} == {f"kitchen_{i}" for i in range(5)}
    expect(loaded(found)["kitchen_3/rgb_00045.jpg"])


def test_kitti_counts_256ths_of_a_metre(tmp_path: Path) -> None:
    drive = "2011_09_26_drive_0001_sync"
    for camera in ("image_02", "image_03"):
        image(tmp_path / "2011_09_26" / drive / camera / "data" / "0000000005.png")
        depth(tmp_path / "train" / drive / "proj_depth" / "groundtruth" / camera / "0000000005.png", scale=256)
    name = "2011_09_26_drive_0002_sync_{}0000000008_image_03.png"
    image(tmp_path / "val" / "image" / name.format("image_"))
    depth(tmp_path / "val" / "groundtruth_depth" / name.format("groundtruth_depth_"), scale=256)
    found = read_dataset(tmp_path)
    assert [sample.split for sample in found.samples] == ["train", "train", "val"]
    for key, array in loaded(found).items():
        expect(array)
        assert ("image_03" in key) == ("image_03" in str(next(s.target for s in found.samples if s.id == key)))


def test_diode_takes_its_mask(tmp_path: Path) -> None:
    place = tmp_path / "indoors" / "scene_00019" / "scan_00183"
    image(place / "00019_000.png")
    depth(place / "00019_000_depth.npy", 1, np.where(METRES > 0, METRES, 9.0)[..., None], np.float32)
    np.save(place / "00019_000_depth_mask.npy", (METRES > 0).astype(np.float32))
    expect(next(iter(loaded(read_dataset(tmp_path)).values())))


def test_seven_scenes_follows_its_split_files(tmp_path: Path) -> None:
    for sequence in (1, 2):
        for frame in range(2):
            place = tmp_path / f"seq-{sequence:02}"
            image(place / f"frame-{frame:06}.color.png")
            depth(place / f"frame-{frame:06}.depth.png", values=np.where(METRES > 0, METRES, 65.535))
            (place / f"frame-{frame:06}.pose.txt").write_text("1 0 0 0")
    (tmp_path / "TrainSplit.txt").write_text("sequence1\n")
    (tmp_path / "TestSplit.txt").write_text("sequence2\n")
    found = read_dataset(tmp_path)
    assert [sample.split for sample in found.samples] == ["train", "train", "test", "test"]
    for array in loaded(found).values():
        expect(array)  # 65535 is their "no reading"


def test_what_is_wrong_is_counted_and_left_out(tmp_path: Path) -> None:
    for name in ("good", "holes", "small", "colour", "cut", "alone"):
        image(tmp_path / "image" / f"{name}.png")
    depth(tmp_path / "depth" / "good.png")
    depth(tmp_path / "depth" / "holes.png", values=np.zeros((2, 3)))
    depth(tmp_path / "depth" / "small.png", values=np.ones((1, 1)))
    image(tmp_path / "depth" / "colour.png")
    data = (tmp_path / "depth" / "good.png").read_bytes()
    (tmp_path / "depth" / "cut.png").write_bytes(data[:-25])
    depth(tmp_path / "depth" / "nothing.png")
    found = read_dataset(tmp_path, task="depth")
    assert [sample.id for sample in found.samples] == ["image/good.png"]
    wanted = {"depth.all_holes", "depth.other_size", "depth.not_numbers", "depth.unreadable"}
    wanted |= {"depth.images_without_depth", "depth.depth_without_image", "depth.unit_assumed"}
    assert set(codes(found)) == wanted
    size = next(problem for problem in found.problems if problem.code == "depth.other_size")
    assert size.facts["found"] == "1 x 1" and size.facts["wanted"] == "3 x 2"


def test_another_unit_is_found_by_its_range(tmp_path: Path) -> None:
    image(tmp_path / "image" / "a.png")
    depth(tmp_path / "depth" / "a.npy", scale=1000, kind=np.float32)  # millimetres, as floats
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path)
    assert caught.value.code == "depth.wrong_unit" and "520 to 4220" in str(caught.value)  # 3.5 + 0.96 * 0.75
    (tmp_path / "depth.json").write_text(json.dumps({"unit": "m", "scale": 1000}))
    told = read_dataset(tmp_path)
    expect(loaded(told)["image/a.png"])
    assert not told.problems
    (tmp_path / "depth.json").write_text(json.dumps({"unit": "relative"}))
    truth = read_dataset(tmp_path).samples[0].truth
    assert isinstance(truth, Depth) and truth.unit == "relative"


@pytest.mark.parametrize("text", ["{", "[]", '{"unit": "feet"}', '{"scale": 0}', '{"scale": true}', '{"scales": [1]}'])
def test_a_wrong_sidecar_is_named(tmp_path: Path, text: str) -> None:
    image(tmp_path / "image" / "a.png")
    depth(tmp_path / "depth" / "a.png")
    (tmp_path / "depth.json").write_text(text)
    with pytest.raises(DataError, match=r"depth\.json"):
        read_dataset(tmp_path)


def test_nothing_opened_can_run_code(tmp_path: Path) -> None:
    image(tmp_path / "image" / "a.png")
    (tmp_path / "depth").mkdir()
    np.save(tmp_path / "depth" / "a.npy", np.array([[{}]], object), allow_pickle=True)
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path)
    assert caught.value.code == "depth.unreadable"


EXR_PLANES = ("Z", "V", "Y", "ViewLayer.Depth.Z", "left.mist", "RGB")


@pytest.mark.parametrize("channel", EXR_PLANES)
@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_openexr_gives_its_plane_of_depth(tmp_path: Path, channel: str, kind: type) -> None:
    """A plane by its name, the only one, or a grey picture; what is nowhere (infinite, 1e10) is a hole."""
    openexr = pytest.importorskip("OpenEXR")
    image(tmp_path / "image" / "a.png")
    (tmp_path / "depth").mkdir()
    plane = METRES.astype(kind)
    plane[1, 0] = np.inf if kind is np.float16 else 1e10
    planes = {channel: np.repeat(plane[..., None], 3, 2) if channel == "RGB" else plane}
    if channel == "Z":
        planes |= {"R": np.ones_like(plane), "A": np.ones_like(plane)}
    header = {"type": openexr.scanlineimage, "compression": openexr.ZIP_COMPRESSION}
    openexr.File(header, planes).write(str(tmp_path / "depth" / "a.exr"))
    found = read_dataset(tmp_path)
    expect(loaded(found)["image/a.png"])
    assert [(p.code, p.facts["scale"]) for p in found.problems] == [("depth.unit_assumed", 1)]


def test_openexr_that_is_no_depth_is_told(tmp_path: Path) -> None:
    openexr = pytest.importorskip("OpenEXR")
    image(tmp_path / "image" / "a.png")
    file = tmp_path / "depth" / "a.exr"
    file.parent.mkdir()
    colours = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    openexr.File({"type": openexr.scanlineimage}, {"RGB": colours}).write(str(file))
    whole = file.read_bytes()
    for content, code in ((whole, "exr_channels"), (whole[:-40], "unreadable"), (b"v/1\x01", "unreadable")):
        file.write_bytes(content)
        with pytest.raises(DataError) as caught:
            read_dataset(tmp_path)
        assert caught.value.code == f"depth.{code}"


def test_a_map_outside_the_folder_is_not_read(tmp_path: Path) -> None:
    depth(tmp_path / "outside.png")
    image(tmp_path / "data" / "image" / "a.png")
    (tmp_path / "data" / "depth").mkdir()
    (tmp_path / "data" / "depth" / "a.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(DataError) as caught:
        read_dataset(tmp_path / "data")
    assert caught.value.code == "paths.escapes"


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.01, 200) | st.just(float("nan")), min_size=6, max_size=6),
    st.sampled_from(["x.png", "rgb/x.jpg", "train/rgb/x.jpg"]),
)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: list[float], name: str) -> None:
    folder = tmp_path_factory.mktemp("written")
    image(folder / name)
    given_depth = np.array(values, np.float32).reshape(2, 3)
    writer = Writer(folder, ())
    writer.add(name, 3, 2, Depth(given_depth))
    assert writer.finish() == folder
    if not np.isfinite(given_depth).any():
        with pytest.raises(DataError):
            read_dataset(folder)
        return
    median = float(np.nanmedian(given_depth))
    if median < 0.03:
        return
    step = 1 / 256 if np.nanmax(given_depth) > 65.53 else 1 / 1000
    found = loaded(read_dataset(folder))[name]
    known = np.isfinite(given_depth) & (given_depth * (1 / step) >= 0.51)
    np.testing.assert_allclose(found[known], given_depth[known], atol=0.51 * step, rtol=1e-5)
    assert np.isnan(found[~np.isfinite(given_depth)]).all()


def test_a_damaged_file_raises_when_it_is_loaded(tmp_path: Path) -> None:
    image(tmp_path / "image" / "a.png")
    depth(tmp_path / "depth" / "a.png")
    sample = read_dataset(tmp_path).samples[0]
    (tmp_path / "depth" / "a.png").write_bytes(b"")
    with pytest.raises(LabelError) as caught:
        _ = sample.truth
    assert caught.value.code == "depth.unreadable"
