"""From the caches to batches: which images, their truth, their augmentation, in parts that fit the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.config import RunConfig
from manako.errors import ConfigError
from manako.tasks import get_task
from manako.training.augment import FLIP, Augmentation, augment, augmentation, draws, mixup, mixup_share
from manako.training.batch import Batch, Targets
from manako.training.cache import ImageCache
from manako.training.distributed import Processes
from manako.training.mosaic import crops, mosaic
from manako.training.sampler import batches, counted_seed, epoch_order, even_batches, generator, neighbours, shard
from manako.types import Deferred, Frame, Prediction, Skeleton

GOLDEN = 0.6180339887498949  # multiples of it, modulo 1, are spread evenly
Collate = Callable[[Sequence[Any], Sequence[Frame]], Targets]


@dataclass(frozen=True, eq=False)
class TrainingData:
    """train: images as augmentation wants them (larger than the network's where it crops). validation: exactly as
    the runtime will see images."""

    train: ImageCache
    validation: ImageCache


def targets_of(cache: ImageCache) -> list[Prediction | Deferred]:
    """What is known of each image, or where it lies. Raises ValueError for a sample without."""
    targets = [sample.target for sample in cache.samples]
    if any(target is None for target in targets):
        raise ValueError("every sample needs a target here")
    return [target for target in targets if target is not None]


def truths_of(cache: ImageCache, index: Iterable[int]) -> list[Prediction]:
    """The known results of the images at `index`, read now where they lie in files. Raises LabelError."""
    truths = [cache.samples[i].truth for i in index]
    return [truth for truth in truths if truth is not None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Feed:
    """Makes every batch of a run from (epoch, number). truth: the targets at an index. size: the network's (height,
    width). batch: images a step over all processes; chunk: most images held at once. classes: (N,) for balanced
    sampling."""

    cache: ImageCache
    truth: Callable[[NDArray[np.int64]], Targets]
    how: Augmentation
    size: tuple[int, int]
    seed: int
    batch: int
    chunk: int
    mixup: float = 0.0
    mosaic: float = 0.0
    classes: NDArray[np.int64] | None = None
    device: str = "cpu"
    processes: Processes = field(default_factory=Processes)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.order(0))

    def order(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of one epoch: indices of all processes' images."""
        order = epoch_order(len(self.cache), seed=self.seed, epoch=epoch, classes=self.classes)
        if self.cache.widths is None:
            return batches(order, self.batch)
        return even_batches(order, self.batch, self.cache.widths, seed=self.seed, epoch=epoch)

    def parts(
        self, index: NDArray[np.int64], *, epoch: int, number: int, calm: bool = False
    ) -> Iterator[tuple[Batch, float]]:
        """This process's parts of one batch, each with its share in the mean of the loss. calm: without mosaics.

        The chance for the whole batch is drawn everywhere, so an image is varied alike whoever has it. The sum of the
        parts' gradients is the batch's, but for batch normalisation: it sees one part at a time.
        """
        chance = draws(len(index), generator(self.seed, "augment", epoch, number))
        chance[:, FLIP] = self._mirror(index, epoch)
        share = None
        if self.mixup:
            share = mixup_share(len(index), self.mixup, generator(self.seed, "mixup", epoch, number))
        four = not calm and float(torch.rand(1, generator=generator(self.seed, "mosaic", epoch, number))) < self.mosaic
        mine = shard(len(index), rank=self.processes.rank, processes=self.processes.count)
        whole = self._mass(index, share)
        for start in range(mine.start, mine.stop, self.chunk):
            part = slice(start, min(start + self.chunk, mine.stop))
            batch = self._make(index[part], chance[part], None if share is None else share[part], four=four)
            mass = len(batch) / len(index) * whole if four else batch.targets.mass  # mosaics hold four images' objects
            yield batch, mass / whole if whole else 1.0

    def _mirror(self, index: NDArray[np.int64], epoch: int) -> Tensor:
        """Uniform numbers that decide the flips: with a probability of 1/2 every image is seen both ways in any two
        epochs, which teaches faster than independent draws (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds")."""
        offset = counted_seed(self.seed, "flip") % 1_000_003 / 1_000_003
        return torch.from_numpy((index * GOLDEN + (offset + epoch / 2)) % 1.0).float()

    def _make(self, index: NDArray[np.int64], chance: Tensor, share: Tensor | None, *, four: bool) -> Batch:
        device = torch.device(self.device)
        images = self.cache.take(index).to(device, non_blocking=True)
        targets = self.truth(index).to(device)
        batch, how = Batch(images, targets), self.how
        if four:
            batch, how = mosaic(batch), crops(how)
        size = self.size if self.cache.widths is None else (self.size[0], images.shape[3])
        batch = augment(batch, how, chance, size=size)
        return batch if share is None else mixup(batch, neighbours(len(index)), share)

    def _mass(self, index: NDArray[np.int64], share: Tensor | None) -> float:
        """What the loss of the whole batch divides by; not needed (0) where this process has it all at once."""
        if self.processes.count == 1 and len(index) <= self.chunk:
            return 0.0
        targets = self.truth(index)
        if share is not None:
            targets = targets.mix(neighbours(len(index)), share)
        return targets.mass


