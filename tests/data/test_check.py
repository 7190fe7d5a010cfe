"""`manako check`: every planted fault is found, clean data raise no alarm, fixing never touches the original."""

from __future__ import annotations

import json
import shutil
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manako.doctor.data import check, fingerprint
from manako.errors import UsageError
from manako.formats import read_dataset
from manako.images import open_image
from manako.messages import set_language
from manako.samples.digits import load_digits, write_digits
from manako.samples.scenes import SHAPES, write_shapes
from manako.splits import split_dataset


def photograph(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), np.uint8)
    return Image.fromarray(small).resize((90, 80), Image.Resampling.BICUBIC)


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for number in range(60):
        part = "test" if number % 3 == 0 else "train"
        path = root / part / "xyz"[number // 20] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        photograph(number).save(path)
    for path in (root / "test").rglob("*.png"):  # a validation part, made of every third test image
        if int(path.stem) % 9 == 0:
            target = root / "val" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return root


def codes(data: Path) -> Counter[str]:
    return Counter(problem.code for problem in check(data).problems)


def test_clean_data_raise_no_alarm(clean: Path) -> None:
    report = check(clean)
    assert report.problems == () and report.usable and report.format == "folders"
    assert report.count == 60 and sum(sum(parts.values()) for parts in report.counts.values()) == 60
    assert report.kinds == {"PNG RGB": 60} and set(report.sizes) == {(80, 90)}


def plant(data: Path) -> dict[str, int]:
    """Every kind of fault, and how often each must be found."""
    train = data / "train"
    first = next((train / "x").iterdir())
    (train / "x" / "zero.jpg").touch()
    (train / "x" / "text.jpg").write_text("a text")
    (train / "x" / "cut.png").write_bytes(first.read_bytes()[:500])
    shutil.copy(first, train / "x" / "copy.png")
    shutil.copy(next((train / "y").iterdir()), train / "z" / "other-label.png")
    shutil.copy(next((train / "z").iterdir()), data / "test" / "z" / "leak.png")
    photograph(7).save(train / "x" / "near.jpg", quality=60)
    photograph(25).resize((180, 160)).save(data / "test" / "y" / "near-leak.png")
    photograph(46).save(data / "train" / "x" / "near-label.jpg", quality=60)
    for number in range(2):
        Image.new("RGB", (80, 80), (40, 40, 40)).save(train / "y" / f"blank{number}.png")
    photograph(100).resize((900, 90)).save(train / "y" / "long.png")
    (train / "rare").mkdir()
    for number in range(2):
        photograph(200 + number).save(train / "rare" / f"{number}.png")
    return {
        "image.empty": 1,
        "image.not_an_image": 1,
        "image.damaged": 1,
        "check.copies": 2,
        "check.copies_two_labels": 1,
        "check.alike": 2,
        "check.alike_two_labels": 1,
        "split.leak": 2,
        "check.blank": 2,
        "check.odd_size": 1,
        "check.small_class": 1,
        "check.imbalance": 1,
        "check.class_not_in_part": 2,
    }


def test_every_planted_fault_is_found(clean: Path) -> None:
    planted = plant(clean)
    assert codes(clean) == Counter(planted)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_report_in_words_and_as_json(clean: Path, language: str) -> None:
    plant(clean)
    report = check(clean)
    set_language(language)
    try:
        text = report.text()
        found = json.loads(json.dumps(report.as_json(), allow_nan=False))
    finally:
        set_language(None)
    assert "zero.jpg" in text and "\n    " in text and "{" not in text
    assert found["count"] == report.count and found["classes"]["x"]["train"] >= 13
    assert {problem["severity"] for problem in found["problems"]} == {"error", "warning", "note"}
    order = [problem["severity"] for problem in found["problems"]]
    assert order == sorted(order, key=["error", "warning", "note"].index)
    assert all(problem["message"] for problem in found["problems"])


def test_what_cant_be_read_at_all_is_a_finding(tmp_path: Path) -> None:
    report = check(tmp_path)
    assert not report.usable and [problem.code for problem in report.problems] == ["data.empty"]
    assert str(tmp_path) in report.text() and report.as_json()["count"] == 0


def test_files_that_give_the_class_away(tmp_path: Path) -> None:
    for number in range(40):
        path = tmp_path / "ab"[number % 2] / (f"{number}.jpg" if number % 2 else f"{number}.png")
        path.parent.mkdir(exist_ok=True)
        photograph(number).resize((100 + number % 2, 80)).save(path)
    assert codes(tmp_path) == Counter({"check.kind_tells_class": 1, "check.size_tells_class": 1})


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_cleaned_copy(clean: Path, tmp_path: Path) -> None:
    plant(clean)
    before = tree(clean)
    report = check(clean, fix=tmp_path / "out" / "cleaned")
    assert tree(clean) == before
    assert report.written == tmp_path / "out" / "cleaned" and [p.name for p in (tmp_path / "out").iterdir()] == [
        "cleaned"
    ]
    after = codes(report.written)
    assert not {code for code in after if code.startswith("image.")}
    assert not {"check.copies", "check.copies_two_labels", "check.blank"} & set(after)
    kept, removed = tree(report.written), report.written / "removed.csv"
    assert all(before[name] == content for name, content in kept.items() if name != "removed.csv")
    lines = removed.read_text().splitlines()
    assert lines[0] == "id,reason" and len(lines) == 1 + report.count - (len(kept) - 1)
    # The leaked picture stays in the test, and training loses it.
    assert "test/z/leak.png" in kept and sum(content == before["test/z/leak.png"] for content in kept.values()) == 1


@pytest.mark.parametrize(("kept", "dropped"), [("test", "train"), ("val", "train"), ("test", "val")])
def test_of_two_copies_the_one_that_measures_stays(clean: Path, tmp_path: Path, kept: str, dropped: str) -> None:
    for part in (kept, dropped):
        photograph(500).save(clean / part / "x" / "twice.png")
    out = check(clean, fix=tmp_path / "out").written
    assert out is not None and [path.relative_to(out).parts[0] for path in out.rglob("twice.png")] == [kept]


def test_a_copy_goes_only_to_a_new_place_outside(clean: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    for out in (tmp_path / "full", tmp_path / "full" / "x", clean / "inside", clean):
        with pytest.raises(UsageError):
            check(clean, fix=out)
    (tmp_path / "there").mkdir()
    assert check(clean, fix=tmp_path / "there").written == tmp_path / "there"


def test_a_cleaned_table_puts_strange_labels_into_safe_folders(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    labels = ["../../up", "a/b", "..", "NUL:"]
    rows = ["path,label"]
    for number in range(12):
        photograph(number).save(data / f"{number}.png")
        rows.append(f"{number}.png,{labels[number % 4]}")
    (data / "labels.csv").write_text("\n".join(rows))
    out = check(data, fix=tmp_path / "out").written
    assert out is not None and len(list(out.rglob("*.png"))) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]
    assert all(len(path.relative_to(out).parts) == 2 for path in out.rglob("*.png"))
    assert len(read_dataset(out).classes) == 4


def test_the_fingerprint_follows_the_data(clean: Path) -> None:
    dataset = read_dataset(clean)
    known = fingerprint(dataset)
    assert known == fingerprint(read_dataset(clean)) == fingerprint(split_dataset(dataset, seed=1))
    assert len(known) == 32 and int(known, 16)
    path = dataset.samples[0].image
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"\0")
    assert fingerprint(dataset) != known
    path.write_bytes(content)
    assert fingerprint(dataset) == known
    path.rename(path.with_name("other.png"))
    assert fingerprint(read_dataset(clean)) != known


def test_shapes(tmp_path: Path) -> None:
    dataset = read_dataset(write_shapes(tmp_path / "a", seed=1, count=30))
    assert dataset.classes == SHAPES and len(dataset.samples) == 30
    write_shapes(tmp_path / "b", seed=1, count=30)
    write_shapes(tmp_path / "c", seed=2, count=30)
    assert tree(tmp_path / "a") == tree(tmp_path / "b") != tree(tmp_path / "c")
    assert not check(tmp_path / "a").problems or set(codes(tmp_path / "a")) == {"check.small_class"}


def test_shapes_have_the_shape_they_are_named_for(tmp_path: Path) -> None:
    """The area within the smallest circle around the centre of mass: a closed form for each shape."""
    known = {"circle": np.pi, "square": 2.0, "triangle": 3 * np.sqrt(3) / 4, "cross": 5 * (2 / np.sqrt(10)) ** 2}
    found: dict[str, list[float]] = {shape: [] for shape in SHAPES}
    for sample in read_dataset(write_shapes(tmp_path, seed=3, count=80)).samples:
        pixels = np.asarray(open_image(sample.image)).astype(float)
        ground = np.median(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], axis=0)
        rows, columns = np.nonzero(np.linalg.norm(pixels - ground, axis=2) > 60)
        reach = np.hypot(rows - rows.mean(), columns - columns.mean()).max() + 0.5
        found[sample.image.parent.name].append(len(rows) / reach**2)
    for shape, ratios in found.items():
        assert np.median(ratios) == pytest.approx(known[shape], rel=0.15), shape


