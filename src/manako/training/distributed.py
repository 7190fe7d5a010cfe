"""Several processes, one model (`torchrun --nproc-per-node N -m manako train ...`): each takes its part of every batch.

Gradients are summed by hand in one flat tensor: no wrapper around the model, the same loop for one process and many,
and the same numbers up to rounding. Batch normalisation sees its process's part only; its running statistics are
averaged over the processes before they are used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Processes:
    """rank: 0 writes the files. count: 1 when the run is a single process."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def sum_gradients(self, model: nn.Module) -> None:
        """Each gradient becomes the sum over the processes."""
        if self.count > 1:
            gradients = [p.grad for p in model.parameters() if p.grad is not None]
            flat = torch.cat([g.flatten() for g in gradients])
            distributed.all_reduce(flat)
            start = 0
            for gradient in gradients:
                gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
                start += gradient.numel()

    def sum(self, *values: float) -> tuple[float, ...]:
        """Each value summed over the processes."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        distributed.all_reduce(tensor)
        return tuple(tensor.tolist())

    def agree(self, *values: float) -> tuple[float, ...]:
        """The first process's values, for all."""
        if self.count == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=_device())
        distributed.broadcast(tensor, 0)
        return tuple(tensor.tolist())

    def share(self, model: nn.Module) -> None:
        """The first process's weights and buffers, for all."""
        if self.count > 1:
            for tensor in model.state_dict().values():
                distributed.broadcast(tensor, 0)

    def mean_buffers(self, model: nn.Module) -> None:
        """Running statistics become the mean over the processes."""
        if self.count > 1:
            for buffer in model.buffers():
                if buffer.is_floating_point():
                    distributed.all_reduce(buffer)
                    buffer.div_(self.count)

    def wait(self) -> None:
        if self.count > 1:
            distributed.barrier()


@contextmanager
def join_processes() -> Iterator[Processes]:
    """Join the others that torchrun started; alone, do nothing."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _device() -> str:
    return "cuda" if distributed.get_backend() == "nccl" else "cpu"
