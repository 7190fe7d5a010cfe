"""Decision tree: questions "is feature f <= t?", one after the other, until a leaf names the class.

    Gini impurity of a node   1 - sum over classes of share^2        0 where all data are of one class
    each question is the one that lowers the weighted mean impurity of its two children the most

Shapes: x (N, D), labels (N,) class ids. Source: L. Breiman et al., "Classification and Regression Trees", 1984;
grown by scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manako.learn.layer import Array, Integers
from manako.learn.neighbours.extra import require


@dataclass(frozen=True, eq=False)
class Node:
    """A question (`left` if yes, `right` if no: places in `Tree.nodes`) or a leaf (both -1). `counts` (K,) by class."""

    feature: int
    threshold: float
    impurity: float
    counts: Integers
    left: int
    right: int

    @property
    def is_leaf(self) -> bool:
        return self.left < 0


@dataclass(frozen=True, eq=False)
class Tree:
    """`nodes`, the root first."""

    nodes: tuple[Node, ...]

    def predict(self, x: Array) -> Integers:
        """(N, D) -> (N,): each datum walks down by itself."""
        return np.array([self._leaf(row).counts.argmax() for row in np.asarray(x)], np.int64)

    def _leaf(self, row: Array) -> Node:
        node = self.nodes[0]
        while not node.is_leaf:
            node = self.nodes[node.left if row[node.feature] <= node.threshold else node.right]
        return node

    @property
    def depth(self) -> int:
        levels = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):  # children stand after their parent
            if not node.is_leaf:
                levels[node.left] = levels[node.right] = levels[index] + 1
        return max(levels)


def gini(counts: Integers) -> float:
    shares = np.asarray(counts) / np.sum(counts)
    return float(1 - (shares**2).sum())


def grow(x: Array, labels: Integers, *, depth: int | None = None, seed: int = 0) -> Tree:
    """A tree of at most `depth` questions in a row."""
    require()
    from sklearn.tree import DecisionTreeClassifier

    # float32 is what scikit-learn grows on: the thresholds then part the same numbers here as there.
    model = DecisionTreeClassifier(max_depth=depth, random_state=seed).fit(np.asarray(x, np.float32), labels)
    grown = model.tree_
    counts = np.rint(grown.value[:, 0] * grown.weighted_n_node_samples[:, None]).astype(np.int64)
    return Tree(
        tuple(
            Node(int(grown.feature[i]), float(grown.threshold[i]), float(grown.impurity[i]), counts[i],
                 int(grown.children_left[i]), int(grown.children_right[i]))
            for i in range(grown.node_count)
        )
    )  # fmt: skip
