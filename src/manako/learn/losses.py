"""Losses: one number that says how far the outputs are from the teacher's targets, and its gradient.

    mean squared error          L = mean (y - t)^2                                 dL/dy = 2 (y - t) / count
    binary cross-entropy        L = -mean [t log p + (1 - t) log(1 - p)]           dL/dz = (p - t) / count
                                p = sigmoid(z), z the outputs (logits)
    categorical cross-entropy   L = -mean log p[n, t_n]                            dL/dz = (p - onehot(t)) / N
                                p = softmax(z), z the outputs (logits)

Shapes: outputs (N, ...), targets alike; for the categorical loss outputs (N, K) and class ids (N,).
The cross-entropies take logits: log(softmax) in one step can't overflow, and the gradient is the plain difference.
Source: C. M. Bishop, "Pattern Recognition and Machine Learning", 2006, 4.3 and 5.2.
"""

from __future__ import annotations

import numpy as np

from manako.errors import DataError
from manako.learn.activations import sigmoid, softmax
from manako.learn.layer import Array, Integers
from manako.learn.shapes import require_shape


class Loss:
    """`each` is the loss of every datum (N,); `value`, what learning makes small, is their mean."""

    name = "loss"

    def each(self, outputs: Array, target: Array | Integers) -> Array:
        raise NotImplementedError

    def gradient(self, outputs: Array, target: Array | Integers) -> Array:
        raise NotImplementedError

    def value(self, outputs: Array, target: Array | Integers) -> float:
        return float(self.each(outputs, target).mean())


class MeanSquaredError(Loss):
    name = "mean_squared_error"

    def each(self, outputs: Array, target: Array | Integers) -> Array:
        require_shape(f"{self.name} target", np.asarray(target), outputs.shape)
        each: Array = ((outputs - target) ** 2).reshape(len(outputs), -1).mean(axis=1)
        return each

    def gradient(self, outputs: Array, target: Array | Integers) -> Array:
        difference: Array = (outputs - target).astype(outputs.dtype)
        return 2 * difference / outputs.size


class BinaryCrossEntropy(Loss):
    """Of logits; targets from 0 to 1."""

    name = "binary_cross_entropy"

    def each(self, outputs: Array, target: Array | Integers) -> Array:
        require_shape(f"{self.name} target", np.asarray(target), outputs.shape)
        loss = np.maximum(outputs, 0) - outputs * target + np.log1p(np.exp(-np.abs(outputs)))
        each: Array = loss.reshape(len(outputs), -1).mean(axis=1)
        return each

    def gradient(self, outputs: Array, target: Array | Integers) -> Array:
        difference: Array = (sigmoid(outputs) - target).astype(outputs.dtype)
        return difference / outputs.size


class CategoricalCrossEntropy(Loss):
    """Of logits (N, K) and class ids (N,)."""

    name = "categorical_cross_entropy"

    def each(self, outputs: Array, target: Array | Integers) -> Array:
        ids = _class_ids(self.name, outputs, target)
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        each: Array = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(ids)), ids]
        return each

    def gradient(self, outputs: Array, target: Array | Integers) -> Array:
        ids = _class_ids(self.name, outputs, target)
        return (softmax(outputs) - one_hot(ids, outputs.shape[1]).astype(outputs.dtype)) / len(outputs)


def one_hot(ids: Integers, classes: int) -> Array:
    """(N,) class ids -> (N, classes) with a 1 at each id."""
    return np.eye(classes)[ids]


def _class_ids(name: str, outputs: Array, target: Array | Integers) -> Integers:
    require_shape(f"{name} outputs", outputs, ("N", "K"))
    ids = np.asarray(target)
    require_shape(f"{name} target", ids, (len(outputs),))
    whole: Integers = ids.astype(np.int64)
    outside = (whole < 0) | (whole >= outputs.shape[1]) | (whole != ids)
    if outside.any():
        where = int(np.flatnonzero(outside)[0])
        raise DataError("learn.class_id", value=ids[where].item(), index=where, classes=outputs.shape[1])
    return whole
