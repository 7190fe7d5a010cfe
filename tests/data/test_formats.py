"""Layouts on disk: class folders, IDX files, and what is recognised as which."""

from __future__ import annotations

import gzip
import os
import struct
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manako import formats, idx
from manako.errors import ConfigError, DataError, ImageError, LabelError, UsageError
from manako.formats import read_dataset
from manako.images import image_size, open_image
from manako.types import Dataset, Labels


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (len(name), 0, 0)).save(folder / name)


def found(dataset: Dataset) -> dict[str, tuple[str, str | None]]:
    """id -> (class, split)"""
    labels = {s.id: s.target.best for s in dataset.samples if isinstance(s.target, Labels)}
    return {s.id: (dataset.classes[labels[s.id]], s.split) for s in dataset.samples}


def codes(dataset: Dataset) -> list[str]:
    return sorted(problem.code for problem in dataset.problems)


def test_each_file_is_a_reader() -> None:
    files = {path.stem for path in Path(formats.__file__).parent.glob("[!_]*.py")}
    assert files == set(formats.readers()) and files
    for reader in formats.readers().values():
        assert isinstance(reader.TASKS, tuple) and reader.TASKS


def test_one_folder_a_class(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "cat/2.jpg", "dog/1.png", "dog/deep/er/2.webp", ".git/x/1.png", "cat/.hidden.png")
    (tmp_path / "dog" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    dataset = read_dataset(tmp_path)
    assert dataset.format == "folders" and dataset.task == "classification" and dataset.classes == ("cat", "dog")
    assert found(dataset) == {
        "cat/1.png": ("cat", None),
        "cat/2.jpg": ("cat", None),
        "dog/1.png": ("dog", None),
        "dog/deep/er/2.webp": ("dog", None),
    }
    assert codes(dataset) == ["folders.empty_class", "folders.other_files"]
    assert all(sample.image.is_file() for sample in dataset.samples)
    assert [s.group for s in read_dataset(tmp_path, group_by="folder").samples] == [None, None, None, "dog/deep/er"]


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_parts(tmp_path: Path, val: str) -> None:
    write(tmp_path, "train/a/1.png", "train/b/1.png", f"{val}/a/1.png", "test/a/1.png", "test/c/1.png", "extra/x/1.png")
    write(tmp_path, "test/loose.png")
    dataset = read_dataset(tmp_path)
    assert {split for _, split in found(dataset).values()} == {"train", "val", "test"}
    assert found(dataset)[f"{val}/a/1.png"] == ("a", "val") and dataset.classes == ("a", "b", "c")
    assert codes(dataset) == [
        "data.class_with_one_image",
        "data.class_with_one_image",
        "data.class_without_training",
        "folders.ignored_folder",
        "folders.without_class",
    ]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write(tmp_path, "train/1.png", "train/2.png", "bus/1.png", "bus/2.png")
    assert read_dataset(tmp_path).classes == ("bus", "train")
    write(tmp_path, "train/steam/1.png", "bus/city/1.png")
    assert read_dataset(tmp_path).classes == ("bus", "train")


def test_only_a_part(tmp_path: Path) -> None:
    write(tmp_path, "test/a/1.png", "test/b/1.png")
    assert {split for _, split in found(read_dataset(tmp_path)).values()} == {"test"}


def test_an_archive_with_a_folder_in_a_folder(tmp_path: Path) -> None:
    write(
        tmp_path, "photos-v2/a/1.png", "photos-v2/a/2.png", "photos-v2/b/1.png", "photos-v2/b/2.png", "__MACOSX/a/1.png"
    )
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ("a", "b") and codes(dataset) == ["folders.unwrapped"]
    assert dataset.root == tmp_path / "photos-v2"


def test_links_out_of_the_data_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "data/a/1.png", "data/a/2.png", "data/b/1.png", "data/b/2.png", "secret/x.png")
    for name, target in (
        ("a/out.png", "secret/x.png"),
        ("b/loop", "data"),
        ("c", "secret"),
        ("a/in.png", "data/b/1.png"),
    ):
        (tmp_path / "data" / name).symlink_to(tmp_path / target)
    dataset = read_dataset(tmp_path / "data")
    assert set(found(dataset)) == {"a/1.png", "a/2.png", "a/in.png", "b/1.png", "b/2.png"}
    assert codes(dataset) == ["folders.empty_class", "folders.links"]
    assert next(p for p in dataset.problems if p.code == "folders.links").facts["count"] == 3


def test_names_of_every_kind(tmp_path: Path) -> None:
    write(tmp_path, "犬/写真 1.png", "犬/2.png", unicodedata.normalize("NFD", "bébé") + "/1.png", "line\nbreak/1.png")
    strange = os.fsencode(tmp_path / "犬") + b"/\xff.png"
    with open(strange, "wb") as file:  # noqa: PTH123 - bytes that are no UTF-8
        file.write((tmp_path / "犬" / "2.png").read_bytes())
    dataset = read_dataset(tmp_path)
    assert "bébé" in dataset.classes and "犬/\\xff.png" in found(dataset)
    assert all(sample.id.encode() and sample.image.exists() for sample in dataset.samples)
    assert len(found(dataset)) == len(dataset.samples) == 5


