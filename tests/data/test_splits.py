"""Splits: stratified, repeatable, kept when data grow, and never the same picture or group on both sides."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from manako import duplicates
from manako.duplicates import Chains, alike, look_at, near_groups, same
from manako.errors import ConfigError, LabelError
from manako.formats import read_dataset
from manako.splits import read_split_csv, split_dataset, write_split_csv
from manako.types import Dataset, Labels, Sample

TRUTHS = [Labels.truth(index) for index in range(4)]


def dataset_of(samples: list[Sample], classes: int = 4) -> Dataset:
    return Dataset(Path(), "folders", "classification", tuple("abcd"[:classes]), tuple(samples))


def parts(dataset: Dataset) -> dict[str, str]:
    return {sample.id: str(sample.split) for sample in dataset.samples}


SAMPLES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 12), st.sampled_from(["train", "val", "test"])), min_size=1, max_size=60
)


def build(drawn: Any, own: frozenset[str], grouped: bool = True) -> Dataset:
    return dataset_of(
        [
            Sample(
                f"{number}.png",
                Path("none"),
                TRUTHS[label],
                0,
                f"g{group}" if grouped else f"s{number}",
                split if split in own else None,
            )  # type: ignore[arg-type]
            for number, (label, group, split) in enumerate(drawn)
        ]
    )


@settings(max_examples=200, deadline=None)
@given(drawn=SAMPLES, seed=st.integers(0, 5))
def test_groups_are_never_split(drawn: Any, seed: int) -> None:
    dataset = split_dataset(build(drawn, frozenset()), seed=seed)
    sides = defaultdict(set)
    for sample in dataset.samples:
        sides[sample.group].add(sample.split)
    assert all(len(found) == 1 for found in sides.values())
    assert not dataset.problems
    assert parts(dataset) == parts(split_dataset(build(drawn, frozenset()), seed=seed))


@settings(max_examples=200, deadline=None)
@given(counts=st.lists(st.integers(1, 40), min_size=2, max_size=4), seed=st.integers(0, 5))
def test_every_class_keeps_its_share(counts: list[int], seed: int) -> None:
    drawn = [(label, 0, "train") for label, count in enumerate(counts) for _ in range(count)]
    dataset = split_dataset(build(drawn, frozenset(), grouped=False), seed=seed)
    found = Counter((sample.target.best, sample.split) for sample in dataset.samples if sample.target)
    for label, count in enumerate(counts):
        assert found[label, "train"] >= 1
        assert found[label, "test"] >= (count >= 2) and found[label, "val"] >= (count >= 3)
        assert abs(found[label, "test"] - 0.15 * count) <= 1 and abs(found[label, "val"] - 0.15 * count) <= 1


@settings(max_examples=200, deadline=None)
@given(
    drawn=SAMPLES,
    own=st.frozensets(st.sampled_from(["train", "val", "test"])),
    more=SAMPLES,
    seeds=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_what_was_decided_stays_when_data_grow(drawn: Any, own: frozenset[str], more: Any, seeds: Any) -> None:
    before = parts(split_dataset(build(drawn, own, False), seed=seeds[0]))
    grown = split_dataset(build([*drawn, *more], own, False), seed=seeds[1], previous=before)  # type: ignore[arg-type]
    kept = {name: part for name, part in parts(grown).items() if name in before}
    given_before = {s.split for s in build(drawn, own, False).samples}
    if given_before == {s.split for s in build([*drawn, *more], own, False).samples}:  # no new part appeared
        assert kept == before
    for sample, (_, _, split) in zip(grown.samples, [*drawn, *more], strict=True):
        assert sample.split is not None
        if split in own and split != "train":
            assert sample.split == split  # the data's own word counts


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_new_members_of_a_group_follow_the_old_ones(part: Any) -> None:
    drawn = [(n % 2, n, "train") for n in range(40)]
    more = [(n % 2, 3, "train") for n in range(12)]
    before = {**parts(split_dataset(build(drawn, frozenset()), seed=0)), "3.png": part}
    grown = split_dataset(build([*drawn, *more], frozenset()), seed=0, previous=before)
    assert {sample.split for sample in grown.samples if sample.group == "g3"} == {part}


def test_what_the_data_say_is_kept_and_the_missing_part_is_carved() -> None:
    drawn = [(n % 2, n, "train") for n in range(100)] + [(n % 2, 200 + n, "test") for n in range(20)]
    dataset = split_dataset(build(drawn, frozenset({"train", "test"})), seed=0)
    assert len(dataset.of("test")) == 20 and len(dataset.of("val")) == 18 and len(dataset.of("train")) == 82
    whole = split_dataset(build(drawn, frozenset({"train", "val", "test"})), seed=0)
    assert len(whole.of("val")) == 18
    only_test = split_dataset(build([(0, n, "test") for n in range(9)], frozenset({"test"})), seed=0)
    assert len(only_test.of("test")) == 9


def test_large_parts_are_bounded() -> None:
    drawn = [(n % 2, n, "train") for n in range(80_000)]
    dataset = split_dataset(build(drawn, frozenset(), grouped=False), seed=0)
    assert [len(dataset.of(part)) for part in ("train", "val", "test")] == [65_000, 5000, 10_000]  # type: ignore[arg-type]


def test_other_seeds_choose_otherwise() -> None:
    drawn = [(0, n, "train") for n in range(50)]
    assert parts(split_dataset(build(drawn, frozenset()), seed=0)) != parts(
        split_dataset(build(drawn, frozenset()), seed=1)
    )


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (0, 0.5, 0.5), (1.2, -0.2, 0)])
def test_fractions(fractions: Any) -> None:
    with pytest.raises(ConfigError):
        split_dataset(build([(0, 0, "train")], frozenset()), seed=0, fractions=fractions)


def test_no_validation_wanted() -> None:
    drawn = [(0, n, "train") for n in range(10)]
    dataset = split_dataset(build(drawn, frozenset()), seed=0, fractions=(0.5, 0, 0.5))
    assert len(dataset.of("train")) == 5 and not dataset.of("val")


def test_split_csv(tmp_path: Path) -> None:
    odd = Sample('a,"b"\n犬.png', Path("x"), TRUTHS[1], split="val", group="g,1")
    dataset = dataset_of([odd, Sample("c.png", Path("y"), None, split="train")])
    write_split_csv(tmp_path / "split.csv", dataset)
    assert read_split_csv(tmp_path / "split.csv") == {odd.id: "val", "c.png": "train"}
    for content, line in (("id,label\nx,y\n", 1), ("id,split\nx,train\ny,all\n", 3), ('id,split\n"x,train\n', None)):
        (tmp_path / "split.csv").write_text(content)
        with pytest.raises(LabelError) as caught:
            read_split_csv(tmp_path / "split.csv")
        assert line is None or caught.value.facts["line"] == line
    (tmp_path / "split.csv").write_bytes(b"\xff\xfe\xff")
    for path in (tmp_path / "split.csv", tmp_path / "none.csv"):
        with pytest.raises(LabelError):
            read_split_csv(path)


def photograph(seed: int, size: tuple[int, int] = (240, 180)) -> Image.Image:
    random = np.random.default_rng(seed)
    total = np.full((size[1], size[0], 3), 128, np.float32)
    for cells in (3, 6, 12, 24):
        small = random.normal(0, 40, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            total[..., channel] += np.asarray(Image.fromarray(small[..., channel]).resize(size, 3))
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8))


def copies(image: Image.Image) -> dict[str, Image.Image]:
    width, height = image.size
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    noise = np.random.default_rng(0).normal(0, 6, (height, width, 3))
    return {
        "jpeg": Image.open(buffer).convert("RGB"),
        "half": image.resize((width // 2, height // 2), Image.Resampling.BILINEAR),
        "brighter": ImageEnhance.Brightness(image).enhance(1.15),
        "flatter": ImageEnhance.Contrast(image).enhance(0.8),
        "cropped": image.crop((3, 2, width - 3, height - 2)),
        "noisy": Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)),
        "grey": image.convert("L"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 photographs in two classes; one of each class is there in eight versions."""
    root = tmp_path_factory.mktemp("photographs")
    for number in range(60):
        path = root / "ab"[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        photograph(number).save(path, quality=92)
    for number in (0, 1):
        for name, image in copies(photograph(number)).items():
            image.save(root / "ab"[number] / f"{number:02}-{name}.png")
    return root


def test_near_duplicates_are_found_and_nothing_else(folder: Path) -> None:
    dataset = read_dataset(folder)
    steps: list[tuple[int, int]] = []
    groups = alike(look_at(dataset.samples, lambda done, total: steps.append((done, total))))
    names = sorted(sorted(dataset.samples[index].id[:4] for index in group) for group in groups)
    assert names == [["a/00"] * 8, ["b/01"] * 8]
    assert steps == [(len(dataset.samples), len(dataset.samples))]


@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_never_straddle_a_split(folder: Path, seed: int) -> None:
    dataset = split_dataset(read_dataset(folder), seed=seed)
    for start in ("a/00", "b/01"):
        assert len({part for name, part in parts(dataset).items() if name.startswith(start)}) == 1
    assert all(dataset.of(part) for part in ("train", "val", "test"))  # type: ignore[arg-type]


def test_near_duplicates_in_the_datas_own_parts_are_reported_not_moved(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / ("test" if number % 4 == 3 else "train") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(path)
    copies(photograph(0))["jpeg"].save(tmp_path / "test" / "b" / "copy.png")
    dataset = split_dataset(read_dataset(tmp_path), seed=0)
    (leak,) = dataset.problems
    assert leak.code == "split.leak" and set(leak.samples) == {"train/a/0.png", "test/b/copy.png"}
    assert parts(dataset)["test/b/copy.png"] == "test" and str(leak.facts["first"])


def test_a_fixed_camera_is_no_duplicate(tmp_path: Path) -> None:
    """One background in all images, a small object that moves: to a plain hash they are all the same."""
    background = np.asarray(photograph(99))
    random = np.random.default_rng(0)
    for number in range(40):
        scene = background.copy()
        top, left = random.integers(0, 140), random.integers(0, 200)
        scene[top : top + 40, left : left + 40] = random.integers(0, 256, 3)
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        noise = random.normal(0, 3, scene.shape)
        Image.fromarray(np.clip(scene + noise, 0, 255).astype(np.uint8)).save(path)
    groups = alike(look_at(read_dataset(tmp_path).samples))
    assert sum(len(group) - 1 for group in groups) <= 3


def test_a_class_that_is_all_alike_is_split_nevertheless_and_said_so(tmp_path: Path) -> None:
    for number in range(60):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        image = np.asarray(photograph(0 if number % 2 else number + 2)).astype(float)
        noise = np.random.default_rng(number).normal(0, 4, image.shape)
        Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)).save(path)
    dataset = split_dataset(read_dataset(tmp_path), seed=0)
    assert [problem.code for problem in dataset.problems if problem.code != "split.leak"] == ["split.all_alike"]
    assert {s.split for s in dataset.samples if s.target and s.target.best == 1} == {"train", "val", "test"}