def test_digits_as_a_folder(tmp_path: Path) -> None:
    dataset = read_dataset(write_digits(tmp_path / "all", size=8))
    images, labels = load_digits()
    assert len(dataset.samples) == 1797 and dataset.classes == tuple("0123456789") and not dataset.problems
    for sample in dataset.samples[::97]:
        number = int(sample.image.stem)
        assert sample.target is not None and sample.target.best == labels[number]
        assert np.array_equal(255 - np.asarray(open_image(sample.image)), images[number])
    few = read_dataset(write_digits(tmp_path / "few", count_per_class=20))
    assert Counter(sample.split for sample in few.samples) == {"train": 140, "val": 30, "test": 30}
    assert open_image(few.samples[0].image).size == (32, 32)


def write_idx(folder: Path, name: str, images: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    labels = (np.arange(len(images)) % 2).astype(np.uint8)
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        (folder / f"{name}-{kind}-ubyte").write_bytes(header + values.tobytes())


@pytest.mark.parametrize("side", [28, 80])
def test_idx_files_are_checked_and_copied_too(tmp_path: Path, side: int) -> None:
    grey = [np.asarray(photograph(number).resize((side, side)).convert("L")) for number in range(60)]
    grey[7] = np.full((side, side), 9, np.uint8)
    (tmp_path / "data").mkdir()
    write_idx(tmp_path / "data", "train", np.stack(grey[:40]))
    write_idx(tmp_path / "data", "t10k", np.stack([*grey[40:], grey[4], grey[3], grey[5]]))
    report = check(tmp_path / "data", fix=tmp_path / "out")
    found = Counter(problem.code for problem in report.problems)
    assert found == {"check.blank": 1, "check.copies": 2, "check.copies_two_labels": 1, "split.leak": 3}
    assert report.kinds == {"IDX L": 63} and report.written is not None
    cleaned = read_dataset(report.written)
    assert len(cleaned.samples) == 63 - 1 - 2 - 2 and len(cleaned.of("test")) == 22
