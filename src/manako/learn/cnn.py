"""The basic structure of a CNN: convolutions find features, pooling keeps the strongest, a dense layer decides.

    image (N, 1, 8, 8)
      block 1  padded convolution 3x3 -> (N, 16, 8, 8)   ReLU   padded convolution 3x3 -> (N, 32, 8, 8)   ReLU
               max pooling 2x2 -> (N, 32, 4, 4)
      block 2  convolution 3x3, no padding -> (N, 64, 2, 2)   ReLU
      decision flatten -> (N, 256)   dense -> (N, 10) logits   softmax in the loss

Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; K. Simonyan, A. Zisserman,
arXiv 1409.1556 (blocks of 3x3). Seen on two busy CPU cores: see benchmarks/learn_convolution.py.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from manako.learn.activations import ReLU
from manako.learn.convolution import Convolution
from manako.learn.dense import Dense
from manako.learn.digits import Indices, digits
from manako.learn.flatten import Flatten
from manako.learn.layer import Array
from manako.learn.losses import CategoricalCrossEntropy
from manako.learn.network import Network
from manako.learn.optimisers import Adam
from manako.learn.pooling import MaxPooling
from manako.learn.training import History, train


@dataclass(frozen=True, eq=False)
class Result:
    """`accuracy` on the held-out digits, whose indices, labels and predictions stand beside it."""

    network: Network
    history: History
    accuracy: float
    seconds: float
    held_out: Indices
    labels: Indices
    predicted: Indices


def build(*, rng: np.random.Generator | None = None, dtype: npt.DTypeLike = np.float64) -> Network:
    """25,866 numbers to learn: 160 + 4,640 + 18,496 in the convolutions, 2,570 in the decision."""
    rng = np.random.default_rng(0) if rng is None else rng
    return Network(
        [
            Convolution(1, 16, 3, padding=1, rng=rng, dtype=dtype), ReLU(),
            Convolution(16, 32, 3, padding=1, rng=rng, dtype=dtype), ReLU(),
            MaxPooling(2),
            Convolution(32, 64, 3, rng=rng, dtype=dtype), ReLU(),
            Flatten(),
            Dense(256, 10, rng=rng, dtype=dtype),
        ],
        CategoricalCrossEntropy(),
    )  # fmt: skip


def learn_digits(*, epochs: int = 12, batch_size: int = 32, seed: int = 0, dtype: npt.DTypeLike = np.float32) -> Result:
    """Trains on 1,433 digits and is judged by 364 that it has never seen. float32 learns as well, and faster."""
    begun = time.perf_counter()
    data = digits(seed=seed, dtype=dtype)
    network = build(rng=np.random.default_rng(seed), dtype=dtype)
    held_out = (data.held_out_images, data.held_out_labels)
    history = train(
        network, data.images, data.labels, epochs=epochs, batch_size=batch_size, optimiser=Adam(2e-3),
        validation=held_out, seed=seed,
    )  # fmt: skip
    predicted = network.predict(data.held_out_images).argmax(axis=1)
    right = float((predicted == data.held_out_labels).mean())
    seconds = time.perf_counter() - begun
    return Result(network, history, right, seconds, data.held_out_indices, data.held_out_labels, predicted)


def feature_maps(network: Network, image: Array) -> tuple[tuple[str, Array], ...]:
    """What each layer makes of one image (H, W) from 0 to 1: (layer name, maps (C, H, W)), as long as they are maps."""
    network.forward(np.asarray(image)[None, None].astype(next(iter(network.parameters().values())).dtype))
    return tuple((layer.name, layer.output[0]) for layer in network.trace() if layer.output.ndim == 4)


def kernels(network: Network) -> tuple[tuple[str, Array], ...]:
    """(layer name, kernels (maps, channels, k, k)) of every convolution."""
    return tuple((layer.name, layer.parameters["weight"]) for layer in network.layers if isinstance(layer, Convolution))
