"""The embedded digits are those of scikit-learn, pixel for pixel."""

from __future__ import annotations

import numpy as np
import pytest

from manako.samples.digits import load_digits


def test_shapes_and_range() -> None:
    images, labels = load_digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.uint8
    assert labels.shape == (1797,) and labels.dtype == np.int64
    assert images.min() == 0 and images.max() == 255
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_equal_to_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = load_digits()
    reference = datasets.load_digits()
    assert np.array_equal(np.rint(images / 255 * 16), reference.images)
    assert np.array_equal(labels, reference.target)
