"""Decoded images: the same pixels as the runtime's, found again, renewed when data change, never half."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_checkpoint import largest_file

from manako.errors import DataError, StorageError
from manako.images import Preprocess
from manako.training import cache as cache_module
from manako.training.cache import cache_images
from manako.training.cache_files import CacheFile, cache_folder, purge
from manako.types import Labels, Sample

SQUARE = Preprocess(height=16, width=20)


@pytest.fixture
def photographs(tmp_path):
    random = np.random.default_rng(0)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(40):
        pixels = random.integers(0, 256, (30 + i, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    return [Sample(p.name, p, Labels.truth(i % 2)) for i, p in enumerate(sorted(folder.iterdir()))]


@pytest.fixture
def on_disk(monkeypatch):
    monkeypatch.setattr(cache_module, "IN_MEMORY", 0)


def decoded(monkeypatch):
    """Which images are opened from now on."""
    opened = []
    original = Preprocess.open
    monkeypatch.setattr(Preprocess, "open", lambda self, *a: (opened.append(a[0].name), original(self, *a))[1])
    return opened


def check(cache, samples):
    for i, sample in enumerate(samples):
        pixels, frame = SQUARE.open(sample.image)
        assert np.array_equal(cache.take(np.array([i]))[0].permute(1, 2, 0).numpy(), pixels)
        assert cache.frames[i] == frame
        assert cache.samples[i] is sample


def test_small_splits_stay_in_memory(photographs):
    cache = cache_images(photographs, preprocess=SQUARE)
    check(cache, photographs)
    assert not cache_folder().exists()
    taken = cache.take(np.array([5, 3, 5]))
    assert taken.shape == (3, 3, 16, 20)
    assert taken.is_contiguous(memory_format=__import__("torch").channels_last)
    taken.zero_()
    check(cache, photographs)


def test_the_next_run_finds_what_was_decoded(photographs, on_disk, monkeypatch):
    first = cache_images(photographs, preprocess=SQUARE)
    check(first, photographs)
    opened = decoded(monkeypatch)
    second = cache_images(photographs, preprocess=SQUARE)
    assert not opened
    assert isinstance(second.images, np.memmap)
    assert np.array_equal(first.images, second.images)
    assert first.frames == second.frames


def test_changed_data_or_settings_are_decoded_again(photographs, on_disk, monkeypatch):
    cache_images(photographs, preprocess=SQUARE)
    opened = decoded(monkeypatch)
    Image.new("RGB", (40, 40), (9, 9, 9)).save(photographs[3].image)
    assert (cache_images(photographs, preprocess=SQUARE).images[3] == 9).all()
    assert len(opened) == 40
    cache_images(photographs, preprocess=Preprocess(height=16, width=20, fit="stretch"))
    cache_images(photographs[1:], preprocess=SQUARE)
    assert len(opened) == 119


@pytest.mark.parametrize("disk", [False, True])
def test_a_broken_image_is_left_out_and_named(photographs, disk, monkeypatch):
    monkeypatch.setattr(cache_module, "IN_MEMORY", 0 if disk else 2**20)
    photographs[7].image.write_bytes(b"not an image")
    photographs[9].image.unlink()
    for _ in range(2):
        cache = cache_images(photographs, preprocess=SQUARE)
        assert len(cache) == len(cache.frames) == len(cache.samples) == 38
        assert [problem.samples for problem in cache.problems] == [("07.png",), ("09.png",)]
        assert all(problem.severity == "error" for problem in cache.problems)
        check(cache, [s for i, s in enumerate(photographs) if i not in (7, 9)])


def test_nothing_readable_is_an_error(photographs):
    for sample in photographs:
        sample.image.write_bytes(b"")
    with pytest.raises(DataError) as error:
        cache_images(photographs, preprocess=SQUARE)
    assert error.value.facts["first"] == "00.png"


def test_a_full_disk_is_told_before_decoding(photographs, on_disk, monkeypatch):
    opened = decoded(monkeypatch)
    with largest_file(4096), pytest.raises(StorageError) as error:
        cache_images(photographs, preprocess=SQUARE)
    assert error.value.code == "storage.full"
    assert not opened
    assert not list(cache_folder().iterdir())


def test_an_interruption_leaves_nothing(photographs, on_disk, monkeypatch):
    def interrupt(self, source, frame, max_pixels):
        raise KeyboardInterrupt

    monkeypatch.setattr(Preprocess, "open", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cache_images(photographs, preprocess=SQUARE)
    assert not list(cache_folder().iterdir())


def test_damaged_caches_are_made_anew(photographs, on_disk):
    cache_images(photographs, preprocess=SQUARE)
    (file,) = cache_folder().glob("*.images")
    for damage in (
        lambda: file.write_bytes(file.read_bytes()[:-1]),
        lambda: file.with_suffix(".json").write_text('[{"code": 1}'),
        lambda: file.with_suffix(".json").write_text('[{"height": 1}]'),
        lambda: file.unlink(),
    ):
        damage()
        check(cache_images(photographs, preprocess=SQUARE), photographs)


def test_what_killed_processes_left_is_removed(photographs, on_disk):
    cache_folder().mkdir()
    left = cache_folder() / ".abc.images.99999999.partial"
    mine = cache_folder() / f".abc.images.{os.getpid()}.partial"
    left.touch()
    mine.touch()
    cache_images(photographs, preprocess=SQUARE)
    assert not left.exists() and mine.exists()


def test_the_longest_unused_caches_go_first(tmp_path):
    files = [tmp_path / f"{i}.images" for i in range(5)]
    for i, file in enumerate(files):
        file.write_bytes(b"0" * 100)
        file.with_suffix(".json").touch()
        os.utime(file, (i, i))
    purge(tmp_path, keep=files[0], limit=250)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.images", "0.json", "4.images", "4.json"]


def test_the_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MANAKO_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("MANAKO_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/manako"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache/manako"


def test_idx_images_are_taken_as_the_runtime_reads_them(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    pixels = np.random.default_rng(0).integers(0, 256, (9, 12, 10), dtype=np.uint8)
    path.write_bytes(bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in pixels.shape) + pixels.tobytes())
    samples = [Sample(str(i), path, Labels.truth(0), frame=i) for i in (8, 0, 3)]
    for preprocess in (Preprocess(12, 10, channels=1), Preprocess(12, 10), Preprocess(24, 20, channels=1)):
        cache = cache_images(samples, preprocess=preprocess)
        for i, sample in enumerate(samples):
            seen, frame = preprocess.open(path, sample.frame)
            assert np.array_equal(cache.images[i], seen)
            assert cache.frames[i] == frame


def test_a_cache_file_has_another_name_for_another_frame(tmp_path):
    samples = [Sample("0", tmp_path / "x", frame=frame) for frame in (0, 1)]
    names = {CacheFile.of(tmp_path, [s], shape=(1, 2, 2, 1), facts="").path for s in samples}
    assert len(names) == 2


def test_a_part_without_images_is_told():
    with pytest.raises(DataError) as caught:
        cache_images([], preprocess=SQUARE)
    assert caught.value.code == "cache.none"
