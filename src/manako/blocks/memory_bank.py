"""A memory of what is normal: patches sampled from a stream, brought to one scale, thinned to the most different ones.

Papers: Vitter 1985, "Random Sampling with a Reservoir"; Sener, Savarese 2018, "Active Learning for Convolutional
Neural Networks: A Core-Set Approach" (arXiv 1708.00489), as used by PatchCore.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

BLOCK = 4096  # patches of a memory looked at together: what they give stays in the processor's cache
NEIGHBOURS = 20  # that say how dense normal patches lie around one
PROJECTED = 64  # numbers a patch while the core-set is chosen (Johnson, Lindenstrauss 1984)


class PatchSample:
    """Mean and covariance of a stream of patches, exactly, and `size` of the patches, each as likely as any other.

    Its memory doesn't grow with the stream.
    """

    def __init__(self, size: int, *, seed: int = 0) -> None:
        self.size = size
        self.count = 0
        self.patches = torch.empty(0)
        self.images = torch.empty(0, dtype=torch.int64)
        self._keys = torch.empty(0)
        self._random = torch.Generator().manual_seed(seed)
        self._sum: Tensor = torch.zeros(())
        self._products: Tensor = torch.zeros(())

    def add(self, patches: Tensor, images: Tensor) -> None:
        """patches: (M, D). images: (M,), the number of the image that each is from."""
        exact = patches.double()
        self.count += len(patches)
        self._sum = self._sum + exact.sum(0)
        self._products = self._products + exact.T @ exact
        keys = torch.cat([self._keys, torch.rand(len(patches), generator=self._random)])
        kept = keys.topk(min(self.size, len(keys)), largest=False, sorted=False).indices.sort().values
        old = len(self.patches)
        self.patches = torch.cat([self.patches[kept[kept < old]], patches[kept[kept >= old] - old]])
        self.images = torch.cat([self.images[kept[kept < old]], images[kept[kept >= old] - old]])
        self._keys = keys[kept]

    def whitening(self, shrink: float, dims: int) -> tuple[Tensor, Tensor]:
        """(centre (D,), matrix (D, dims)) that give all directions one spread: distances become Mahalanobis's.

        shrink: added to each variance as a part of their mean, so that directions which hardly vary don't count most.
        """
        centre = self._sum / self.count
        covariance = self._products / self.count - torch.outer(centre, centre)
        variance, axes = torch.linalg.eigh(covariance)
        variance, axes = variance.clamp_min(0)[-dims:], axes[:, -dims:]
        scale = (variance + shrink * variance.mean() + 1e-12).rsqrt()
        return centre.float(), (axes * scale).float()


def random_set(patches: Tensor, size: int, *, seed: int = 0) -> Tensor:
    """Indices (min(size, M),) of patches (M, D), each as likely as any other."""
    return torch.randperm(len(patches), generator=torch.Generator().manual_seed(seed))[:size]


def core_set(patches: Tensor, size: int, *, seed: int = 0) -> Tensor:
    """Indices (min(size, M),) of patches (M, D) so that each other one is near a chosen one: always the farthest
    from all chosen before. Distances are taken in a random projection to PROJECTED numbers."""
    random = torch.Generator().manual_seed(seed)
    count, dims = patches.shape
    if count <= size:
        return torch.arange(count)
    if dims > PROJECTED:
        patches = patches @ (torch.randn(dims, PROJECTED, generator=random) / PROJECTED**0.5)
    squares = patches.square().sum(1)
    nearest = torch.full((count,), torch.inf)
    chosen = torch.empty(size, dtype=torch.int64)
    last = int(torch.randint(count, (), generator=random))
    for place in range(size):
        chosen[place] = last
        nearest = torch.minimum(nearest, squares + squares[last] - 2 * patches @ patches[last])
        last = int(nearest.argmax())
    return chosen


class MemoryBank(nn.Module):
    """Patches of normal images, whitened, and how far others are from the nearest of them.

    centre: (D,), whitening: (D, d), keys: (size, d + 2), see `search_keys`. usual: mean and standard deviation of the
    distances of normal patches from those of other images; 0 and 1 before `fit`.
    """

    def __init__(self, width: int, dims: int, size: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("whitening", torch.eye(width)[:, : min(dims, width)].clone())
        self.register_buffer("keys", search_keys(torch.zeros(size, min(dims, width)), torch.ones(size)))
        self.register_buffer("usual", torch.tensor([0.0, 1.0]))
        self.centre: Tensor
        self.whitening: Tensor
        self.keys: Tensor
        self.usual: Tensor

    def forward(self, patches: Tensor) -> Tensor:
        """(N, D, h, w) -> (N, h, w): standard deviations farther than usual."""
        count, _, height, width = patches.shape
        flat = patches.permute(0, 2, 3, 1).flatten(0, 2)
        far = nearest_distance((flat - self.centre) @ self.whitening, self.keys)
        return (far.view(count, height, width) - self.usual[0]) / self.usual[1]

    @torch.no_grad()
    def fit(self, sample: PatchSample, *, shrink: float, thin: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Remember what `thin` (`core_set`, `random_set`) leaves of `sample`. Returns (M,), as `forward` would, how far
        each of the sample's patches is from those of other images."""
        centre, matrix = sample.whitening(shrink, self.whitening.shape[1])
        patches = (sample.patches - centre) @ matrix
        chosen = thin(patches, len(self.keys))
        reach = local_reach(patches, sample.images, chosen)
        far = distance_to_other_images(patches, sample.images, patches[chosen], sample.images[chosen], reach)
        far = torch.where(far.isfinite(), far, far[far.isfinite()].mean())  # the memory holds one image alone
        usual = torch.stack([far.mean(), far.std().clamp_min(1e-6)]).nan_to_num(1.0)
        self.centre.copy_(centre)
        self.whitening.copy_(matrix)
        filled = torch.arange(len(self.keys)) % len(chosen)  # with copies, where there are too few
        self.keys.copy_(search_keys(patches[chosen], reach)[filled])
        self.usual.copy_(usual)
        return ((far - usual[0]) / usual[1]).nan_to_num(0.0)


