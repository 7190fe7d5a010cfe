"""From vectors to clusters: principal components, the split, and how well it fits.

"auto" takes the number of clusters, 2 to 12, with the best silhouette: per datum (b - a) / max(a, b), a the mean
distance to its own cluster, b to the nearest other one. Shapes: vectors (N, D), cluster (N,).
Source: P. Rousseeuw, "Silhouettes", 1987; split by scikit-learn.
"""

from __future__ import annotations

import numpy as np

from manako.learn.layer import Array, Integers
from manako.learn.neighbours.hierarchical import Hierarchy, join
from manako.messages import message

COMPONENTS = 50
MOST_CLUSTERS = 12


def principal_components(vectors: Array, seed: int) -> Array:
    """What differs most; small differences of many pixels would drown it."""
    from sklearn.decomposition import PCA

    if not np.ptp(vectors, axis=0).any():  # all alike
        return np.zeros((len(vectors), 1))
    count = min(COMPONENTS, len(vectors) - 1, vectors.shape[1])
    return np.asarray(PCA(count, random_state=seed).fit_transform(vectors), np.float64)


def sort(
    vectors: Array, clusters: int | str, method: str, seed: int
) -> tuple[Integers, float | None, Hierarchy, list[str] | None]:
    """Clusters from 0, the largest first; their silhouette; the tree to draw; names of its leaves, if it has few."""
    hierarchy = join(vectors) if method == "hierarchical" else None

    def split(count: int) -> Integers:
        return hierarchy.cut(count) if hierarchy else _k_means(vectors, count, seed)

    distinct = len(np.unique(vectors.round(9), axis=0))
    if clusters == "auto":
        most = min(MOST_CLUSTERS, distinct, len(vectors) - 1)
        tried = [split(count) for count in range(2, most + 1)] or [np.zeros(len(vectors), np.int64)]
        cluster = max(tried, key=lambda each: _silhouette(vectors, each, seed) or -1.0)
    else:
        cluster = split(min(int(clusters), distinct))
    sizes = np.bincount(cluster)
    rank = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
    cluster = rank[cluster]
    silhouette = _silhouette(vectors, cluster, seed)
    if hierarchy:
        return cluster, silhouette, hierarchy, None
    centres = np.stack([vectors[cluster == index].mean(0) for index in range(len(sizes))])
    names = [message("learn.cluster.name", number=index + 1) for index in range(len(centres))]
    tree = join(centres) if len(centres) > 1 else Hierarchy(np.zeros((0, 2), np.int64), np.zeros(0))
    return cluster, silhouette, tree, names


def _k_means(vectors: Array, count: int, seed: int) -> Integers:
    from sklearn.cluster import KMeans

    return np.asarray(KMeans(count, n_init=5, random_state=seed).fit_predict(vectors), np.int64)


def _silhouette(vectors: Array, cluster: Integers, seed: int) -> float | None:
    from sklearn.metrics import silhouette_score

    if not 2 <= len(np.unique(cluster)) < len(vectors):
        return None
    sample = min(len(vectors), 2000)
    try:
        return float(silhouette_score(vectors, cluster, sample_size=sample, random_state=seed))
    except ValueError:  # the sample happened to hold one cluster only
        return None
