"""Do left and right matter? Mirror images are good practice for fruit and poison for digits and letters.

A linear discriminant on tiny versions of the images is fitted on one half of a sample and asked about the other
half, as it is and mirrored. Where it recognises the mirrored ones much worse, images must not be flipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from manako.training.cache import ImageCache

SIDE = 12  # pixels of the tiny versions
MOST = 3000  # images looked at
SHRINKAGE = 0.3
HARM = 0.55  # flips are off where mirrored accuracy falls below this part of the plain one
CLEARER_THAN_CHANCE = 3.0  # the rule must beat chance by this factor to be heard

Rule = Callable[[NDArray[np.float64]], NDArray[np.int64]]


@dataclass(frozen=True)
class MirrorTest:
    """Accuracies 0..1 of the tiny rule on held-out images, as they are and mirrored."""

    plain: float
    mirrored: float
    chance: float

    @property
    def flips_harm(self) -> bool:
        heard = self.plain >= min(0.9, CLEARER_THAN_CHANCE * self.chance)
        return heard and self.mirrored < HARM * self.plain


def mirror_test(cache: ImageCache, classes: NDArray[np.int64], *, seed: int = 0) -> MirrorTest:
    """classes: (N,) of the cache's images."""
    order = np.sort(np.random.default_rng(seed).permutation(len(cache))[:MOST])
    images = cache.take(order).float()
    tiny = functional.interpolate(images, (SIDE, SIDE), mode="area")
    plain = tiny.flatten(1).double().numpy()
    mirrored = torch.flip(tiny, [3]).flatten(1).double().numpy()
    truth = classes[order]
    half = np.arange(len(order)) % 2 == 0
    rule = _discriminant(plain[half], truth[half])
    found = [float((rule(x[~half]) == truth[~half]).mean()) for x in (plain, mirrored)]
    return MirrorTest(found[0], found[1], float(np.bincount(truth).max() / len(truth)))


def _discriminant(x: NDArray[np.float64], truth: NDArray[np.int64]) -> Rule:
    """Linear discriminant with one covariance, shrunk towards a multiple of the identity."""
    names = np.unique(truth)
    means = np.stack([x[truth == name].mean(0) for name in names])
    centred = x - means[np.searchsorted(names, truth)]
    covariance = centred.T @ centred / len(x)
    level = np.trace(covariance) / len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * level * np.eye(len(covariance))
    weight = np.linalg.solve(shrunk, means.T)
    bias = -0.5 * (means * weight.T).sum(1)

    def rule(y: NDArray[np.float64]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = names[np.argmax(y @ weight + bias, axis=1)]
        return found

    return rule
