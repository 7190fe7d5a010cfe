"""The training loop. One function, `fit`: from a model and two caches to the best weights on disk."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.console import bar, say
from manako.errors import ConfigError, DivergedError
from manako.messages import message
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.tasks import Task
from manako.training.augment import Augmentation
from manako.training.average import WeightAverage
from manako.training.budget import Budget
from manako.training.checkpoint import load_checkpoint
from manako.training.distributed import Processes
from manako.training.feed import TrainingData, make_feed, plain_collate
from manako.training.hardware import Hardware, seed_device
from manako.training.keeping import Keeper
from manako.training.looks import LookPlan
from manako.training.optimisers import make_optimisers
from manako.training.run_state import Best, RunState, check_same_run
from manako.training.sampler import counted_seed
from manako.training.schedules import rate
from manako.training.step import Freeze, Stepper
from manako.training.stopping import StopRequest, stop_on_request
from manako.training.validate import Look, look

Stopped = Literal["done", "patience", "asked"]
SYNC_STEPS = 50  # on a GPU the loss is fetched this seldom: fetching waits for it
LINES = 40  # told to a person in one run, about


@dataclass(frozen=True)
class FitResult:
    """best: the look whose weights lie in `best.safetensors`. epochs: how many were done. stopped: why it ended."""

    best: Best
    history: tuple[dict[str, float], ...]
    epochs: float
    seconds: float
    stopped: Stopped


def fit(
    model: Model,
    *,
    task: Task,
    data: TrainingData,
    config: RunConfig,
    run: RunFolder,
    card: ModelCard,
    hardware: Hardware,
    processes: Processes | None = None,
    how: Augmentation | None = None,
    spent: float = 0.0,
    reserve: float = 0.0,
    resume: bool = False,
) -> FitResult:
    """Train `model` and leave its best weights in the run folder.

    config: complete, as `plan.py` makes it. how: the augmentation in place of the one that it names. spent: seconds
    that the command has used before. reserve: seconds of `minutes` to leave for what follows. resume: go on from
    `last.safetensors`; with a budget of epochs, on the same machine, the weights become byte for byte those of a run
    that was never interrupted. Raises DivergedError, StorageError, ConfigError, DataError, ModelFileError.
    """
    start, state = None, RunState(config=asdict(config), hardware=hardware.as_json())
    if resume:
        start = load_checkpoint(run.last, task=task.name)
        state = RunState.from_json(start.state, file=run.last)
        check_same_run(state, config, data=card.data, card_data=start.card.data)
        hardware, state.config = Hardware.from_json(state.hardware, file=run.last), asdict(config)
    loop = _Loop(model, task, data, config, run, card, hardware, processes or Processes(), how, state)
    if start:
        loop.keeper.restore(start, state)
    before = torch.random.get_rng_state()
    try:
        with stop_on_request() as request:
            return loop.go(request, spent=spent, reserve=reserve)
    finally:
        torch.random.set_rng_state(before)


class _Loop:
    """The parts of one run, put together once, and where it stands."""

    def __init__(
        self,
        model: Model,
        task: Task,
        data: TrainingData,
        config: RunConfig,
        run: RunFolder,
        card: ModelCard,
        hardware: Hardware,
        processes: Processes,
        how: Augmentation | None,
        state: RunState,
    ) -> None:
        self.model, self.task, self.data, self.config, self.card = model, task, data, config, card
        self.hardware, self.processes, self.state = hardware, processes, state
        model.to(hardware.device, memory_format=hardware.layout)  # type: ignore[call-overload]
        processes.share(model)
        size, classes = (card.preprocess.height, card.preprocess.width), len(card.classes)
        self.feed = make_feed(
            data,
            task=task.name,
            config=config,
            classes=classes,
            size=size,
            how=how,
            device=hardware.device,
            processes=processes,
        )
        self.steps = self.feed.steps_per_epoch
        self.optimisers = make_optimisers(
            model,
            name=config.optimiser,
            lr=_chosen(config.lr, "lr"),
            momentum=0.9 if config.momentum is None else config.momentum,
            weight_decay=config.weight_decay or 0.0,
            layer_decay=1.0 if config.layer_decay is None else config.layer_decay,
        )
        self.average = WeightAverage(model, span=config.ema) if config.ema else None
        self.freeze = Freeze(model)
        self.keeper = Keeper(
            run=run,
            card=card,
            model=model,
            optimisers=self.optimisers,
            average=self.average,
            writes=processes.first,
        )
        self.stepper = Stepper(
            model=model,
            run=torch.compile(model) if config.compile else model,
            optimisers=self.optimisers,
            hardware=hardware,
            processes=processes,
            clip=config.clip or 0.0,
            scaler=torch.amp.GradScaler(hardware.device) if hardware.precision == "fp16" else None,
        )
        self.collate = plain_collate(task.name, classes=classes)
        self.truths = data.validation_truths
        self.losses: list[Tensor] = []
        self.told = -1.0
        self.seen = ""

    def go(self, request: StopRequest, *, spent: float, reserve: float) -> FitResult:
        """Learn until the budget is used up, the score stalls, or a person asks to stop."""
        config, state = self.config, self.state
        self.budget = Budget(
            total_steps=config.epochs * self.steps if config.epochs else None,
            seconds=config.minutes * 60 if config.minutes and not config.epochs else None,
            reserve=reserve,
            spent=spent + state.elapsed,
        )
        self.reserve = reserve
        self.looks = LookPlan.of(self.budget, self.steps, images=len(self.data.train), seen=len(self.data.validation))
        if not state.step:
            self.keeper.save(state)
        stopped: Stopped | None = None
        unit = message("training.unit_epochs" if config.epochs else "training.unit_minutes")
        with bar("training.bar", total=float(config.epochs or config.minutes or 0), unit=unit) as self.bar:
            self.bar.step(state.progress * float(config.epochs or config.minutes or 0))
            while stopped is None:
                stopped = self._epoch(request)
            if state.loss_steps or not state.best:
                self._save()  # before a look that an unbroken run would not take
                self._look()
        self._save()
        self.processes.wait()
        assert state.best is not None
        history = tuple(self.keeper.history)
        return FitResult(state.best, history, state.step / self.steps, self.budget.elapsed, stopped)

    def _epoch(self, request: StopRequest) -> Stopped | None:
        """Go through what is left of the epoch. None when it ended and another may follow."""
        state, order = self.state, self.feed.order(self.state.epoch)
        while state.batch < len(order):
            due = self.keeper.due(epoch_ended=state.batch == 0)
            progress, asked, save = self.processes.agree(self.budget.progress(state.step), request.asked, due)
            if save:
                self._save()
            if asked or progress >= 1:
                return "asked" if asked else "done"
            self._step(order[state.batch], progress)
            state.batch += 1
            due = self.looks.due(state.step, steps_per_epoch=self.steps, elapsed=self.budget.elapsed)
            if self.processes.agree(due)[0]:
                self._look()
                if self._stalled():
                    return "patience"
        state.epoch, state.batch = state.epoch + 1, 0
        return None

    def _step(self, index: NDArray[np.int64], progress: float) -> None:
        config, state = self.config, self.state
        frozen = progress < (config.freeze or 0.0)
        if frozen != self.freeze.on:
            self.freeze.set(frozen)
        state.lr = self.optimisers.set_rate(rate(config.schedule, progress, warmup=config.warmup or 0.0))
        seed = counted_seed(config.seed, "network", state.epoch, state.batch, self.processes.rank)
        seed_device(seed, self.hardware.device)
        self.losses.append(self.stepper.step(self.feed.parts(index, epoch=state.epoch, number=state.batch)))
        state.step += 1
        state.loss_steps += 1
        before, state.progress = state.progress, self.budget.progress(state.step)
        if self.average:
            self.average.update(progress=state.progress)
        if not self.hardware.waits or len(self.losses) >= SYNC_STEPS:
            self._take_losses()
        self.bar.step((state.progress - before) * float(config.epochs or config.minutes or 0), self._note())

    def _note(self) -> str:
        """The latest numbers, beside the bar."""
        known = self.state.loss_steps - len(self.losses)
        loss = f"loss {self.state.loss_sum / known:.4f}" if known > 0 else ""
        return f"{loss} {self.seen}".strip()

    def _take_losses(self) -> None:
        """Add up the losses of the last steps. Raises DivergedError if one is not finite."""
        if self.losses:
            total = self.losses[0] if len(self.losses) == 1 else torch.stack(self.losses).sum()
            self.losses = []
            self.state.loss_sum += float(total)
        if not math.isfinite(self.state.loss_sum):
            raise self._diverged()

    def _diverged(self) -> DivergedError:
        epoch, run = self.state.step / self.steps, self.keeper.run.path
        facts = {"epoch": round(epoch, 2), "step": self.state.step, "run": run, "lr": self.config.lr}
        return DivergedError("training.diverged", **facts)

    def _save(self) -> None:
        self._take_losses()
        if not self.keeper.finite():
            raise self._diverged()
        self.state.elapsed = self.budget.elapsed
        self.state.average_at = self.average.at if self.average else 0.0
        self.keeper.save(self.state)

    def _look(self) -> None:
        """Score the (averaged) weights on the validation images; keep them if they are the best so far."""
        began = self.budget.elapsed
        self._take_losses()
        self.processes.mean_buffers(self.model)
        seen = Look(0.0, 0.0, {})
        if self.processes.first:
            seen = look(
                self.model,
                task=self.task,
                cache=self.data.validation,
                truths=self.truths,
                classes=self.card.classes,
                collate=self.collate,
                settings=self.card.settings or self.task.settings,
                hardware=self.hardware,
                weights=self.average.tensors if self.average else None,
            )
        loss, score = self.processes.agree(seen.loss, seen.score)
        (total,) = self.processes.sum(self.state.loss_sum)
        state, mean = self.state, total / max(1, self.state.loss_steps)
        state.loss_sum, state.loss_steps = 0.0, 0
        line = {
            "epoch": round(state.step / self.steps, 4),
            "step": state.step,
            "progress": round(state.progress, 6),
            "seconds": round(self.budget.elapsed, 3),
            "lr": state.lr,
            "training_loss": mean,
            "validation_loss": loss,
            "validation_score": score,
        }
        better = self._better(score, loss)
        if better:
            state.best = Best(score, loss, state.step / self.steps, state.step)
            self.keeper.take_best({**seen.metrics, "loss": loss})
        self.keeper.add_line(line)
        self._tell(line, better)
        self.looks.looked(began=began, ended=self.budget.elapsed)
        self.budget.reserve = self.reserve + self.looks.cost  # the last look comes when the budget is used up

    def _better(self, score: float, loss: float) -> bool:
        """By the task's main metric; ties by the loss."""
        best = self.state.best
        sign = 1 if self.task.higher_is_better else -1
        return best is None or (sign * score, -loss) > (sign * best.score, -best.loss)

    def _stalled(self) -> bool:
        patience, best = self.config.patience, self.state.best
        return bool(patience and best and self.state.step / self.steps - best.epoch >= patience)

    def _tell(self, line: dict[str, float], better: bool) -> None:
        """A line for a person, about forty in a run and always for the best."""
        self.seen = f"{self.task.main_metric} {line['validation_score']:.4f}"
        if line["progress"] - self.told >= 1 / LINES or line["progress"] >= 1:
            self.told = line["progress"]
            mark = " *" if better else ""
            metric, score = self.task.main_metric, line["validation_score"]
            say("training.line", **line, metric=metric, score=score, mark=mark)


def _chosen(value: float | None, name: str) -> float:
    if value is None:
        raise ConfigError("training.open_setting", field=name)
    return value
