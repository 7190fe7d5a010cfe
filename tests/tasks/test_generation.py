"""Generation: distances of distributions against SciPy and loops, bytes that say random numbers, the verb."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.linalg import sqrtm
from scipy.stats import kstest

from manako.blocks.seeds import Seeds
from manako.cli import main
from manako.errors import LabelError, UsageError
from manako.formats import read_dataset
from manako.images import Preprocess
from manako.learn.neighbours.hog import cell_histograms
from manako.metrics.generation import FEATURES, distances, features, features_hash, frechet, kernel_distance, neighbours
from manako.metrics.memorisation import NEAR, nearest_training
from manako.models import create_model, find_model, model_options
from manako.runtime.card import ModelCard
from manako.runtime.generate import numbers_of, seed_images
from manako.runtime.onnx_engine import OnnxEngine
from manako.tasks import get_task
from manako.training.export import export_onnx
from manako.types import Generated


def sets(count: int, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    mixing = random.normal(size=(width, width))
    return random.normal(size=(count, width)), random.normal(size=(count, width)) @ mixing + 0.3


def test_edges_are_those_of_the_lesson() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    cells = cell_histograms(image[..., 0][None] / 255)[0]
    np.testing.assert_allclose(features(image)[:144], np.sqrt(cells.ravel() / 64), atol=1e-5)
    assert features_hash() == FEATURES


@pytest.mark.parametrize("count", [4, 50])  # fewer images than features, and more
def test_frechet_distance_equals_scipy(count: int) -> None:
    made, real = sets(count)
    c1, c2 = np.cov(made.T), np.cov(real.T)
    moved = ((made.mean(0) - real.mean(0)) ** 2).sum()
    expected = moved + np.trace(c1 + c2 - 2 * sqrtm(c1 @ c2).real)
    assert frechet(made, real) == pytest.approx(expected, rel=1e-3)
    assert frechet(made, made) == 0.0


def test_kernel_distance_equals_its_sums() -> None:
    made, real = sets(7)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 6 + 1) ** 3)

    within = [np.mean([kernel(a, b) for a in s for b in s if a is not b]) for s in (list(made), list(real))]
    across = np.mean([kernel(a, b) for a in made for b in real])
    assert kernel_distance(made, real) == pytest.approx(sum(within) - 2 * across)


def test_neighbours_tell_believable_from_varied() -> None:
    random = np.random.default_rng(2)
    real = random.normal(size=(60, 4))
    narrow = real[:1] + 0.001 * random.normal(size=(60, 4))
    far = real + 100
    assert neighbours(narrow, real).precision == 1.0
    assert neighbours(narrow, real).recall < 0.2 and neighbours(narrow, real).diversity < 0.01
    lost = neighbours(far, real)
    assert lost.precision == 0.0 and lost.diversity == pytest.approx(1.0) and len(lost.outside) == 60
    assert lost.made[lost.outside[0]] == max(lost.made)
    np.testing.assert_allclose(distances(narrow, far), np.linalg.norm(narrow[:, None] - far[None], axis=2))


def test_near_copies_are_counted_by_the_ruler_of_real_images() -> None:
    random = np.random.default_rng(5)
    training, new, honest = random.normal(size=(2500, 3)), random.normal(size=(800, 3)), random.normal(size=(800, 3))
    found = nearest_training(honest, new, training.astype(np.float32))
    assert found.share == pytest.approx(NEAR, abs=0.03)
    np.testing.assert_allclose(found.made, np.linalg.norm(honest[:, None] - training[None], axis=2).min(1), atol=1e-5)
    order = random.permutation(2500)[:800]
    copied = nearest_training(training[order] + 1e-4, new, training.astype(np.float32))
    assert copied.share > 0.99 and (copied.place == order).all()


def test_bytes_say_numbers_and_classes_exactly() -> None:
    random = np.random.default_rng(3)
    seeds = Seeds(latent=8, classes=5)
    wanted = random.normal(size=(40, 8))
    kinds = np.arange(40) % 5
    images = seed_images(numbers_of(wanted), kinds, (12, 10, 3))
    normalised = torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1
    numbers, class_id = seeds(normalised)
    np.testing.assert_allclose(numbers.numpy(), wanted, atol=0.02)
    assert class_id.tolist() == kinds.tolist()


def test_any_image_says_its_own_normal_numbers() -> None:
    random = np.random.default_rng(4)
    images = np.zeros((3000, 1, 28, 28), np.float32)  # all but a few pixels are alike, as in scans
    images[:, 0, 12:14, 12:14] = random.integers(0, 256, (3000, 2, 2))
    numbers, class_id = Seeds(latent=16, classes=7)(torch.from_numpy(images) / 127.5 - 1)
    assert kstest(numbers.numpy().ravel(), "norm").pvalue > 0.001
    assert np.abs(np.corrcoef(numbers.numpy().T) - np.eye(16)).max() < 0.1
    assert set(class_id.tolist()) == set(range(7))
    assert len(np.unique(numbers.numpy(), axis=0)) > 2990


def test_images_with_and_without_classes(tmp_path: Path) -> None:
    for number in range(6):
        Image.new("L", (20, 10), number * 20).save(tmp_path / f"{number}.png")
    plain = read_dataset(tmp_path, task="generation")
    assert plain.classes == ("image",) and len(plain.samples) == 6
    truth = plain.samples[3].truth
    assert isinstance(truth, Generated) and truth.image.shape == (10, 10, 1) and truth.image.max() == 60
    (tmp_path / "3.png").write_bytes(b"no image")
    with pytest.raises(LabelError):
        _ = plain.samples[3].truth


def test_a_collapse_is_told_after_several_looks() -> None:
    task = get_task("generation")
    looks = [{"diversity": value} for value in (0.0, 0.0, 0.0, 0.0, 0.1, 0.1, 0.2)]
    assert task.alarm(looks) is None  # the first looks don't count
    alarm = task.alarm([*looks, {"diversity": 0.1}])
    assert alarm and alarm[0] == "generation.collapsed"
    assert task.alarm([*looks, {"diversity": 0.9}]) is None


def test_generate_from_an_exported_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    dataset = get_task("generation").synthetic(tmp_path / "data", seed=1, count=8)
    options = {"width": 8, "latent": 16}
    model = create_model("gan", task="generation", classes=8, channels=3, imgsz=16, options=options)
    card = ModelCard(
        "generation",
        "gan",
        dataset.classes,
        Preprocess(16, 16),
        model.mean,
        model.std,
        options=model_options(find_model("gan", "generation"), options),
    )
    file = tmp_path / "model.onnx"
    export_onnx(model.eval(), card, file, samples=dataset.samples, classes=dataset.classes)
    folders = [tmp_path / name for name in ("one", "same", "other")]
    for folder, seed in zip(folders, ("7", "7", "0"), strict=True):
        words = ["generate", str(file), "--count", "5", "--seed", seed, "--class", "7", "--out", str(folder)]
        assert main([*words, "--interpolate", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["count"] == 5 and told["classes"] == ["7"] and Path(told["sheet"]).exists()
    one, same, other = ([path.read_bytes() for path in sorted(folder.glob("0*.png"))] for folder in folders)
    assert len(one) == len(set(one)) == 5 and one == same != other
    with Image.open(folders[0] / "interpolation.gif") as film:
        assert getattr(film, "n_frames", 1) > 20
    for wrong in (["--count", "0"], ["--count", "many"], ["--seed", "-1"], ["--seed", "x"]):
        assert main(["generate", str(file), *wrong, "--out", str(tmp_path / "no")]) == UsageError.exit_status
    assert main(["generate", str(file), "--class", "dog", "--out", str(tmp_path / "no")]) == UsageError.exit_status
    assert not (tmp_path / "no").exists()
    numbers = np.full((1, 16), 1234)
    made = [OnnxEngine(file).run(seed_images(numbers, np.array([k]), (16, 16, 3)))["class_id"][0] for k in range(8)]
    assert made == list(range(8))
