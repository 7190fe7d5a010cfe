"""`cluster` on generated folders: three kinds of pictures are told apart, bad files are skipped and named."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from tests.figures.recording import record

from manako.errors import DataError, MissingExtraError, UsageError
from manako.learn.neighbours import cluster as room
from manako.learn.neighbours import extra
from manako.learn.neighbours.cluster import cluster_folder
from manako.messages import set_language

KINDS = ("disc", "upright", "lying")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12 pictures of each of three kinds, with noise, in two folders, and one broken file."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    (root / "more").mkdir()
    for kind in KINDS:
        for index in range(12):
            y, x = np.mgrid[:80, :100]
            shift = rng.uniform(-4, 4)
            shapes = {
                "disc": np.hypot(x - 50 - shift, y - 40) < 25 + shift,
                "upright": (x + shift) // 12 % 2 == 0,
                "lying": (y + shift) // 12 % 2 == 0,
            }
            grey = shapes[kind] * 180 + 30 + rng.normal(0, 8, (80, 100))
            place = root / "more" if index % 2 else root
            Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(place / f"{kind}_{index}.png")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    return root


@pytest.mark.parametrize("method", ["k-means", "hierarchical"])
@pytest.mark.parametrize("features", ["hog", "pixels"])
def test_three_kinds_are_told_apart(folder, tmp_path, method, features):
    result = cluster_folder(folder, tmp_path, clusters=3, method=method, features=features)
    kinds = np.array([KINDS.index(path.name.split("_")[0]) for path in result.paths])
    if features == "hog":
        assert result.sizes == [12, 12, 12]
        assert (np.equal.outer(kinds, kinds) == np.equal.outer(result.cluster, result.cluster)).all()
    assert sum(result.sizes) == 36 and result.sizes == sorted(result.sizes, reverse=True)
    rows = list(csv.DictReader((tmp_path / "clusters.csv").read_text("utf-8").splitlines()))
    assert {row["path"]: int(row["cluster"]) for row in rows} == {
        path.relative_to(folder).as_posix(): number for path, number in zip(result.paths, result.cluster, strict=True)
    }
    assert any("more/" in row["path"] for row in rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clusters.csv", "contact-sheet.png", "dendrogram.png"]
    assert [path.name for path, _ in result.skipped] == ["broken.png"]
    json.dumps(result.as_json(), allow_nan=False)


def test_the_number_is_found(folder, tmp_path):
    result = cluster_folder(folder, tmp_path)
    assert result.sizes == [12, 12, 12] and result.silhouette > 0.4


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    for name in ("a", "b"):
        cluster_folder(folder, tmp_path / name, clusters=4, seed=5)
    assert (tmp_path / "a" / "clusters.csv").read_bytes() == (tmp_path / "b" / "clusters.csv").read_bytes()


def test_a_network_may_describe_the_images(folder, tmp_path):
    def embed(paths):
        return np.array([[len(path.parts), 5.0 * KINDS.index(path.name.split("_")[0])] for path in paths])

    result = cluster_folder(folder, tmp_path, features="backbone", clusters=3, embed=embed)
    assert result.sizes == [12, 12, 12]
    with pytest.raises(UsageError, match="hog"):
        cluster_folder(folder, tmp_path, features="backbone")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_report_and_pictures_in_both_languages(folder, tmp_path, monkeypatch, language):
    sheets = []
    keep = room.contact_sheet
    monkeypatch.setattr(room, "contact_sheet", lambda *given: sheets.append(keep(*given)) or sheets[-1])
    set_language(language)
    try:
        text = cluster_folder(folder, tmp_path, clusters=2, method="hierarchical").text()
    finally:
        set_language(None)
    assert "broken.png" in text and "clusters.csv" in text
    recording = record(sheets[0])
    assert recording.outside() == [] and recording.overlaps() == [] and len(recording.images) == 20


def test_twins_and_small_folders(tmp_path):
    for index in range(3):
        Image.new("RGB", (20, 20), "grey").save(tmp_path / f"{index}.png")
    same = cluster_folder(tmp_path, tmp_path / "out", clusters=3)
    assert same.sizes == [3] and same.silhouette is None
    assert cluster_folder(tmp_path, tmp_path / "out").sizes == [3]
    (tmp_path / "one").mkdir()
    Image.new("L", (20, 20)).save(tmp_path / "one" / "0.png")
    with pytest.raises(DataError, match="at least two"):
        cluster_folder(tmp_path / "one", tmp_path / "out")
    with pytest.raises(DataError, match="nowhere"):
        cluster_folder(tmp_path / "nowhere", tmp_path / "out")


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"features": "sift"}, "hog"),
        ({"method": "dbscan"}, "k-means"),
        ({"clusters": 0}, "at least 1"),
        ({"clusters": 99}, "99"),
    ],
)
def test_wrong_choices_are_explained_and_nothing_is_written(folder, tmp_path, choice, said):
    with pytest.raises(UsageError, match=said):
        cluster_folder(folder, tmp_path / "out", **choice)
    assert not (tmp_path / "out").exists()


def test_without_scikit_learn_it_says_how_to_get_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"manako\[learn\]"):
        cluster_folder(folder, tmp_path)
