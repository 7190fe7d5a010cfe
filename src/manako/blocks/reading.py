"""What every reader of lines gives back and learns by: the surest symbols of each step, and CTC's loss.

Graves et al. 2006, "Connectionist Temporal Classification", ICML. Symbol 0 is the blank, i + 1 the class i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from manako.training.targets.ocr import LineTargets

SUREST = 8  # symbols of each step that a beam may choose from


def reading_outputs(scores: Tensor, *, learning: bool = False) -> dict[str, Tensor]:
    """scores: (N, T, classes + 1) before the softmax -> the outputs of the task, `symbols` and `symbol_scores`
    (N, T, K), surest first, and `log_probabilities` (N, T, classes + 1), which alone is there when `learning`."""
    scores = scores.float()
    if learning:
        return {"log_probabilities": scores.log_softmax(2)}
    # The softmax first: ONNX Runtime sorts it out four times as fast as what went into it.
    probability, symbols = scores.softmax(2).topk(min(SUREST, scores.shape[2]), dim=2)
    return {"symbols": symbols, "symbol_scores": probability, "log_probabilities": scores.log_softmax(2)}


def reading_loss(outputs: dict[str, Tensor], targets: LineTargets) -> Tensor:
    """CTC's, for each character; mean over the lines. A text longer than the steps teaches nothing."""
    logs = outputs["log_probabilities"].transpose(0, 1)
    steps = torch.full((logs.shape[1],), logs.shape[0], dtype=torch.int64, device=logs.device)
    each = functional.ctc_loss(logs, targets.symbols, steps, targets.lengths, reduction="none", zero_infinity=True)
    return (each / targets.lengths.clamp_min(1)).mean()
