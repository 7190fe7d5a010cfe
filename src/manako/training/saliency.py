"""Where a classifier looked: Grad-CAM (Selvaraju et al. 2017), or input gradients where a network keeps no map."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.blocks.classifier import Classifier
from manako.images import MAX_PIXELS, Preprocess
from manako.types import Frame, Sample

Map = NDArray[np.float32]


def saliency(
    model: Classifier, pixels: NDArray[np.uint8], frame: Frame, class_id: int, *, size: tuple[int, int] | None = None
) -> Map:
    """(height, width) 0..1: how much each place of the image spoke for the class; 0 where the network did not look.

    pixels: (H, W, C) of `Preprocess`, with their frame. size: (height, width) of the result, by default the original
    image's; the result always spans the whole image. All 0 where nothing spoke for the class.
    """
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            found = _network_map(model, pixels, class_id)
    finally:
        model.train(training)
    return _on_image(found, frame, pixels.shape[:2], size or (frame.height, frame.width))


def _network_map(model: Classifier, pixels: NDArray[np.uint8], class_id: int) -> Map:
    device = next(model.parameters()).device
    image = torch.tensor(pixels, device=device).permute(2, 0, 1)[None]
    image = model.normalise(image).detach().requires_grad_()
    features = model.features(image)
    if features.ndim == 4 and features.shape[2] * features.shape[3] > 1:
        found = _grad_cam(model, features, class_id)
    else:
        (gradient,) = torch.autograd.grad(model.head(features)[0, class_id], image)
        found = gradient[0].abs().amax(0)
    found = found.float()
    return (found / found.max().clamp_min(torch.finfo(torch.float32).tiny)).cpu().numpy()


def _grad_cam(model: Classifier, features: Tensor, class_id: int) -> Tensor:
    leaf = features.detach().requires_grad_()
    # A copy, since a head may change its input in place.
    (gradient,) = torch.autograd.grad(model.head(leaf.clone())[0, class_id], leaf)
    weight = gradient.mean((2, 3), keepdim=True)
    return (weight * leaf.detach()).sum(1)[0].relu()


def _on_image(found: Map, frame: Frame, seen: tuple[int, int], size: tuple[int, int]) -> Map:
    """The map (h, w) over the network's image of `seen` (height, width), drawn over the original image at `size`."""
    down = _places(size[0], frame.height, frame.scale_y, frame.top, seen[0], found.shape[0])
    across = _places(size[1], frame.width, frame.scale_x, frame.left, seen[1], found.shape[1])
    result = _interpolate(_interpolate(found, down).T, across).T
    return np.clip(result, 0, 1).astype(np.float32)


def _places(count: int, length: int, scale: float, start: float, seen: int, cells: int) -> NDArray[np.float64]:
    """For `count` pixels spread over an axis of the image: where each lies among the map's cells; NaN: unseen."""
    network = (np.arange(count) + 0.5) * length / count * scale + start
    place = network * cells / seen - 0.5
    return np.where((network < 0) | (network > seen), np.nan, np.clip(place, 0, cells - 1))


def _interpolate(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows of `values` at `places` (N,), linear between them; 0 at NaN."""
    place = np.nan_to_num(places)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, len(values) - 1)
    part = (place - low)[:, None]
    mixed = values[low] * (1 - part) + values[high] * part
    return np.where(np.isnan(places)[:, None], 0, mixed).astype(np.float32)


class Explainer:
    """`report.Explain` for a classifier: opens a sample as the network sees it, and says where it looked."""

    def __init__(self, model: Classifier, preprocess: Preprocess, *, max_pixels: int = MAX_PIXELS) -> None:
        self._model = model
        self._preprocess = preprocess
        self._max_pixels = max_pixels

    def __call__(self, sample: Sample, class_id: int, *, size: tuple[int, int]) -> Map:
        pixels, frame = self._preprocess.open(sample.image, sample.frame, self._max_pixels)
        return saliency(self._model, pixels, frame, class_id, size=size)