def search_keys(bank: Tensor, reach: Tensor) -> Tensor:
    """(K, d + 2): the patches of a memory (K, d) so that squared distances are one product of matrices.

    reach: (K,), how far from each the next normal patches lie, which its distances are measured in: where normal
    patches are rare, a new one may be farther. |p - b|^2 / r^2 = (p, |p|^2, 1) . (-2 b, 1, |b|^2) / r^2.
    """
    keys = torch.cat([-2 * bank, torch.ones(len(bank), 1), bank.square().sum(1, keepdim=True)], 1)
    return keys / reach.square()[:, None]


def nearest_distance(patches: Tensor, keys: Tensor) -> Tensor:
    """(M,): distance of each patch (M, d) to the nearest of the memory, exactly. keys: of `search_keys`."""
    asked = torch.cat([patches, patches.square().sum(1, keepdim=True), torch.ones_like(patches[:, :1])], 1)
    nearest = [(asked @ part.T).amin(1) for part in torch.split(keys, BLOCK)]
    return torch.stack(nearest).amin(0).clamp_min(0).sqrt()


def _squares(patches: Tensor, bank: Tensor, reach: Tensor | None) -> Tensor:
    far = patches.square().sum(1, keepdim=True) + bank.square().sum(1) - 2 * patches @ bank.T
    return far if reach is None else far / reach.square()


def distance_to_other_images(
    patches: Tensor, images: Tensor, bank: Tensor, sources: Tensor, reach: Tensor | None = None
) -> Tensor:
    """(M,): distance of each patch to the nearest of `bank` that is from another image (`sources` (K,)); infinite
    where there is none."""
    found = torch.empty(len(patches))
    for start in range(0, len(patches), 4096):
        part = slice(start, start + 4096)
        far = _squares(patches[part], bank, reach)
        far.masked_fill_(images[part, None] == sources, torch.inf)
        found[part] = far.amin(1)
    return found.clamp_min(0).sqrt()


def local_reach(patches: Tensor, images: Tensor, chosen: Tensor, *, neighbours: int = NEIGHBOURS) -> Tensor:
    """(K,): mean distance of the patches at `chosen` (K,) to the nearest ones of other images, as in the local outlier
    factor (Breunig et al. 2000). At least a twentieth of the mean, so that copies of one image don't count too much."""
    found = torch.empty(len(chosen))
    for start in range(0, len(chosen), 256):
        part = chosen[start : start + 256]
        far = _squares(patches[part], patches, None)
        far.masked_fill_(images[part, None] == images, torch.inf)
        near = far.topk(min(neighbours, len(patches)), largest=False).values.clamp_min(0).sqrt()
        found[start : start + 256] = near.masked_fill(near.isinf(), torch.nan).nanmean(1)
    found = found.nan_to_num(1.0)  # one image alone has no neighbours
    return found.clamp_min(max(float(found.mean()) / 20, 1e-6))
