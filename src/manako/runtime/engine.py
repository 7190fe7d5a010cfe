"""What runs a network, whatever library stands behind it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from manako.runtime.card import ModelCard


class Engine(Protocol):
    """`OnnxEngine` and `TorchEngine` are the two; prediction, evaluation and parity know only this."""

    @property
    def card(self) -> ModelCard: ...

    def run(self, images: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """images: (N, H, W, C), N >= 1, of the card's size -> the outputs of the card's task, by key."""
