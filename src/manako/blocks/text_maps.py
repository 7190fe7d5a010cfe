"""Maps of lines of text for differentiable binarisation, and its losses.

Source: Liao et al. 2020, "Real-time Scene Text Detection with Differentiable Binarization", arXiv 1911.08947: a polygon
is shrunk by D = area * (1 - shrink^2) / perimeter; within D of its outline, on both sides, lies the border, whose
threshold rises from 0.3 to 0.7 towards the outline.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

LOW, HIGH = 0.3, 0.7  # thresholds of the border
STEEPNESS = 50.0  # of the approximate binary map
NEGATIVES = 3  # times as many as positives, the hardest ones
LEAST = 2.0  # pixels; a region that is thinner can't be learnt and is left out


@dataclass(frozen=True)
class TextMaps:
    """All (N, H, W) float32. core: 1 in shrunk polygons. known: 0 in regions to be ignored. threshold: LOW..HIGH.
    border: 1 where the threshold is learnt."""

    core: Tensor
    known: Tensor
    threshold: Tensor
    border: Tensor


@torch.no_grad()
def draw_maps(points: Tensor, valid: Tensor, ignore: Tensor, size: tuple[int, int], *, shrink: float) -> TextMaps:
    """points: (N, M, K, 2) polygons in pixels of the map, filled up by their last point. valid, ignore: (N, M)."""
    count, device = len(points), points.device
    core, border = (torch.zeros(count, *size, device=device) for _ in range(2))
    known, threshold = torch.ones(count, *size, device=device), torch.full((count, *size), LOW, device=device)
    for n, m in valid.nonzero().tolist():
        polygon = points[n, m].float()
        distance = shrink_distance(polygon, shrink)
        window = _window(polygon, distance, size)
        if window is None:
            continue
        rows, columns = window
        inside, apart = _place(polygon, rows, columns, device)
        if ignore[n, m] or _thin(polygon):
            known[n, rows, columns] = known[n, rows, columns].masked_fill(inside, 0)
            continue
        core[n, rows, columns] = torch.maximum(core[n, rows, columns], (inside & (apart >= distance)).float())
        near = (1 - apart / distance.clamp_min(1e-6)).clamp_min(0)
        border[n, rows, columns] = torch.maximum(border[n, rows, columns], (near > 0).float())
        threshold[n, rows, columns] = torch.maximum(threshold[n, rows, columns], LOW + (HIGH - LOW) * near)
    return TextMaps(core, torch.maximum(known, core), threshold, border)


def shrink_distance(polygon: Tensor, shrink: float) -> Tensor:
    """How far the outline is moved inwards: (K, 2) -> a scalar."""
    following = polygon.roll(-1, 0)
    area = (polygon[:, 0] * following[:, 1] - polygon[:, 1] * following[:, 0]).sum().abs() / 2
    perimeter = (polygon - following).norm(dim=1).sum()
    distance: Tensor = area * (1 - shrink**2) / perimeter.clamp_min(1e-6)
    return distance


def _thin(polygon: Tensor) -> bool:
    """Whether the region is about less than LEAST pixels across: twice the area over half the perimeter."""
    return bool(4 * shrink_distance(polygon, 0.0) < 2 * LEAST)


def _window(polygon: Tensor, margin: Tensor, size: tuple[int, int]) -> tuple[slice, slice] | None:
    """Rows and columns of the map that the polygon and its border may touch."""
    low = (polygon.amin(0) - margin).floor().long().clamp_min(0).tolist()
    high = (polygon.amax(0) + margin).ceil().long().tolist()
    columns, rows = (slice(a, min(b, side)) for a, b, side in zip(low, high, size[::-1], strict=True))
    return (rows, columns) if rows.start < rows.stop and columns.start < columns.stop else None


def _place(polygon: Tensor, rows: slice, columns: slice, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of the middles of the window's pixels: whether each lies inside, and how far from the outline."""
    y = torch.arange(rows.start, rows.stop, device=device)[:, None, None] + 0.5
    x = torch.arange(columns.start, columns.stop, device=device)[None, :, None] + 0.5
    (ax, ay), (bx, by) = polygon.T, polygon.roll(-1, 0).T  # (K,) each
    ex, ey = bx - ax, by - ay
    along = ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey).clamp_min(1e-9)
    along = along.clamp(0, 1)
    apart = ((x - ax - along * ex) ** 2 + (y - ay - along * ey) ** 2).amin(-1).sqrt()
    level = torch.where(ey == 0, torch.ones_like(ey), ey)
    crossed = ((ay > y) != (by > y)) & (x < ax + (y - ay) * ex / level)
    return crossed.sum(-1) % 2 == 1, apart


def binarised(probability: Tensor, threshold: Tensor) -> Tensor:
    """The approximate binary map: what a step function would give, but with a gradient."""
    return torch.sigmoid(STEEPNESS * (probability - threshold))


def text_map_loss(logits: Tensor, maps: TextMaps, threshold: Tensor | None = None) -> Tensor:
    """logits: (N, H, W) of the probability. threshold: (N, H, W), 0..1, where the network has that branch.

    5 * balanced cross-entropy + dice loss of the approximate binary map + 10 * L1 of the threshold in the border; the
    paper's weights, with the dice loss also on the probability, which keeps thin cores from being lost.
    """
    probability = logits.sigmoid()
    loss = 5 * hard_negatives(logits, maps) + dice(probability, maps)
    if threshold is None:
        return loss
    apart = ((threshold - maps.threshold).abs() * maps.border).sum() / maps.border.sum().clamp_min(1)
    return loss + dice(binarised(probability, threshold), maps) + 10 * apart


def hard_negatives(logits: Tensor, maps: TextMaps) -> Tensor:
    """Cross-entropy over all pixels of cores and three times as many others, those with the largest loss."""
    each = functional.binary_cross_entropy_with_logits(logits, maps.core, reduction="none")
    positive, negative = maps.core * maps.known, (1 - maps.core) * maps.known
    inside = positive.sum()
    count = int(min(float(negative.sum()), max(NEGATIVES * float(inside), 0.01 * negative.numel())))
    hardest = (each * negative).flatten().topk(count).values
    return ((each * positive).sum() + hardest.sum()) / (inside + count).clamp_min(1)


def dice(map_: Tensor, maps: TextMaps) -> Tensor:
    """1 - twice the shared part over both, of the whole batch."""
    shared = (map_ * maps.core * maps.known).sum()
    return 1 - (2 * shared + 1) / ((map_ * maps.known).sum() + (maps.core * maps.known).sum() + 1)
