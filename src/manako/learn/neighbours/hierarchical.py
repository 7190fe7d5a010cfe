"""Hierarchical clustering: begin with each datum alone, and join the two nearest clusters, until one is left.

    Ward: join the two whose union raises the inertia the least; height = sqrt(2 a b / (a + b)) |mean - mean|,
    a and b the numbers of data

Shapes: x (N, D); N - 1 joins; cluster n + i is the one that join i made.
Source: J. H. Ward, 1963; joined by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from manako.figures import Axis, Figure, Line, Panel, Rule
from manako.learn.layer import Array, Integers
from manako.learn.neighbours.extra import require

Linkage = Literal["ward", "average", "complete", "single"]


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """`joins` (N - 1, 2) in rising order of `heights` (N - 1,)."""

    joins: Integers
    heights: Array

    def cut(self, clusters: int) -> Integers:
        """(N,) cluster of each datum, from 0, numbered by the first datum of each, with the last joins undone."""
        count = len(self.joins) + 1
        owner = np.arange(count + len(self.joins))
        for index, pair in enumerate(self.joins[: count - clusters]):
            owner[pair] = count + index
        for index in range(len(owner) - 1, -1, -1):  # a join stands after what it joined: follow it up
            owner[index] = owner[owner[index]]
        return np.unique(_by_first(owner[:count]), return_inverse=True)[1].astype(np.int64)

    def order(self) -> Integers:
        """(N,) the data from left to right under the tree."""
        count = len(self.joins) + 1
        waiting, order = [count + len(self.joins) - 1], []
        while waiting:
            node = waiting.pop()
            if node < count:
                order.append(node)
            else:
                left, right = self.joins[node - count]
                waiting += [int(right), int(left)]
        return np.array(order, np.int64)


def _by_first(owner: Integers) -> Integers:
    """Each cluster's name replaced by the place of its first datum."""
    _, first, place = np.unique(owner, return_index=True, return_inverse=True)
    return np.asarray(first[place], np.int64)


def join(x: Array, *, linkage: Linkage = "ward") -> Hierarchy:
    """The whole tree over x (N, D), N >= 2. Needs memory for N^2 distances."""
    require()
    from sklearn.cluster import AgglomerativeClustering

    model = AgglomerativeClustering(n_clusters=None, distance_threshold=0, linkage=linkage)
    model.fit(np.asarray(x, np.float64))
    return Hierarchy(model.children_.astype(np.int64), model.distances_)


def dendrogram(
    hierarchy: Hierarchy, *, names: list[str] | None = None, clusters: int | None = None, most: int = 40,
    title: str = "", height_label: str = "", note: str = "",
) -> Figure:  # fmt: skip
    """The tree; over `most` leaves its top only, each leaf with the number of its data. `clusters` draws the cut."""
    count = len(hierarchy.joins) + 1
    leaves = min(count, most)
    sizes = np.ones(2 * count - 1, np.int64)
    for index, (left, right) in enumerate(hierarchy.joins):
        sizes[count + index] = sizes[left] + sizes[right]
    bottom = 2 * count - 1 - (leaves - 1)  # nodes from here on are drawn as joins
    places: dict[int, float] = {}
    texts: list[str] = []
    for node in _leaves(hierarchy, bottom):
        places[node] = float(len(texts))
        texts.append(names[node] if names and node < count else f"({sizes[node]})")
    x, y = [], []
    height = np.concatenate([np.zeros(count), hierarchy.heights])
    height[:bottom] = 0
    for node in range(bottom, 2 * count - 1):
        left, right = (int(child) for child in hierarchy.joins[node - count])
        a, b, top = places[left], places[right], height[node]
        places[node] = (a + b) / 2
        x += [a, a, b, b, np.nan]
        y += [height[left], top, top, height[right], np.nan]
    marks: list[Line | Rule] = [Line(x, y, colour="train", width=1.5)]
    if clusters is not None and 1 < clusters <= leaves:
        between = (hierarchy.heights[-clusters] if clusters < count else 0.0) + hierarchy.heights[1 - clusters]
        marks.append(Rule(float(between) / 2, "horizontal"))
    across = Axis(low=-0.7, high=leaves - 0.3, ticks=list(enumerate(texts)), grid=False)
    panel = Panel(marks, x=across, y=Axis(height_label, low=0), width=max(320.0, 18.0 * leaves), height=240)
    return Figure([panel], title, note)


def _leaves(hierarchy: Hierarchy, bottom: int) -> list[int]:
    """The nodes below `bottom` that hang under drawn joins, from left to right."""
    count = len(hierarchy.joins) + 1
    waiting, found = [2 * count - 2], []
    while waiting:
        node = waiting.pop()
        if node < bottom:
            found.append(node)
        else:
            left, right = hierarchy.joins[node - count]
            waiting += [int(right), int(left)]
    return found
