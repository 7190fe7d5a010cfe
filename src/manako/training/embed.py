"""Images as vectors of the packaged backbone: for sorting unlabelled images by what they show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from manako.blocks.pretrained import LITE0
from manako.console import progress
from manako.images import Preprocess
from manako.models.timm_backbone import TimmBackbone
from manako.runtime.ahead import in_batches, open_ahead

SIDE = 224
BATCH = 16


def embed_images(paths: Sequence[Path]) -> NDArray[np.float32]:
    """(N, 1280): the mean of the backbone's last feature map, for each image. Raises ImageError for a bad file."""
    model = TimmBackbone(classes=2, channels=3, imgsz=SIDE, weights="auto", network=LITE0).eval()
    opened = open_ahead(paths, Preprocess(height=SIDE, width=SIDE, fit="crop", channels=3), ahead=2 * BATCH)
    rows = []
    for items in in_batches(progress(opened, "cluster.bar", len(paths)), BATCH):
        for item in items:
            if item.error:
                raise item.error
        images = torch.from_numpy(np.stack([item.pixels for item in items if item.pixels is not None]))
        with torch.inference_mode():
            rows.append(model.features(model.normalise(images.permute(0, 3, 1, 2))).mean((2, 3)).numpy())
    return np.concatenate(rows)