def test_tiny_images_are_compared_exactly(tmp_path: Path) -> None:
    base = np.asarray(photograph(0).resize((28, 28)))
    for number, change in enumerate((0, 0, 1, 2)):
        path = tmp_path / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(base.astype(int) + change, 0, 255).astype(np.uint8)).save(path)
    looks = look_at(read_dataset(tmp_path).samples)
    assert [sorted(group) for group in alike(looks)] == [sorted(group) for group in same(looks)]
    assert len(same(looks)) == 1


def test_what_cant_be_read_is_no_duplicate_of_anything(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png", "b/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"nonsense")
    looks = look_at(read_dataset(tmp_path).samples)
    assert all(look.error is not None for look in looks) and not alike(looks) and not same(looks)
    assert {s.split for s in split_dataset(read_dataset(tmp_path), seed=0).samples} == {"train", "test"}


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 400), noise=st.floats(0, 12))
def test_the_search_finds_what_comparing_every_pair_finds(seed: int, count: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    sources = random.normal(128, 40, (max(1, count // 2), 256))
    thumbnails = sources[random.integers(0, len(sources), count)] + random.normal(0, noise, (count, 256))
    thumbnails = np.clip(np.round(thumbnails), 0, 255).astype(np.uint8)
    vectors = thumbnails.astype(np.float64)
    vectors -= vectors.mean(1, keepdims=True)
    if count >= 16:
        vectors -= vectors.mean(0)
    norms = np.linalg.norm(vectors, axis=1)
    vectors /= np.maximum(norms, 1e-6)[:, None]
    products = vectors @ vectors.T
    if (np.abs(products - duplicates.NEAR) < 1e-5).any():
        return  # on the edge, either is right
    near = (products >= duplicates.NEAR) & (norms > 32)[:, None] & (norms > 32)[None]
    expected = {number: {number} for number in range(count)}
    for first, second in zip(*np.nonzero(near), strict=True):
        merged = expected[int(first)] | expected[int(second)]
        for member in merged:
            expected[member] = merged
    wanted = {frozenset(group) for group in expected.values() if len(group) > 1}
    assert {frozenset(group) for group in near_groups(thumbnails)} == wanted


def test_chains() -> None:
    chains = Chains(6)
    chains.link([(4, 5), (1, 4)])
    chains.link([(0, 3)])
    assert sorted(chains.groups()) == [[0, 3], [1, 4, 5]]
    assert Chains(0).groups() == []
