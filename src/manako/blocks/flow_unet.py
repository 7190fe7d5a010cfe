"""A small U-Net that is told a time and a class: the velocity field of `models/diffusion.py`."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FREQUENCIES = 32  # of a time's embedding
GROUP = 8  # channels normalised together


class FlowUnet(nn.Module):
    """(N, C, H, W) images at times (N,), 0..1, of classes (N,), 0..classes (`classes`: none told) -> (N, C, H, W).

    Works on patches of 2 x 2 pixels, at half and at a quarter of the sides, where also attention lets all places see
    each other. H and W: multiples of 4. width: channels at half the sides, twice as many below.
    """

    def __init__(self, *, channels: int, classes: int, width: int) -> None:
        super().__init__()
        below, told = 2 * width, 4 * width
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, told), nn.SiLU(), nn.Linear(told, told))
        self.kind = nn.Embedding(classes + 1, told)
        nn.init.normal_(self.kind.weight, std=0.5)
        self.first = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.down = nn.ModuleList([ToldBlock(width, width, told), ToldBlock(width, width, told)])
        self.shrink = nn.Conv2d(width, below, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([ToldBlock(below, below, told) for _ in range(3)])
        self.attention = Attention(below)
        self.grow = nn.Conv2d(below, width, 1)
        self.up = nn.ModuleList([ToldBlock(2 * width, width, told), ToldBlock(width, width, told)])
        self.norm = nn.GroupNorm(width // GROUP, width)
        self.last = nn.Conv2d(width, 4 * channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, images: Tensor, time: Tensor, class_id: Tensor) -> Tensor:
        told = functional.silu(self.time(waves(time)) + self.kind(class_id))
        fine = self.first(functional.pixel_unshuffle(images, 2))
        for block in self.down:
            fine = block(fine, told)
        coarse = self.shrink(fine)
        for place, block in enumerate(self.middle):
            coarse = block(coarse, told)
            coarse = self.attention(coarse) if place == 0 else coarse
        both = torch.cat([fine, functional.interpolate(self.grow(coarse), scale_factor=2.0)], 1)
        for block in self.up:
            both = block(both, told)
        return functional.pixel_shuffle(self.last(functional.silu(self.norm(both))), 2)


class ToldBlock(nn.Module):
    """Two convolutions with a way around them; what is told scales and shifts the maps between them."""

    def __init__(self, channels: int, width: int, told: int) -> None:
        super().__init__()
        self.before = nn.GroupNorm(channels // GROUP, channels)
        self.one = nn.Conv2d(channels, width, 3, padding=1)
        self.between = nn.GroupNorm(width // GROUP, width)
        self.told = nn.Linear(told, 2 * width)
        self.two = nn.Conv2d(width, width, 3, padding=1)
        self.around = nn.Conv2d(channels, width, 1) if channels != width else nn.Identity()
        nn.init.zeros_(self.two.weight)

    def forward(self, maps: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        found = self.between(self.one(functional.silu(self.before(maps))))
        found = self.two(functional.silu(found * (1 + scale) + shift))
        result: Tensor = self.around(maps) + found
        return result


class Attention(nn.Module):
    """Every place looks at every other, in heads of 32 channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // 32)
        self.norm = nn.GroupNorm(width // GROUP, width)
        self.asked = nn.Conv2d(width, 3 * width, 1)
        self.result = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.result.weight)

    def forward(self, maps: Tensor) -> Tensor:
        tokens = self.asked(self.norm(maps)).flatten(2).unflatten(1, (3 * self.heads, -1)).transpose(2, 3)
        query, key, value = tokens.chunk(3, 1)
        seen = functional.scaled_dot_product_attention(query, key, value).transpose(2, 3)
        found: Tensor = maps + self.result(seen.flatten(1, 2).reshape(maps.shape))
        return found


def waves(time: Tensor) -> Tensor:
    """(N,), 0..1 -> (N, 2 * FREQUENCIES): sines and cosines from slow to fast (Vaswani et al. 2017)."""
    steps = torch.arange(FREQUENCIES, device=time.device) / FREQUENCIES
    angles = time[:, None] * (1000.0 * torch.exp(-math.log(10_000.0) * steps))[None]
    return torch.cat([angles.sin(), angles.cos()], 1)
