"""Support vector machine: the line (or, with a kernel, the curve) that keeps the widest gap between two classes.

    decision(x) = sum over support vectors of a_i K(v_i, x) + b        class 1 where it is above 0
    K linear    v . x                       the gap is 2 / |w|, w = sum a_i v_i
    K RBF       e^(-gamma |v - x|^2)        curved borders

Only the data on or inside the gap, the support vectors, count. `softness` C: what a datum inside the gap costs.
Shapes: x (N, D), labels (N,) of 0 and 1. Source: C. Cortes, V. Vapnik, "Support-vector networks", 1995; found by
scikit-learn (LIBSVM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from manako.learn.layer import Array, Integers
from manako.learn.neighbours.extra import require


@dataclass(frozen=True, eq=False)
class Machine:
    """`vectors` (V, D) and their `weights` a (V,), negative for class 0; `chosen` (V,) says which data they are."""

    kernel: Literal["linear", "rbf"]
    gamma: float
    vectors: Array
    weights: Array
    offset: float
    chosen: Integers

    def decision(self, x: Array) -> Array:
        """(N, D) -> (N,): above 0 for class 1; -1 and 1 on the edges of the gap."""
        rows = np.asarray(x, np.float64)
        if self.kernel == "linear":
            similarity = rows @ self.vectors.T
        else:
            squares = (rows**2).sum(1)[:, None] - 2 * rows @ self.vectors.T + (self.vectors**2).sum(1)
            similarity = np.exp(-self.gamma * squares)
        values: Array = similarity @ self.weights + self.offset
        return values

    def predict(self, x: Array) -> Integers:
        return (self.decision(x) > 0).astype(np.int64)

    @property
    def gap(self) -> float:
        """Width of the gap of a linear machine."""
        return float(2 / np.linalg.norm(self.weights @ self.vectors))


def separate(
    x: Array, labels: Integers, *, kernel: Literal["linear", "rbf"] = "linear", softness: float = 1.0,
    gamma: float | None = None,
) -> Machine:  # fmt: skip
    """Without `gamma`: 1 / (D variance of x)."""
    require()
    from sklearn.svm import SVC

    rows = np.asarray(x, np.float64)
    width = gamma if gamma is not None else 1 / (rows.shape[1] * float(rows.var()) or 1.0)
    model = SVC(kernel=kernel, C=softness, gamma=width).fit(rows, labels)
    chosen = model.support_.astype(np.int64)
    return Machine(kernel, width, rows[chosen], model.dual_coef_[0], float(model.intercept_[0]), chosen)