def test_suspicious_classes_are_named(tmp_path: Path) -> None:
    write(tmp_path, "cat/1.png", "cat/2.png", "Cat /1.png", "Cat /2.png", "dog/1.png")
    assert codes(read_dataset(tmp_path)) == ["data.class_with_one_image", "data.classes_alike"]


def refusal(path: Path | str, **options: str) -> str:
    with pytest.raises((DataError, ConfigError, UsageError)) as caught:
        read_dataset(path, **options)  # type: ignore[arg-type]
    assert str(caught.value)
    return caught.value.code


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere") == "data.missing"
    assert refusal(tmp_path) == "data.empty"
    (tmp_path / "notes.txt").touch()
    assert refusal(tmp_path / "notes.txt") == "data.unrecognised_file"
    assert refusal(tmp_path) == "data.no_images"
    write(tmp_path, "1.png")
    assert refusal(tmp_path) == "data.no_classes"
    write(tmp_path, "a/1.png")
    assert refusal(tmp_path) == "data.one_class"
    assert refusal(tmp_path, format="folder") == "data.unknown_format"
    assert refusal(tmp_path, format="folders", task="dance") == "data.format_not_for_task"
    assert refusal(tmp_path, task="dance") == "task.unknown"
    assert refusal(tmp_path, group_by="patient") == "folders.group_by"
    assert refusal(tmp_path, format="table") == "data.missing"


def idx_bytes(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, name: str, count: int, packed: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 7, 9), np.uint8)
    labels = np.arange(count, dtype=np.uint8) % 3
    for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
        content = idx_bytes(values)
        path = folder / f"{name}-{kind}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(content) if packed else content)
    return images, labels


@pytest.mark.parametrize("packed", [True, False])
def test_idx(tmp_path: Path, packed: bool) -> None:
    images, labels = write_idx(tmp_path, "train", 30, packed)
    test_images, _ = write_idx(tmp_path, "t10k", 6, not packed, seed=1)
    dataset = read_dataset(tmp_path)
    assert dataset.format == "idx" and dataset.classes == ("0", "1", "2") and not dataset.problems
    assert len(dataset.of("train")) == 30 and len(dataset.of("test")) == 6
    for samples, expected in ((dataset.of("train"), images), (dataset.of("test"), test_images)):
        for sample in samples:
            assert sample.target is not None and sample.target.best == labels[sample.frame]
            assert np.array_equal(open_image(sample.image, sample.frame), expected[sample.frame])
    assert len({sample.id for sample in dataset.samples}) == 36
    assert image_size(dataset.samples[0].image) == (7, 9)
    (tmp_path / "classes.txt").write_text("Tシャツ\nズボン\nコート\n", "utf-8")
    assert read_dataset(tmp_path).classes == ("Tシャツ", "ズボン", "コート")
    (tmp_path / "classes.txt").write_text("one\n")
    assert refusal(tmp_path) == "idx.class_names"


def test_an_idx_file_that_changes_is_read_again(tmp_path: Path) -> None:
    for seed in (0, 1):
        images, _ = write_idx(tmp_path, "train", 5, True, seed)
        path = tmp_path / "train-images-idx3-ubyte.gz"
        os.utime(path, ns=(seed, seed))
        assert np.array_equal(idx.read_images(path), images)
    idx.clear_cache()


@pytest.mark.parametrize("packed", [True, False])
def test_damaged_idx(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path, "train", 5, packed)
    path = next(tmp_path.glob("*images*"))
    whole = path.read_bytes()
    for content in (b"", whole[:10], whole[:-20], b"\x1f\x8b" + bytes(30), idx_bytes(np.zeros((2, 3), np.uint8))):
        path.write_bytes(content)
        with pytest.raises(ImageError):
            open_image(path)
        with pytest.raises(DataError):
            read_dataset(tmp_path)
    lie = struct.pack(">BBBBIII", 0, 0, 8, 3, 4_000_000_000, 60_000, 60_000)
    path.write_bytes(gzip.compress(lie) if packed else lie)
    with pytest.raises(ImageError):
        open_image(path)
    path.write_bytes(whole)
    with pytest.raises(ImageError):
        open_image(path, 5)
    with pytest.raises(ImageError):
        open_image(path, max_pixels=10)


def test_idx_pairs_must_fit(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 5, True)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(idx_bytes(np.zeros(4, np.uint8))))
    assert refusal(tmp_path) == "idx.mismatch"
    labels.unlink()
    assert refusal(tmp_path) == "idx.no_labels"
    assert refusal(tmp_path, group_by="x") == "idx.group_by"
    write(tmp_path, "a/1.png", "b/1.png")
    assert refusal(tmp_path) == "idx.no_labels"  # the more special layout is taken
    assert read_dataset(tmp_path, format="folders").classes == ("a", "b")
    assert issubclass(LabelError, DataError)
