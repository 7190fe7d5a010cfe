"""Which learning rate suits this model and these data: raise it step by step until the loss breaks (Smith 2015)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.training.distributed import Processes
from manako.training.feed import Feed
from manako.training.hardware import Hardware, seed_device
from manako.training.optimisers import configured_optimisers
from manako.training.sampler import counted_seed
from manako.training.step import Stepper

SMOOTH = 0.7  # of the running mean of the loss
BROKEN = 4.0  # the loss has grown to this many times its lowest
MARGIN = 3.0  # the rate chosen lies this many times below the one of the lowest loss


@dataclass(frozen=True)
class RateTrial:
    """rates, losses: what was tried and the smoothed loss after each. chosen: the suggestion."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    chosen: float


def find_learning_rate(
    model: Model,
    *,
    feed: Feed,
    config: RunConfig,
    hardware: Hardware,
    lowest: float = 1e-5,
    highest: float = 10.0,
    steps: int = 80,
) -> RateTrial:
    """Try rates from `lowest` to `highest`, evenly in their logarithm, one step each, and suggest one.

    The suggestion is a third of the rate at which the smoothed loss was lowest. The model's weights and buffers come
    out as they went in; the same seed gives the same answer.
    """
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    optimisers = configured_optimisers(model, config, lr=1.0)
    stepper = Stepper(model=model, run=model, optimisers=optimisers, hardware=hardware, processes=Processes())
    model.train()
    rates: list[float] = []
    losses: list[float] = []
    mean, weight = 0.0, 0.0
    order = [(epoch, n, index) for epoch in range(_epochs(feed, steps)) for n, index in enumerate(feed.order(epoch))]
    for step, (epoch, number, index) in enumerate(order[:steps]):
        rates.append(optimisers.set_rate(lowest * (highest / lowest) ** (step / max(1, steps - 1))))
        seed_device(counted_seed(config.seed, "rate finder", step), hardware.device)
        loss = float(stepper.step(feed.parts(index, epoch=epoch, number=number)))
        mean, weight = SMOOTH * mean + (1 - SMOOTH) * loss, SMOOTH * weight + 1 - SMOOTH
        losses.append(mean / weight)
        if not math.isfinite(loss) or losses[-1] > BROKEN * min(losses):
            break
    model.load_state_dict(kept)
    best = min(range(len(losses)), key=lambda i: losses[i] if math.isfinite(losses[i]) else math.inf)
    return RateTrial(tuple(rates), tuple(losses), rates[best] / MARGIN)


def _epochs(feed: Feed, steps: int) -> int:
    return -(-steps // feed.steps_per_epoch)
