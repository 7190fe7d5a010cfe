"""From the bytes of an image to the random numbers that a generator starts from.

A generator takes images like every other network: at generation an image of random bytes, at a look any image. Its
first 2 L bytes are L numbers of 16 bits (high byte first), the next two a class; all further bytes are mixed into both,
so that any two images give different numbers, and an image that is zero from there on gives exactly what its first
bytes say (`runtime/generate.py` writes such images). Bytes are counted channel by channel, row by row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 65536.0
FOLD = 256  # bytes that are mixed at once
CLASS_BYTES = 2


class Seeds(nn.Module):
    """(N, C, H, W) images, normalised to -1..1 -> (N, latent) numbers as if drawn from the standard normal
    distribution, and (N,) classes. latent: even.

    Whole numbers in float64: exact, and so the same on every engine.
    """

    def __init__(self, *, latent: int, classes: int) -> None:
        super().__init__()
        self.latent, self.classes = latent, classes
        random = torch.Generator().manual_seed(0)
        mixing = torch.randint(0, int(LEVELS), (FOLD, latent), generator=random, device="cpu").double()
        self.register_buffer("mixing", mixing, persistent=False)
        self.mixing: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        stored = ((images * 0.5 + 0.5) * 255).round().double().flatten(1)
        said_by, used = 2 * self.latent, 2 * self.latent + CLASS_BYTES
        first, classes, rest = stored[:, :said_by], stored[:, said_by:used], stored[:, used:]
        said = first[:, 0::2] * 256 + first[:, 1::2]
        numbers = _modulo(said + self._mixed(rest), LEVELS)
        wanted = _modulo(classes[:, 0] * 256 + classes[:, 1] + rest.sum(1), float(self.classes))
        return _normal((numbers + 0.5) / LEVELS), wanted.long()

    def _mixed(self, rest: Tensor) -> Tensor:
        """(N, M) bytes -> (N, latent) whole numbers; every byte counts."""
        rows = functional.pad(rest, (0, -rest.shape[1] % FOLD)).reshape(rest.shape[0], -1, FOLD)
        odd = torch.arange(rows.shape[1], device=rest.device, dtype=torch.float64) * 2 + 1
        folded = _modulo((rows * _modulo(odd * 40503, LEVELS)[:, None]).sum(1), LEVELS)
        return folded @ self.mixing.to(rest.device)


def spread_basis(latent: int, count: int) -> Tensor:
    """(latent, count), columns of length 1: `numbers @ basis` are `count` numbers, each again standard normal.

    They hang together, weakly (their correlations are near 1 / sqrt(latent)): noise whose every value follows smoothly
    from few numbers.
    """
    random = torch.Generator().manual_seed(1)
    return functional.normalize(torch.randn(latent, count, generator=random, device="cpu"), dim=0)


def _modulo(value: Tensor, base: float) -> Tensor:
    return value - (value / base).floor() * base


def _normal(uniform: Tensor) -> Tensor:
    """Pairs of uniform numbers -> pairs of normal ones (Box and Muller 1958): ONNX has no inverse error function."""
    radius = (-2 * uniform[:, 0::2].log()).sqrt()
    angle = 2 * math.pi * uniform[:, 1::2]
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 2).flatten(1).float()
