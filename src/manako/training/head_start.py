"""A head that fits the pretrained features before anything else learns: "linear probing, then fine-tuning".

A random head sends large, meaningless gradients into a backbone that knows a lot (Kumar et al. 2022, "Fine-Tuning can
Distort Pretrained Features", arXiv 2202.10054). Logistic regression on the features of the training images and their
mirror images takes seconds.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from manako.blocks.model import Model
from manako.console import bar
from manako.training.cache import ImageCache

MOST = 4000  # images; more teach a linear map little
BATCH = 32
PENALTY = 1e-3  # inverse strength of the squared penalty on standardised features


def start_head(model: Model, cache: ImageCache, classes: NDArray[np.int64], *, size: int, mirror: bool) -> bool:
    """Set the last linear layer from training images. Returns False where the model has none, or a class is missing.

    classes: (N,) of the cache's images. mirror: also learn from mirror images.
    """
    head = linear_head(model)
    if head is None or len(np.unique(classes)) != head.out_features:
        return False
    picked = np.unique(np.linspace(0, len(cache) - 1, min(MOST, len(cache))).astype(np.int64))
    features = head_inputs(model, head, cache, picked, size=size, mirror=mirror)
    weight, bias = fit_linear(features, np.tile(classes[picked], 2 if mirror else 1))
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        if head.bias is not None:
            head.bias.copy_(torch.from_numpy(bias))
    return True


def linear_head(model: Model) -> nn.Linear | None:
    """The linear layer that makes the outputs: the last of the model's last stage."""
    *_, last = model.stages()
    owned = {id(parameter) for parameter in last}
    layers = [m for m in model.modules() if isinstance(m, nn.Linear) and id(m.weight) in owned]
    return layers[-1] if layers else None


@torch.inference_mode()
def head_inputs(
    model: Model, head: nn.Linear, cache: ImageCache, index: NDArray[np.int64], *, size: int, mirror: bool
) -> NDArray[np.float32]:
    """(V * N, F): what reaches the head for V = 1 or 2 views of each image, all plain ones first."""
    seen: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].float().cpu()))
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        views = ((False,), (False, True))[mirror]
        with bar("training.head_start", total=len(views) * len(index)) as progress:
            for flipped in views:
                for start in range(0, len(index), BATCH):
                    images = _sized(cache.take(index[start : start + BATCH]).to(device), size)
                    model(model.normalise(images.flip(3) if flipped else images))
                    progress.step(len(images))
    finally:
        handle.remove()
        model.train(training)
    return torch.cat(seen).numpy()


def fit_linear(
    features: NDArray[np.float32], classes: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Balanced logistic regression (scikit-learn) on standardised features -> weight (K, F), bias (K,)."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = features.mean(0), features.std(0) + 1e-3
    rule = LogisticRegression(C=PENALTY, max_iter=200, class_weight="balanced")
    rule.fit((features - mean) / spread, classes)
    weight, bias = rule.coef_, rule.intercept_
    if len(weight) == 1:  # two classes: one row says it all
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    weight = weight / spread
    return weight.astype(np.float32), (bias - weight @ mean).astype(np.float32)


def _sized(images: Tensor, size: int) -> Tensor:
    if images.shape[-2:] == (size, size):
        return images.float()
    return functional.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
