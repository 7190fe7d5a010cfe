"""Hierarchical clustering: join the two nearest clusters, again and again, and draw the tree of joins."""

from __future__ import annotations

import numpy as np

from manako.figures import Figure, Text
from manako.learn.digits import digits
from manako.learn.layer import Array, Integers
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.neighbours.hierarchical import Hierarchy, dendrogram, join
from manako.learn.neighbours.k_means import nearest
from manako.learn.panels import picture, plane
from manako.messages import message

TITLE = "learn.hierarchical_clustering.title"
ORDER = 230

POINTS = np.array([[1.0, 1.0], [1.4, 1.2], [0.8, 1.7], [4.0, 1.0], [4.5, 1.3], [2.5, 4.0], [2.9, 4.3], [2.2, 3.4]])


def play(seed: int = 0) -> Lesson:
    small = join(POINTS)
    names = [chr(ord("A") + i) for i in range(len(POINTS))]
    pictures, labels = _digits(seed)
    hierarchy = join(pictures.reshape(len(pictures), -1))
    words = ["first", "second", "height", "size"]
    table = Table([message(f"learn.hierarchical.{word}") for word in words], _joins(small, names))
    lines = [message("learn.hierarchical.idea"), message("learn.hierarchical.ward")]
    cluster = hierarchy.cut(3)
    pure = sum(np.bincount(labels[cluster == i]).max() for i in range(3)) / len(labels)
    digit_line = message("learn.hierarchical.digits_line", purity=number(100 * pure, 0), count=len(labels))
    sections = [
        Section(message("learn.hierarchical.joins"), lines, table),
        Section(message("learn.hierarchical.digits"), [digit_line]),
    ]
    figures = {
        "points": _plane(small, names),
        "dendrogram": dendrogram(
            small, names=names, clusters=3, title=message("learn.hierarchical.joins"),
            height_label=message("learn.hierarchical.height"), note=message("learn.hierarchical.cut"),
        ),
        "digits": _ordered(hierarchy, pictures),
        "digits-dendrogram": dendrogram(
            hierarchy, names=[str(label) for label in labels], clusters=3, title=message("learn.hierarchical.digits"),
            height_label=message("learn.hierarchical.height"), note=message("learn.hierarchical.digits_note"),
        ),
    }  # fmt: skip
    data = {"joins": small.joins, "heights": small.heights, "cut": small.cut(3), "purity_of_digits": pure}
    return Lesson(sections, figures, data)


def _joins(tree: Hierarchy, names: list[str]) -> list[list[str]]:
    rows, members = [], list(names)
    for (left, right), height in zip(tree.joins, tree.heights, strict=True):
        members.append("".join(sorted(members[left] + members[right])))
        rows.append([members[left], members[right], number(height), str(len(members[-1]))])
    return rows


def _digits(seed: int) -> tuple[Array, Integers]:
    """Ten pictures each of 0, 1 and 4."""
    data = digits(seed=seed)
    chosen = np.concatenate([np.flatnonzero(data.labels == digit)[:10] for digit in (0, 1, 4)])
    return data.images[chosen, 0], data.labels[chosen]


def _plane(tree: Hierarchy, names: list[str]) -> Figure:
    panels = []
    for clusters in (3, 2):
        cluster = tree.cut(clusters)
        letters = [Text(x, y, name, shift=(0, -14)) for (x, y), name in zip(POINTS, names, strict=True)]
        means = np.stack([POINTS[cluster == i].mean(0) for i in range(clusters)])
        panels.append(
            plane(
                nearest(means), POINTS, cluster,
                [message("learn.k_means.cluster", number=i + 1) for i in range(clusters)],
                title=message("learn.hierarchical.clusters", count=clusters), more=letters,
            )
        )  # fmt: skip
    return Figure(panels, message("learn.hierarchical_clustering.title"), columns=2)


def _ordered(tree: Hierarchy, pictures: Array) -> Figure:
    panels = [picture(pictures[i], side=44) for i in tree.order()]
    return Figure(panels, message("learn.hierarchical.order"), columns=15)
