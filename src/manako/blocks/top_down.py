"""Maps of several scales become one fine map that knows what the coarse ones know.

Paper: Lin et al. 2017, "Feature Pyramid Networks for Object Detection", arXiv 1612.03144.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class TopDown(nn.Module):
    """forward: maps (N, channels[i], H / strides[i], W / strides[i]), fine to coarse -> one (N, width, H / stride,
    W / stride).

    Each map is brought to `width` channels, the coarser one enlarged and added, the finest one smoothed.
    """

    def __init__(self, channels: Sequence[int], strides: Sequence[int], *, stride: int, width: int) -> None:
        super().__init__()
        self.first = next(i for i, s in enumerate(strides) if s >= stride)
        self.stride = strides[self.first]
        self.across = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, width, 1, bias=False), nn.BatchNorm2d(width))
            for count in channels[self.first :]
        )
        self.smooth = nn.ModuleList(conv_norm(width, width) for _ in self.across[:-1])

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        used = list(maps)[self.first :]
        x: Tensor = self.across[-1](used[-1])
        for across, smooth, fine in list(zip(self.across[:-1], self.smooth, used[:-1], strict=True))[::-1]:
            x = smooth(across(fine) + functional.interpolate(x, size=fine.shape[-2:], mode="nearest"))
        return x


def conv_norm(before: int, after: int, size: int = 3) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=size // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
