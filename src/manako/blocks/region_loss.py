"""Losses of maps of classes. All leave out pixels whose target is IGNORE, and all take weights of classes.

logits: (N, K, H, W) float. target: (N, H, W) int64, 0..K-1 or IGNORE. weights: (K,), or None: all alike. Each returns
a scalar; where every pixel is left out, it is 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from manako.errors import ConfigError
from manako.types import IGNORE

Loss = Callable[[Tensor, Tensor, Tensor | None], Tensor]
FOCUS = 2.0  # the exponent that the paper found best


def cross_entropy(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean over pixels, each counted with the weight of its class."""
    total = functional.cross_entropy(logits, target, weights, ignore_index=IGNORE, reduction="sum")
    return total / _mass(target, weights)


def focal(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy times (1 - probability of the truth) squared: easy pixels count little (Lin et al. 2017)."""
    each = functional.cross_entropy(logits, target, ignore_index=IGNORE, reduction="none")
    hard = (1 - torch.exp(-each)) ** FOCUS * each
    counted = hard if weights is None else hard * weights[target.clamp_max(len(weights) - 1)]
    return counted.sum() / _mass(target, weights)


def dice(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """1 - Dice of the probabilities over all pixels of the batch, mean over the classes that occur in it (Milletari et
    al. 2016, with plain sums below the line)."""
    probabilities, truth, present = _by_class(logits, target)
    common = (probabilities * truth).sum((0, 2))
    size = probabilities.sum((0, 2)) + truth.sum((0, 2))
    return _mean(1 - 2 * common / size.clamp_min(1e-6), present, weights)


def lovasz(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """The convex extension of 1 - IoU, over all pixels of the batch, mean over the classes that occur in it (Berman et
    al. 2018, "The Lovász-Softmax loss")."""
    probabilities, truth, present = _by_class(logits, target)
    known = (target != IGNORE).flatten()
    losses = [
        _lovasz_extension(probabilities[:, k].flatten()[known], truth[:, k].flatten()[known])
        for k in range(logits.shape[1])
    ]
    return _mean(torch.stack(losses), present, weights)


def _lovasz_extension(probability: Tensor, truth: Tensor) -> Tensor:
    """probability, truth: (P,) of one class."""
    if not len(truth):
        return probability.sum()
    errors, order = (truth - probability).abs().sort(descending=True)
    sorted_truth = truth[order]
    common = sorted_truth.sum() - sorted_truth.cumsum(0)
    union = sorted_truth.sum() + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - common / union
    step = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return errors @ step.detach()


def _by_class(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, K, P) probabilities and truth, 0 where the target is IGNORE; (K,) which classes occur in the truth."""
    known = (target != IGNORE)[:, None].flatten(2)
    probabilities = logits.softmax(1).flatten(2) * known
    classes = torch.arange(logits.shape[1], device=target.device)[None, :, None]
    truth = (target.flatten(1)[:, None] == classes).to(logits.dtype)
    return probabilities, truth, truth.amax((0, 2)) > 0


def _mean(losses: Tensor, present: Tensor, weights: Tensor | None) -> Tensor:
    share = present.to(losses.dtype) if weights is None else present * weights
    return (losses * share).sum() / share.sum().clamp_min(1e-6)


def _mass(target: Tensor, weights: Tensor | None) -> Tensor:
    """What a mean over pixels divides by."""
    known = target != IGNORE
    if weights is None:
        return known.sum().clamp_min(1)
    return (weights[target.clamp_max(len(weights) - 1)] * known).sum().clamp_min(1e-6)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "dice": dice, "focal": focal, "lovasz": lovasz}


def region_loss(names: str, *, model: str) -> Loss:
    """The sum of the losses named in `names`, joined by "+". Raises ConfigError naming the known ones."""
    chosen = names.replace(" ", "").split("+")
    for name in chosen:
        if name not in LOSSES:
            known = ", ".join(LOSSES)
            raise ConfigError("model.option_choice", model=model, option="loss", value=name, choices=known)

    def total(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
        return torch.stack([LOSSES[name](logits, target, weights) for name in chosen]).sum()

    return total
