"""The boxes that a detector measures from: a fixed set around each cell of its maps, in the image's pixels.

The same numbers as torchvision's generators give, but made from shapes alone, on any device, in a graph that can be
exported.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Size = tuple[int, int]  # height, width


def grid_anchors(cells: Sequence[Tensor], maps: Sequence[Tensor], image: Size) -> list[Tensor]:
    """For each map (N, C, H, W) the boxes (H * W * A, 4) of its cells. cells: (A, 4) around 0 for each map.

    Paper: Ren et al. 2015, "Faster R-CNN", arXiv 1506.01497.
    """
    return [_shifted(boxes.to(x.device), x, image) for boxes, x in zip(cells, maps, strict=True)]


def _shifted(boxes: Tensor, x: Tensor, image: Size) -> Tensor:
    height, width = x.shape[-2:]
    down = torch.arange(height, device=x.device, dtype=torch.float32) * (image[0] // height)
    across = torch.arange(width, device=x.device, dtype=torch.float32) * (image[1] // width)
    corner = torch.stack([across.repeat(height), down.repeat_interleave(width)], 1)
    return (corner.repeat(1, 2)[:, None] + boxes).reshape(-1, 4)


def default_boxes(
    maps: Sequence[Tensor], image: Size, *, pairs: Sequence[Sequence[Size | tuple[float, float]]], steps: Sequence[int]
) -> Tensor:
    """(A, 4): boxes of all maps. pairs: widths and heights for each map, as parts of the image. steps: pixels between
    the cells of each map; where there are none, the image divided by the map.

    Paper: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", arXiv 1512.02325.
    """
    size = torch.tensor([image[1], image[0]], dtype=torch.float32, device=maps[0].device)
    found = []
    for level, x in enumerate(maps):
        height, width = x.shape[-2:]
        rows, columns = (image[0] / steps[level], image[1] / steps[level]) if steps else (height, width)
        down = (torch.arange(height, device=x.device, dtype=torch.float32) + 0.5) / rows
        across = (torch.arange(width, device=x.device, dtype=torch.float32) + 0.5) / columns
        centre = torch.stack([across.repeat(height), down.repeat_interleave(width)], 1)[:, None]
        sides = torch.tensor(pairs[level], dtype=torch.float32, device=x.device).clamp(0, 1)
        corners = [(centre - 0.5 * sides) * size, (centre + 0.5 * sides) * size]
        found.append(torch.cat(corners, -1).reshape(-1, 4))
    return torch.cat(found)
