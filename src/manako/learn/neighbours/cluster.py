"""`manako cluster DATA`: sorts a folder of unlabelled images into groups that look alike.

image -> grey 64 x 64 -> numbers (pixels, HOG, or a network's) -> at most 50 principal components -> clusters
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manako.decode import open_image
from manako.errors import DataError, ImageError, UsageError
from manako.learn.layer import Array, Integers
from manako.learn.neighbours.clustering import Clustering
from manako.learn.neighbours.contact_sheet import contact_sheet
from manako.learn.neighbours.extra import require
from manako.learn.neighbours.grouping import principal_components, sort
from manako.learn.neighbours.hierarchical import Hierarchy, dendrogram
from manako.learn.neighbours.hog import hog, pixels
from manako.messages import message
from manako.paths import atomic_write, find_images, printable

SIDE = 64
SHEET, TREE = "contact-sheet.png", "dendrogram.png"
MOST_JOINED = 6000  # images; hierarchical clustering needs memory for the square of their number
FEATURES = ("hog", "pixels", "backbone")
METHODS = ("k-means", "hierarchical")
Grey = NDArray[np.uint8]  # (N, 64, 64)
Embed = Callable[[Sequence[Path]], Array]  # (N, D) of N images, in order


def cluster_folder(
    data: str | Path, out: str | Path, *, features: Literal["hog", "pixels", "backbone"] = "hog",
    clusters: int | Literal["auto"] = "auto", method: Literal["k-means", "hierarchical"] = "k-means", seed: int = 0,
    embed: Embed | None = None,
) -> Clustering:  # fmt: skip
    """Writes `clusters.csv`, `contact-sheet.png` and `dendrogram.png` into `out`. "backbone" asks `embed`.

    Raises UsageError for an unknown choice, DataError where there are too few images, MissingExtraError without
    scikit-learn. A file that can't be read is skipped and reported.
    """
    _check(features, method, clusters, embed)
    own = [Path(out) / name for name in (SHEET, TREE)]
    paths, grey, skipped = _read(data, own)
    if len(paths) < 2:
        facts: dict[str, object] = {"folder": data, "count": len(paths)}
        if skipped:
            raise DataError("learn.cluster.too_few_because", reason=skipped[0][1], **facts)
        raise DataError("learn.cluster.too_few", **facts)
    if isinstance(clusters, int) and clusters > len(paths):
        raise UsageError("learn.cluster.too_many", clusters=clusters, images=len(paths))
    if method == "hierarchical" and len(paths) > MOST_JOINED:
        raise UsageError("learn.cluster.too_large", images=len(paths), limit=MOST_JOINED)
    vectors = principal_components(_describe(features, paths, grey, embed), seed)
    cluster, silhouette, hierarchy, leaves = sort(vectors, clusters, method, seed)
    files = _write(Path(out), Path(data), paths, cluster, vectors, hierarchy, leaves)
    return Clustering(paths, cluster + 1, features, method, silhouette, skipped, files)


def _check(features: str, method: str, clusters: int | str, embed: Embed | None) -> None:
    for field, value, choices in (("features", features, FEATURES), ("method", method, METHODS)):
        if value not in choices:
            raise UsageError("learn.cluster.choice", field=field, value=value, choices=", ".join(choices))
    if clusters != "auto" and not (isinstance(clusters, int) and clusters >= 1):
        raise UsageError("learn.cluster.number", value=clusters)
    if features == "backbone" and embed is None:
        raise UsageError("learn.cluster.no_backbone")
    require()


def _read(data: str | Path, own: Sequence[Path]) -> tuple[list[Path], Grey, list[tuple[Path, str]]]:
    paths, grey, skipped = [], [], []
    for path in find_images([data]):
        if path in own:  # an earlier run wrote it into the folder that it sorted
            continue
        try:
            image = open_image(path, at_least=(SIDE, SIDE))
        except ImageError as error:
            skipped.append((path, str(error)))
            continue
        paths.append(path)
        grey.append(np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)))
    return paths, np.array(grey, np.uint8).reshape(-1, SIDE, SIDE), skipped


def _describe(features: str, paths: Sequence[Path], grey: Grey, embed: Embed | None) -> Array:
    if features == "backbone" and embed is not None:
        return np.asarray(embed(paths), np.float64)
    describe = hog if features == "hog" else pixels
    parts = [describe(grey[start : start + 256] / 255).astype(np.float32) for start in range(0, len(grey), 256)]
    return np.concatenate(parts)


def _write(
    out: Path, data: Path, paths: Sequence[Path], cluster: Integers, vectors: Array, hierarchy: Hierarchy,
    names: list[str] | None,
) -> list[Path]:  # fmt: skip
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", "cluster"])
    for path, number in zip(paths, cluster.tolist(), strict=True):
        shown = path.relative_to(data) if path.is_relative_to(data) else path
        writer.writerow([printable(shown.as_posix()), number + 1])
    atomic_write(out / "clusters.csv", table.getvalue())
    files = [out / "clusters.csv", contact_sheet(paths, cluster, vectors).write(out / SHEET)]
    if len(hierarchy.joins):
        tree = dendrogram(
            hierarchy,
            names=names,
            clusters=None if names else int(cluster.max()) + 1,
            title=message("learn.cluster.dendrogram"),
            height_label=message("learn.hierarchical.height"),
            note="" if names else message("learn.hierarchical.leaves"),
        )
        files.append(tree.write(out / TREE))
    else:
        (out / TREE).unlink(missing_ok=True)  # that of an earlier run, with more clusters
    return files
