"""In which order an epoch goes through the images, who takes which part of a batch, and where chance comes from.

Chance is counted, not stateful: every draw follows from (seed, epoch, step), so a resumed run needs no generator's
state, and several processes agree without talking.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Index = NDArray[np.int64]
WINDOW = 16  # batches of lines that are sorted by their widths


def counted_seed(seed: int, purpose: str, *counters: int) -> int:
    """A 63-bit number that follows from the seed, what it is for, and the counters (epoch, step, process)."""
    text = f"{seed}/{purpose}/" + "/".join(map(str, counters))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """A generator of its own for one purpose, on the CPU."""
    made = torch.Generator()
    made.manual_seed(counted_seed(seed, purpose, *counters))
    return made


def epoch_order(count: int, *, seed: int, epoch: int, classes: Index | None = None) -> Index:
    """The images of one epoch, (count,), shuffled. `classes` (count,): every class equally often, within one.

    Balanced: a rare class repeats all its images as evenly as possible; of a common one each epoch takes other images.
    """
    chance = np.random.Generator(np.random.PCG64(counted_seed(seed, "order", epoch)))
    if classes is None:
        return chance.permutation(count)
    present = np.unique(classes)
    extra = chance.permutation(len(present)) < count % len(present)
    quotas = count // len(present) + extra
    parts = [_repeat(np.flatnonzero(classes == c), int(n), chance) for c, n in zip(present, quotas, strict=True)]
    return chance.permutation(np.concatenate(parts))


def _repeat(members: Index, quota: int, chance: np.random.Generator) -> Index:
    rounds = -(-quota // len(members))
    return np.concatenate([chance.permutation(members) for _ in range(rounds)] or [members])[:quota]


def batches(order: Index, batch: int) -> list[Index]:
    """Cut an epoch into batches of nearly equal size, none larger than `batch`: there is no tiny last one."""
    return np.array_split(order, max(1, -(-len(order) // batch)))


def even_batches(order: Index, batch: int, widths: Index, *, seed: int, epoch: int) -> list[Index]:
    """Batches of lines that are nearly equally wide: `WINDOW` batches at a time are sorted, then all are shuffled."""
    windows = batches(order, batch * WINDOW)
    found = [part for window in windows for part in batches(window[np.argsort(widths[window], kind="stable")], batch)]
    chance = np.random.Generator(np.random.PCG64(counted_seed(seed, "widths", epoch)))
    return [found[i] for i in chance.permutation(len(found))]


def shard(count: int, *, rank: int, processes: int) -> slice:
    """The part of a batch that one process takes. Neighbours 2i and 2i+1 stay together: mixup pairs them."""
    pairs = -(-count // 2)
    start, stop = pairs * rank // processes, pairs * (rank + 1) // processes
    return slice(2 * start, min(2 * stop, count))


def neighbours(count: int) -> Tensor:
    """Who is mixed with whom: 0-1, 2-3, ... (the order is shuffled already, so neighbours are strangers)."""
    order = torch.arange(count) ^ 1
    return order.clamp_(max=count - 1) if count % 2 else order
