"""Reading a line: PP-OCRv6's small recogniser, which reads 18,709 characters as it is and learns a person's own lines.

Paper: Cui et al. 2025, "PaddleOCR 3.0 Technical Report", arXiv 2507.05595 (the family). Du et al. 2022, "SVTR: Scene
Text Recognition with a Single Visual Model", IJCAI, arXiv 2205.00159 (the blocks that look along the line). Graves et
al. 2006, "Connectionist Temporal Classification", ICML (the loss).
Licence: code Apache-2.0 (this file, written from the structure of the published network); weights Apache-2.0
(PaddleOCR), those that the package rapidocr carries.
Expected: with the packaged weights the same numbers as the published ONNX file (to 3e-6).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.layers import check_range, parameter_stages
from manako.blocks.model import Model
from manako.blocks.onnx_weights import OnnxWeights
from manako.blocks.ppocr_backbone import Backbone, start_randomly
from manako.blocks.pretrained import start
from manako.blocks.reading import reading_loss, reading_outputs
from manako.errors import ConfigError

if TYPE_CHECKING:
    from manako.training.targets.ocr import LineTargets

TASKS = ("ocr",)
VARIANTS: dict[str, dict[str, object]] = {"ppocr": {}}
READY = {"ppocr": {"task": "ocr", "height": 48, "width": 3200, "channels": 3}}
NOTICE = "Started from the weights of PP-OCRv6's small recogniser (package rapidocr, PaddleOCR, Apache-2.0)."
PACKAGE = "rapidocr"
FILE = "models/PP-OCRv6_rec_small.onnx"
DEPTHS = (3, 6, 2)
FLATTER = (2, 1)  # between stages only the height is halved: letters are narrow
HEADS = 8
LOOKS = 2
BLANK = 0
KEEP = ("scripts", "all", "data")


class Ppocr(Model):
    """width: channels of the first stage, a multiple of 8; the next ones have 2 and 4 times as many. neck: channels of
    the part that looks along the line, a multiple of 8. alphabet: the classes in their order, by which the packaged
    weights of each character are found; "" where the classes are all that the packaged reader knows. keep: what a run
    keeps of those that its data lack: "scripts" (all characters of the scripts that are used), "all" or "data" (none).

    Made for lines 48 pixels high, of any width; of higher images the rows that are left are averaged. A step is 8
    pixels wide. Symbol 0 is CTC's blank, symbol i the class i - 1.
    """

    def __init__(
        self,
        *,
        classes: int,
        channels: int,
        imgsz: int,
        weights: str = "none",
        width: int = 96,
        neck: int = 120,
        alphabet: str = "",
        keep: str = "scripts",
    ) -> None:
        super().__init__()
        check_range(width, 8, 256, model="ppocr", option="width")
        check_range(neck, 8, 512, model="ppocr", option="neck")
        if keep not in KEEP:
            raise ConfigError("model.option_choice", model="ppocr", option="keep", value=keep, choices=", ".join(KEEP))
        self.mean, self.std = (0.5,) * channels, (0.5,) * channels
        widths = (width, 2 * width, 4 * width)
        self.backbone = Backbone(3, widths=widths, depths=DEPTHS, strides=(FLATTER, FLATTER))
        self.neck = AlongTheLine(widths[-1], neck)
        self.head = nn.Linear(neck, classes + 1)
        start_randomly(self)
        if weights in ("auto", "packaged"):
            self._load_packaged(alphabet)
        self.backbone.stem.take_rgb(channels)
        if weights != "packaged":
            start(self, weights)

    @staticmethod
    def packaged_classes() -> tuple[str, ...]:
        """All characters that the packaged weights read. Raises MissingExtraError without the package."""
        return (*packaged().metadata("character").split("\n"), " ")

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Beside the task's outputs, `log_probabilities` (N, T, classes + 1)."""
        columns = self.neck(self.backbone(images)[-1])
        return reading_outputs(self.head(columns), learning=self.training)

    def loss(self, outputs: dict[str, Tensor], targets: LineTargets) -> Tensor:  # type: ignore[override]
        return reading_loss(outputs, targets)

    def stages(self) -> Iterator[list[nn.Parameter]]:
        yield from parameter_stages(self.backbone.stem, *self.backbone.levels, self.neck, self.head)

    def _load_packaged(self, alphabet: str) -> None:
        """Every weight in the order of the published graph, which is that of this file; of the head the rows of this
        alphabet. A character that the published reader doesn't know begins as an unlikely one."""
        source, known = packaged(), self.packaged_classes()
        names = tuple(alphabet) or known
        if len(names) + 1 != self.head.out_features:
            raise ConfigError("weights.alphabet", classes=self.head.out_features - 1, alphabet=len(names))
        source.fill(nn.ModuleList([self.backbone, self.neck]))
        weight, bias = (source.layers["linear"][-1][name] for name in ("weight", "bias"))
        place = {character: row for row, character in enumerate(known, 1)}
        rows = torch.tensor([BLANK, *(place.get(character, -1) for character in names)])
        new = rows < 0
        self.head.weight.data = torch.where(new[:, None], weight.mean(0), weight[rows])
        self.head.bias.data = torch.where(new, bias.mean(), bias[rows])
        self.pretrained, self.notice = True, NOTICE
        self.notes.append(("weights.package_used", {"package": PACKAGE}))
        if new.any():
            strange = "".join(c for c in alphabet if c not in place)
            self.notes.append(("weights.new_characters", {"count": int(new.sum()), "characters": strange[:100]}))


@cache
def packaged() -> OnnxWeights:
    """Raises MissingExtraError without the package, ModelFileError for a damaged file."""
    return OnnxWeights.packaged(PACKAGE, FILE)


class AlongTheLine(nn.Module):
    """(N, inputs, H, W) -> (N, W / 2, width): columns look at their neighbours, then at the whole line."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.beside = _convolution(inputs, width)
        self.columns = _convolution(inputs, width)
        self.neighbours = _convolution(width, width, kernel=7)
        self.looks = nn.Sequential(*(Looking(width) for _ in range(LOOKS)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.avg_pool2d(x.mean(2, keepdim=True), (1, 2))
        columns = self.columns(x)
        line = (columns + self.neighbours(columns)).squeeze(2).transpose(1, 2)
        seen: Tensor = self.norm(self.looks(line))
        beside: Tensor = self.beside(x)
        return seen + beside.squeeze(2).transpose(1, 2)


def _convolution(inputs: int, outputs: int, *, kernel: int = 1) -> nn.Sequential:
    """With its normalisation; a kernel of several columns sees each channel by itself."""
    groups = 1 if kernel == 1 else inputs
    convolution = nn.Conv2d(inputs, outputs, (1, kernel), padding=(0, kernel // 2), groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU())


class Looking(nn.Module):
    """(N, T, width) -> the same: every step looks at all others, then thinks for itself."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first_norm = nn.LayerNorm(width)
        self.asked = nn.Linear(width, 3 * width)
        self.told = nn.Linear(width, width)
        self.second_norm = nn.LayerNorm(width)
        self.wider = nn.Linear(width, 2 * width)
        self.back = nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        count, steps, width = x.shape
        parts = self.asked(self.first_norm(x)).reshape(count, steps, 3, HEADS, width // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value)
        x = x + self.told(seen.transpose(1, 2).reshape(count, steps, width))
        thought: Tensor = self.back(functional.silu(self.wider(self.second_norm(x))))
        return x + thought
