"""How alike two sets of images are: made ones and real ones. Distances of their features as distributions.

The features are not a trained network's: edges by place and direction, and colours by place, of the image at 32 x 32.
So nothing here is the "FID" or "KID" of papers, whose numbers come from Inception: the names end with `_hog`, and
`FEATURES` tells by a hash whether two numbers come from the same features.

Source: Heusel et al. 2017 (Fréchet distance), Binkowski et al. 2018 (kernel distance), Kynkäänniemi et al. 2019
(precision and recall of the manifold).
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]
SIDE, CELLS, DIRECTIONS = 32, 4, 9
CELL = SIDE // CELLS  # pixels
FEATURES = "4806e07c"  # the features' hash: of those of a fixed image (`features_hash`), as the tests find it
NEAREST = 3  # neighbours that say how far the manifold reaches around an image
SUBSET = 2000  # images that are compared all with all
NOTHING = 1e-6  # of the spread: what rounding leaves of a distance of 0


def features(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, C) -> (192,): 4 x 4 cells of 9 directions of edges (roots of their mean strength), then 4 x 4 colours."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, reducing_gap=3.0)
    colours = np.asarray(small.convert("RGB"), np.float32) / 255
    edges = _edges(colours.mean(2)) / CELL**2
    means = colours.reshape(CELLS, CELL, CELLS, CELL, 3).mean((1, 3))
    return np.concatenate([np.sqrt(edges), means.ravel()]).astype(np.float32)


def _edges(grey: NDArray[np.float32]) -> Array:
    """(SIDE, SIDE) -> (CELLS * CELLS * DIRECTIONS,): strength of edges, shared between the two nearest directions."""
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    down[1:-1] = grey[2:] - grey[:-2]
    strength = np.hypot(across, down)
    place = np.mod(np.arctan2(down, across) / np.pi, 1.0) * DIRECTIONS - 0.5
    lower = np.floor(place)
    share = place - lower
    first = lower.astype(np.int64) % DIRECTIONS
    rows = np.arange(SIDE) // CELL
    cell = (rows[:, None] * CELLS + rows) * DIRECTIONS
    bins = np.concatenate([(cell + first).ravel(), (cell + (first + 1) % DIRECTIONS).ravel()])
    weights = np.concatenate([(strength * (1 - share)).ravel(), (strength * share).ravel()])
    found: Array = np.bincount(bins, weights, CELLS * CELLS * DIRECTIONS).astype(np.float64)
    return found


def features_hash() -> str:
    """Of the features of one fixed image, rounded: equal wherever numbers can be compared."""
    steps = np.arange(40 * 30 * 3).reshape(40, 30, 3)
    image = (steps * steps // 7 % 251).astype(np.uint8)
    rounded = np.round(features(image).astype(np.float64), 3) + 0.0
    return blake2b(rounded.tobytes(), digest_size=4).hexdigest()


def frechet(first: Array, second: Array) -> float:
    """Between two sets (N, D), as if normally distributed: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^1/2)."""
    one, other = _centred(first), _centred(second)
    spread = float((one**2).sum() + (other**2).sum())
    if len(one) + len(other) <= 2 * one.shape[1]:
        shared = np.linalg.svd(one @ other.T, compute_uv=False).sum()
    else:
        shared = np.linalg.svd(_root(one.T @ one) @ _root(other.T @ other), compute_uv=False).sum()
    moved = float(((first.mean(0) - second.mean(0)) ** 2).sum())
    found = moved + spread - 2 * float(shared)
    return found if found > NOTHING * spread else 0.0


def _centred(values: Array) -> Array:
    """So scaled that X^T X is the covariance."""
    scaled: Array = (values - values.mean(0)) / max(1, len(values) - 1) ** 0.5
    return scaled


def _root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh(matrix)
    root: Array = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    return root


def kernel_distance(first: Array, second: Array) -> float:
    """The unbiased squared distance of the means under the kernel (x y / D + 1)^3; may lie below 0. 0 for one image."""
    one, other = _some(first), _some(second)
    if min(len(one), len(other)) < 2:
        return 0.0
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (_kernel(one, one), _kernel(other, other))]
    return float(sum(within) - 2 * _kernel(one, other).mean())


def _kernel(first: Array, second: Array) -> Array:
    found: Array = (first @ second.T / first.shape[1] + 1) ** 3
    return found


def _some(values: Array) -> Array:
    """At most SUBSET of them, evenly spread."""
    return values[_spread(len(values))]


def _spread(count: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(SUBSET, count)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Neighbours:
    """real: (N,) distance of each real image to the nearest other real one. made: (N,) of each made image to the
    nearest real one. precision: share of the made images that lie among real ones; recall: share of the real images
    that lie among made ones. diversity: mean distance of two made images over that of two real ones. outside: made
    images that lie among none, farthest first."""

    real: Array
    made: Array
    precision: float
    recall: float
    diversity: float
    outside: tuple[int, ...]


def neighbours(made: Array, real: Array) -> Neighbours:
    """made, real: (N, D), of equal number; of more than SUBSET some are compared."""
    index = _spread(len(made))
    made, real = made[index], real[index]
    among_real, among_made, across = distances(real, real), distances(made, made), distances(made, real)
    real_reach, made_reach = _reach(among_real), _reach(among_made)
    inside = (across <= real_reach[None]).any(1)
    far = np.flatnonzero(~inside)
    far = far[np.argsort(-across[far].min(1), kind="stable")]
    spread = float(among_real.mean())
    return Neighbours(
        real=_nearest_other(among_real),
        made=across.min(1),
        precision=float(inside.mean()),
        recall=float((across <= made_reach[:, None]).any(0).mean()),
        diversity=float(among_made.mean()) / spread if spread > 0 else 1.0,
        outside=tuple(index[far].tolist()),
    )


def distances(first: Array, second: Array) -> Array:
    """(N, M). Exactly 0 between equal rows."""
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1)[None] - 2 * first @ second.T
    scale = max(1e-12, float(np.abs(squares).max()))
    found: Array = np.sqrt(np.where(squares < 1e-9 * scale, 0.0, squares))
    return found


def _reach(among: Array) -> Array:
    """(N,) distance to the NEAREST-th other image."""
    place = min(NEAREST, len(among) - 1)
    reach: Array = np.partition(among, place, axis=1)[:, place]
    return reach


def _nearest_other(among: Array) -> Array:
    if len(among) < 2:
        return np.zeros(len(among))
    nearest: Array = np.where(np.eye(len(among), dtype=bool), np.inf, among).min(1)
    return nearest
