"""Reading a line: convolutions make columns of features, two recurrent layers read them to and fro, CTC aligns them.

Paper: Shi, Bai, Yao 2017, "An End-to-End Trainable Neural Network for Image-based Sequence Recognition", IEEE TPAMI,
arXiv 1507.05717. Graves et al. 2006, "Connectionist Temporal Classification", ICML (the loss).
Licence: code Apache-2.0 (this file, written from the paper; names and shapes as in the widespread public layout, so
that its weight files load); there are no learned weights.
Expected: not measured yet on real lines. `crnn` is as published; `crnn_small` has a quarter of its work, for CPUs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from manako.blocks.layers import check_imgsz, check_range, check_variant, parameter_stages
from manako.blocks.model import Model
from manako.blocks.pretrained import read_weights, start, stored_classes
from manako.blocks.reading import reading_loss, reading_outputs

if TYPE_CHECKING:
    from manako.training.targets.ocr import LineTargets

TASKS = ("ocr",)
VARIANTS: dict[str, dict[str, object]] = {"crnn": {}, "crnn_small": {"width": 32, "hidden": 128, "norms": "all"}}
KERNELS = (3, 3, 3, 3, 3, 3, 2)
WIDTHS = (1, 2, 4, 4, 8, 8, 8)  # channels of each convolution, times `width`
NORMALISED = {"published": (2, 4, 6), "all": tuple(range(7))}  # the convolutions that batch normalisation follows
WIDE = 4.0
NOT_BLANK = 1.0  # the blank is so much less likely at first


class Crnn(Model):
    """width: channels of the first convolution. hidden: units of each recurrent layer, in each direction. norms: which
    convolutions batch normalisation follows, "published" or "all". alphabet: the classes in their order, by which the
    characters of another run's weights are found.

    Made for lines 32 pixels high, of any width; of higher images the rows that are left are averaged. A step is 4
    pixels wide. Symbol 0 is CTC's blank, symbol i the class i - 1.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        width: int = 64,
        hidden: int = 256,
        norms: str = "published",
        alphabet: str = "",
    ) -> None:
        super().__init__()
        check_imgsz(imgsz, 32, model="crnn")
        check_range(width, 1, 256, model="crnn", option="width")
        check_range(hidden, 1, 1024, model="crnn", option="hidden")
        check_variant(norms, NORMALISED, option="norms")
        self.mean, self.std = (0.5,) * channels, (0.5,) * channels
        self.cnn = _convolutions(channels, width, NORMALISED[norms])
        columns = WIDTHS[-1] * width
        self.rnn = nn.Sequential(BothWays(columns, hidden, hidden), BothWays(hidden, hidden, classes + 1))
        self._begin()
        start(self, weights)
        if self.pretrained and alphabet:
            self._take_characters(Path(weights), alphabet)

    def _begin(self) -> None:
        """First weights under which columns differ enough for the loss to tell them apart: CTC leaves its state of
        nothing but blanks in a quarter of the steps. What an LSTM gives at first is a few tenths, hence WIDE."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, BothWays):
                module.embedding.weight.data *= WIDE
                for name, weight in module.rnn.named_parameters():
                    if name.startswith("weight_ih"):
                        nn.init.xavier_uniform_(weight)
                    elif name.startswith("weight_hh"):
                        nn.init.orthogonal_(weight)
        last = self.rnn[1]
        assert isinstance(last, BothWays)
        last.embedding.bias.data[0] -= NOT_BLANK

    def _take_characters(self, file: Path, alphabet: str) -> None:
        """Of another run's last layer the rows of this alphabet's characters, wherever they stand in its own. A
        character that it doesn't know begins as an unlikely one."""
        known = stored_classes(file)
        if known is None:
            return
        place = {character: row for row, character in enumerate(known, 1)}
        rows = torch.tensor([0, *(place.get(character, -1) for character in alphabet)])
        new = rows < 0
        state, last = read_weights(file), self.rnn[1].embedding
        assert isinstance(last, nn.Linear)
        weight, bias = state["rnn.1.embedding.weight"], state["rnn.1.embedding.bias"]
        last.weight.data = torch.where(new[:, None], weight.mean(0), weight[rows])
        last.bias.data = torch.where(new, bias.mean(), bias[rows])
        self.notes = [note for note in self.notes if note[0] != "weights.head"]
        if new.any():
            strange = "".join(character for character in alphabet if character not in place)
            self.notes.append(("weights.new_characters", {"count": len(strange), "characters": strange[:100]}))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Beside the task's outputs, `log_probabilities` (N, T, classes + 1)."""
        columns = self.cnn(images).mean(2).permute(2, 0, 1)
        return reading_outputs(self.rnn(columns).transpose(0, 1), learning=self.training)

    def loss(self, outputs: dict[str, Tensor], targets: LineTargets) -> Tensor:  # type: ignore[override]
        return reading_loss(outputs, targets)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        for number in range(len(KERNELS)):
            names = (f"conv{number}", f"batchnorm{number}")
            yield from parameter_stages(nn.ModuleList(m for n, m in self.cnn.named_children() if n in names))
        yield from parameter_stages(self.rnn[0], self.rnn[1])


class BothWays(nn.Module):
    """(T, N, inputs) -> (T, N, outputs): a recurrent layer to the right and one to the left, joined linearly."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(inputs, hidden, bidirectional=True)
        self.embedding = nn.Linear(2 * hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        seen, _ = self.rnn(x)
        joined: Tensor = self.embedding(seen)
        return joined


def _convolutions(channels: int, width: int, normalised: Collection[int]) -> nn.Sequential:
    """(N, channels, 32, W) -> (N, 8 width, 1, W / 4 + 1)."""
    layers = nn.Sequential()
    pools: dict[int, nn.Module] = {
        0: nn.MaxPool2d(2, 2),
        1: nn.MaxPool2d(2, 2),
        3: nn.MaxPool2d((2, 2), (2, 1), (0, 1)),  # letters are narrow: only the height is halved
        5: nn.MaxPool2d((2, 2), (2, 1), (0, 1)),
    }
    inputs = channels
    for number, (kernel, times) in enumerate(zip(KERNELS, WIDTHS, strict=True)):
        outputs = times * width
        layers.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, kernel, padding=1 if kernel == 3 else 0))
        if number in normalised:
            layers.add_module(f"batchnorm{number}", nn.BatchNorm2d(outputs))
        layers.add_module(f"relu{number}", nn.ReLU())
        if number in pools:
            layers.add_module(f"pooling{number}", pools[number])
        inputs = outputs
    return layers
