"""The base of every model: what the training loop, the runtime and the exporter may rely on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from manako.training.batch import Targets


class Model(nn.Module):
    """A network of one task, with its loss.

    mean, std: one number a channel, for pixels scaled to 0..1; `normalise` applies them, in training and in the
    exported graph alike. pretrained: whether learned weights were loaded. notes: what a person should know of the
    weights (where they come from, why none were loaded), as (message key, facts). parts: what the last loss in training
    was the sum of, by name and detached, where its parts deserve curves of their own: `loss.<name>` is a message.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    pretrained: bool = False
    notice: str = ""
    not_exportable: str = ""
    """Why it can't be one graph of operators, as a message key; "" where it can."""
    effort: float = 1.0
    """What predicting an image takes, over what a step of learning from it takes, where it is more."""
    learns: ClassVar[Literal["steps", "once"]] = "steps"
    """How: by steps down the gradient of `loss`, or by going through the images once (`fit(batches)`)."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[tuple[str, dict[str, object]]] = []
        self.parts: dict[str, Tensor] = {}

    @abstractmethod
    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images: (N, C, H, W) float, normalised. Returns the outputs of the model's task and what its own
        loss needs beside them; in training mode, only the latter is needed."""

    @abstractmethod
    def loss(self, outputs: dict[str, Tensor], targets: Targets) -> Tensor:
        """A scalar: the mean loss over the batch."""

    def fit(self, batches: Iterable[Tensor]) -> Tensor:
        """Of models that learn "once": go through all training images, (N, C, H, W) normalised. Returns how strange
        each is, (images,), measured without itself."""
        raise NotImplementedError

    def stages(self) -> Iterator[list[nn.Parameter]]:
        """Parameters from the input's side to the output's, the head last: for freezing and layer-wise rates."""
        yield list(self.parameters())

    @staticmethod
    def packaged_classes() -> tuple[str, ...]:
        """Of models that are ready without training: what their packaged weights know. Raises MissingExtraError."""
        raise NotImplementedError

    def normalise(self, images: Tensor) -> Tensor:
        """(N, C, H, W), uint8 0..255 or float 0..255 -> float with the model's mean and spread."""
        mean = torch.tensor(self.mean, device=images.device).view(1, -1, 1, 1) * 255.0
        scale = torch.tensor(self.std, device=images.device).view(1, -1, 1, 1) * 255.0
        return (images.to(mean.dtype) - mean) / scale
