"""Auto-encoder: unsupervised learning, with the input itself as the teacher; what passes the narrow middle is the code.

    encoder  x (N, 64) -> dense 32, ReLU -> dense `code`                       the code (N, code)
    decoder  code -> dense 32, ReLU -> dense 64, sigmoid -> y (N, 64)
    loss     mean (y - x)^2                                                    no label is ever looked at

Source: G. E. Hinton, R. R. Salakhutdinov, "Reducing the dimensionality of data with neural networks", 2006.
Held against: principal components of the same number, the best that a linear auto-encoder can do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manako.learn.activations import ReLU, Sigmoid
from manako.learn.dense import Dense
from manako.learn.digits import Indices, digits
from manako.learn.layer import Array
from manako.learn.losses import MeanSquaredError
from manako.learn.network import Network
from manako.learn.optimisers import Adam
from manako.learn.shapes import require_shape
from manako.learn.training import History, train

ENCODER_LAYERS = 3


@dataclass(frozen=True, eq=False)
class Result:
    """Held-out digits: `inputs` and `outputs` (N, 8, 8) from 0 to 1, `codes` (N, code), and the `labels` that it never
    saw. `error` is the mean squared error of the outputs, `linear_error` that of principal components."""

    network: Network
    history: History
    inputs: Array
    codes: Array
    outputs: Array
    labels: Indices
    error: float
    linear_error: float


def build(*, code: int = 8, rng: np.random.Generator | None = None) -> Network:
    rng = np.random.default_rng(0) if rng is None else rng
    encoder = [Dense(64, 32, rng=rng), ReLU(), Dense(32, code, rng=rng)]
    decoder = [Dense(code, 32, rng=rng), ReLU(), Dense(32, 64, rng=rng), Sigmoid()]
    return Network([*encoder, *decoder], MeanSquaredError())


def encode(network: Network, x: Array) -> Array:
    """(N, 64) -> (N, code)."""
    network.forward(x)
    return network.values[ENCODER_LAYERS]


def decode(network: Network, codes: Array) -> Array:
    """(N, code) -> (N, 64): also of codes that no image has."""
    require_shape("auto-encoder code", codes, ("N", len(network.layers[ENCODER_LAYERS - 1].parameters["bias"])))
    values = codes
    for layer in network.layers[ENCODER_LAYERS:]:
        values = layer.forward(values)
    return values


def learn_digits(*, code: int = 8, epochs: int = 60, seed: int = 0) -> Result:
    data = digits(seed=seed)
    x, held_out = data.rows()
    network = build(code=code, rng=np.random.default_rng(seed))
    history = train(
        network, x, x, epochs=epochs, batch_size=32, optimiser=Adam(3e-3), validation=(held_out, held_out), seed=seed
    )
    codes = encode(network, held_out)
    outputs = decode(network, codes)
    error = float(((outputs - held_out) ** 2).mean())
    squares = [a.reshape(-1, 8, 8) for a in (held_out, outputs)]
    return Result(
        network, history, squares[0], codes, squares[1], data.held_out_labels, error, _linear(x, held_out, code)
    )


def _linear(x: Array, held_out: Array, count: int) -> float:
    """The error of the best linear code of the same size, by singular values."""
    centre = x.mean(axis=0)
    directions = np.linalg.svd(x - centre, full_matrices=False)[2][:count]
    away = held_out - centre
    return float(((away - away @ directions.T @ directions) ** 2).mean())