COMPACT_NUMBERS = 2**24  # targets of a whole split up to this size are made once
CHUNK_PIXELS = 256 * 96 * 96  # of one part of a full batch, so that any number of images fits the memory


def learning_half(task: str) -> Any:
    """The module of `targets/` for a task."""
    return import_module(f"manako.training.targets.{task}")


def plain_collate(task: str, *, classes: int, size: tuple[int, int]) -> Collate:
    """The truth as it is, for scoring. size: (height, width) of the images."""
    return partial(learning_half(task).collate, classes=classes, size=size)


def _lookup(cache: ImageCache, collate: Collate, *, whole: bool) -> Callable[[NDArray[np.int64]], Targets]:
    def some(index: Iterable[int]) -> Targets:
        places = list(index)
        return collate(truths_of(cache, places), [cache.frames[i] for i in places])

    if not whole:
        return lambda index: some(index.tolist())
    everything = some(range(len(cache)))
    return lambda index: everything.take(torch.from_numpy(index))


def make_feed(
    data: TrainingData,
    *,
    task: str,
    config: RunConfig,
    classes: int,
    size: tuple[int, int],
    how: Augmentation | None = None,
    device: str = "cpu",
    processes: Processes | None = None,
    skeleton: Skeleton | None = None,
) -> Feed:
    """The feed that `config` describes. how: in place of the augmentation that it names. skeleton: of poses, says what
    changes places in mirror images.

    Raises ConfigError where a setting is still open, or a batch is too small for the processes.
    """
    processes, count = processes or Processes(), len(data.train)
    learning = learning_half(task)
    ids = learning.classes_of(targets_of(data.train)) if "balanced" in (config.sampling, config.class_weights) else None
    weights = None
    if config.class_weights == "balanced":
        weights = balanced_weights(_class_counts(learning, data.train, ids, classes))
    collate = partial(
        learning.collate,
        classes=classes,
        size=data.train.images.shape[1:3],
        label_smoothing=config.label_smoothing or 0.0,
        class_weights=weights,
        **({} if skeleton is None else {"skeleton": skeleton}),
    )
    if config.batch == "auto" or (config.augment == "auto" and how is None):
        raise ConfigError("training.open_setting", field="batch" if config.batch == "auto" else "augment")
    how = replace(how or augmentation(config.augment, side=max(size), fit=get_task(task).fit), window=bool(config.crop))
    if config.crop:
        size = (min(config.crop, size[0]), min(config.crop, size[1]))
    chunk = max(2, CHUNK_PIXELS // (size[0] * size[1]) // 2 * 2)
    batch = count if config.batch == "all" else int(config.batch)
    smallest = min(len(index) for index in batches(np.arange(count), batch))
    if smallest < 2 * processes.count and processes.count > 1:
        raise ConfigError("training.batch_too_small", batch=batch, processes=processes.count, least=4 * processes.count)
    return Feed(
        cache=data.train,
        truth=_lookup(data.train, collate, whole=learning.COMPACT and count * classes <= COMPACT_NUMBERS),
        how=how,
        size=size,
        seed=config.seed,
        batch=batch,
        chunk=chunk if config.batch == "all" else batch,
        mixup=config.mixup or 0.0,
        mosaic=config.mosaic or 0.0,
        classes=ids if config.sampling == "balanced" else None,
        device=device,
        processes=processes,
    )


def _class_counts(learning: Any, cache: ImageCache, ids: NDArray[np.int64] | None, classes: int) -> NDArray[np.int64]:
    """(K,) images of each class, or what the task counts in their place (pixels). Raises ConfigError where it can't."""
    if ids is not None:
        return np.bincount(ids, minlength=classes)
    if not hasattr(learning, "class_counts"):
        raise ConfigError("training.no_class_weights")
    counts: NDArray[np.int64] = learning.class_counts(targets_of(cache), classes=classes)
    return counts


def balanced_weights(counts: NDArray[np.int64]) -> Tensor:
    """(K,) weights by which every class counts alike: N / (K * count of the class), their mean over all is 1."""
    present = (counts > 0).sum()
    return torch.from_numpy(counts.sum() / (present * np.maximum(counts, 1))).float()
