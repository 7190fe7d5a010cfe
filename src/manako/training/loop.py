"""The training loop. One function, `fit`: from a model and two caches to the best weights on disk."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from manako.blocks.model import Model
from manako.config import RunConfig
from manako.console import bar, say
from manako.errors import DivergedError
from manako.messages import message
from manako.paths import atomic_write
from manako.run_folder import RunFolder
from manako.runtime.card import ModelCard
from manako.tasks import Task
from manako.training.augment import Augmentation
from manako.training.average import WeightAverage
from manako.training.budget import Budget
from manako.training.checkpoint import Checkpoint, load_checkpoint
from manako.training.distributed import Processes
from manako.training.feed import TrainingData, make_feed, plain_collate
from manako.training.hardware import Hardware, seed_device
from manako.training.keeping import Keeper
from manako.training.looks import LookPlan
from manako.training.optimisers import configured_optimisers
from manako.training.run_state import MAY_GROW, Best, RunState, check_same_run
from manako.training.sampler import counted_seed
from manako.training.schedules import rate
from manako.training.step import Freeze, Stepper
from manako.training.stopping import StopRequest, stop_on_request
from manako.training.telling import Teller
from manako.training.validate import Judge, Look

Stopped = Literal["done", "patience", "asked", "alarm"]
CALM = 0.2  # last part of a run, in which images are no mosaics: as those that will be judged
SYNC_STEPS = 50  # on a GPU the loss is fetched this seldom: fetching waits for it


@dataclass(frozen=True)
class FitResult:
    """best: the look whose weights lie in `best.safetensors`. epochs: how many were done. stopped: why it ended.
    alarm: what the task was alarmed by, as (message key, facts)."""

    best: Best
    history: tuple[dict[str, float], ...]
    epochs: float
    seconds: float
    stopped: Stopped
    alarm: tuple[str, dict[str, object]] | None = None


def fit(
    model: Model,
    *,
    task: Task[Any],
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
        hardware = Hardware.from_json(state.hardware, file=run.last)
        if any(state.config.get(name) != getattr(config, name) for name in MAY_GROW):
            state.progress = 0.0  # it is less far on the way to a longer budget
        state.config = asdict(config)
    loop = _Loop(model, task, data, config, run, card, hardware, processes or Processes(), how, state)
    if start:
        loop.restore(start)
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
        task: Task[Any],
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
        self.run, self.hardware, self.processes, self.state = run, hardware, processes, state
        self.losses: list[Tensor] = []
        self.looked: list[Mapping[str, float]] = []
        self.alarm: tuple[str, dict[str, object]] | None = None
        model.to(hardware.device, memory_format=hardware.layout)  # type: ignore[call-overload]
        processes.share(model)
        self.feed = make_feed(
            data,
            task=task.name,
            config=config,
            classes=len(card.classes),
            size=(card.preprocess.height, card.preprocess.width),
            how=how,
            device=hardware.device,
            processes=processes,
            skeleton=card.skeleton,
        )
        self.steps = self.feed.steps_per_epoch
        self.total = float(config.epochs or config.minutes or 0)
        self._build_learning()
        self._build_judging()

    def _build_learning(self) -> None:
        config, model = self.config, self.model
        self.optimisers = configured_optimisers(model, config)
        self.average = WeightAverage(model, span=config.ema) if config.ema else None
        self.freeze = Freeze(model)
        self.stepper = Stepper(
            model=model,
            run=torch.compile(model) if config.compile else model,
            optimisers=self.optimisers,
            hardware=self.hardware,
            processes=self.processes,
            clip=config.clip or 0.0,
            scaler=torch.amp.GradScaler(self.hardware.device) if self.hardware.precision == "fp16" else None,
        )

    def _build_judging(self) -> None:
        self.judge = Judge(
            model=self.model,
            task=self.task,
            cache=self.data.validation,
            classes=self.card.classes,
            collate=plain_collate(
                self.task.name, classes=len(self.card.classes), size=self.data.validation.images.shape[1:3]
            ),
            settings=self.card.settings or self.task.settings,
            hardware=self.hardware,
        )
        self.keeper = Keeper(
            run=self.run,
            card=self.card,
            model=self.model,
            optimisers=self.optimisers,
            average=self.average,
            writes=self.processes.first,
        )

    def restore(self, start: Checkpoint) -> None:
        """Go on from a checkpoint whose state is `self.state`."""
        self.keeper.restore(start, self.state)
        self.stepper.load_scale(self.state.scaler)
        if not self.processes.first:
            self.state.loss_sum = 0.0  # the first process has the sum of all

    def go(self, request: StopRequest, *, spent: float, reserve: float) -> FitResult:
        """Learn until the budget is used up, the score stalls, or a person asks to stop."""
        config, state = self.config, self.state
        self.reserve = reserve
        self.budget = Budget(
            total_steps=config.epochs * self.steps if config.epochs else None,
            seconds=config.minutes * 60 if config.minutes and not config.epochs else None,
            reserve=reserve,
            spent=spent + state.elapsed,
            reached=state.progress,
        )
        self.looks = LookPlan.of(self.budget, self.steps, images=len(self.data.train), seen=len(self.data.validation))
        state.progress = self.budget.progress(state.step)
        if self.average:  # a run that was given a longer budget has come less far than it had
            self.average.at = min(self.average.at, state.progress)
        if not state.step:
            self.keeper.save(state)
        stopped: Stopped | None = None
        unit = message("training.unit_epochs" if config.epochs else "training.unit_minutes")
        with bar("training.bar", total=self.total, unit=unit) as shown:
            self.teller = Teller(shown, metric=self.task.main_metric, total=self.total)
            self.teller.step(state.progress, None)
            while stopped is None:
                stopped = self._epoch(request)
            if state.loss_steps or not state.best:
                self._save()  # before a look that an unbroken run would not take
                self._look()
        self._save()
        self.processes.wait()
        assert state.best is not None
        history = tuple(self.keeper.history)
        return FitResult(state.best, history, state.step / self.steps, self.budget.elapsed, stopped, self.alarm)

    def _epoch(self, request: StopRequest) -> Stopped | None:
        """Go through what is left of the epoch. None when it ended and another may follow."""
        state, order = self.state, self.feed.order(self.state.epoch)
        while state.batch < len(order):
            due = self.keeper.due(epoch_ended=state.batch == 0)
            progress, asked, save = self.processes.agree(self.budget.progress(state.step), request.asked, due)
            if save:
                self._save()
            if asked or progress >= 1:
                state.progress = progress
                return "asked" if asked else "done"
            self._step(order[state.batch], progress)
            state.batch += 1
            due = self.looks.due(state.step, steps_per_epoch=self.steps, elapsed=self.budget.elapsed)
            if self.processes.agree(due)[0]:
                self._look()
                if self.processes.agree(self.alarm is not None)[0]:
                    return "alarm"
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
        calm = progress >= 1 - CALM
        parts = self.feed.parts(index, epoch=state.epoch, number=state.batch, calm=calm)
        self.losses.append(self.stepper.step(parts))
        state.step += 1
        state.loss_steps += 1
        self._add_parts()
        before, state.progress = state.progress, self.budget.progress(state.step)
        if self.average:
            self.average.update(progress=state.progress)
        if not self.hardware.waits or len(self.losses) >= SYNC_STEPS:
            self._take_losses()
        known = state.loss_steps - len(self.losses)
        self.teller.step(state.progress - before, state.loss_sum / known if known else None)

    def _add_parts(self) -> None:
        """Of the loss, for curves; on a GPU only now and then, and that for the steps between: fetching waits."""
        if self.hardware.waits and self.state.loss_steps % SYNC_STEPS != 1:
            return
        for name, value in self.model.parts.items():
            self.state.parts[name] = self.state.parts.get(name, 0.0) + float(value)
        self.state.parts_steps += bool(self.model.parts)

    def _take_losses(self) -> None:
        """Add up the losses of the last steps. Raises DivergedError if one is not finite."""
        if self.losses:
            total = self.losses[0] if len(self.losses) == 1 else torch.stack(self.losses).sum()
            self.losses = []
            self.state.loss_sum += float(total)
        if self.processes.count == 1:  # several must stop together
            self._check_finite(self.state.loss_sum)

    def _take_all_losses(self) -> None:
        """Bring the losses of all processes together in the first one."""
        self._take_losses()
        (total,) = self.processes.sum(self.state.loss_sum)
        self._check_finite(total)
        self.state.loss_sum = total if self.processes.first else 0.0

    def _check_finite(self, value: float) -> None:
        if not math.isfinite(value):
            epoch = round(self.state.step / self.steps, 2)
            raise DivergedError(
                "training.diverged", epoch=epoch, step=self.state.step, run=self.run.path, lr=self.config.lr
            )

    def _save(self) -> None:
        self._take_all_losses()
        self._check_finite(1.0 if self.keeper.finite() else math.nan)
        self.state.elapsed = self.budget.elapsed
        self.state.average_at = self.average.at if self.average else 0.0
        self.state.scaler = self.stepper.scale
        self.keeper.save(self.state)

    def _look(self) -> None:
        """Score the (averaged) weights on the validation images; keep them if they are the best so far."""
        state, began = self.state, self.budget.elapsed
        self._take_all_losses()
        self.processes.mean_buffers(self.model)
        weights = self.average.tensors if self.average else None
        seen = self.judge.look(weights) if self.processes.first else Look(0.0, 0.0, {})
        loss, score = self.processes.agree(seen.loss, seen.score)
        self._check_finite(loss)
        (total,) = self.processes.agree(state.loss_sum)
        line = {
            "epoch": round(state.step / self.steps, 4),
            "step": state.step,
            "progress": round(state.progress, 6),
            "seconds": round(self.budget.elapsed, 3),
            "lr": state.lr,
            "training_loss": total / max(1, state.loss_steps),
            "validation_loss": loss,
        }
        if not math.isnan(score):
            line["validation_score"] = score
        line |= {f"loss_{name}": value / state.parts_steps for name, value in state.parts.items()}
        state.loss_sum, state.loss_steps, state.parts, state.parts_steps = 0.0, 0, {}, 0
        better = self._better(score, loss)
        if better:
            state.best = Best(None if math.isnan(score) else score, loss, state.step / self.steps, state.step)
            self.keeper.take_best({**seen.metrics, "loss": loss})
        self.keeper.add_line(line)
        self.teller.look(line, better=better)
        self._show(seen)
        self.looks.looked(began=began, ended=self.budget.elapsed)
        self.budget.reserve = self.reserve + self.looks.cost  # the last look comes when the budget is used up

    def _show(self, seen: Look) -> None:
        """A sheet of what was predicted, where the task has one; and what alarms the task, which ends the run."""
        if seen.shown:
            folder = self.run.path / "figures"
            folder.mkdir(exist_ok=True)
            picture = io.BytesIO()
            self.task.sheet(seen.shown).save(picture, "PNG")
            atomic_write(folder / f"samples-{len(self.keeper.history):03}.png", picture.getvalue())
        self.looked.append(seen.metrics)
        self.alarm = self.task.alarm(self.looked)
        if self.alarm:
            say(self.alarm[0], **self.alarm[1])

    def _better(self, score: float, loss: float) -> bool:
        """The latest look wins among those that differ from the highest by less than chance (one standard error).

        Where the validation images can't tell the score (anomalies: all are normal), the lowest loss wins.

        On 50 validation images one lucky answer is 2 points: the highest alone would keep the weights of a lucky look
        over later ones, whose rate has come down and whose average is longer.
        """
        if math.isnan(score):
            return all(loss <= line["validation_loss"] for line in self.keeper.history)
        scores = [score] + [line["validation_score"] for line in self.keeper.history]
        highest = max(scores) if self.task.higher_is_better else min(scores)
        return abs(highest - score) <= self.task.chance(highest, len(self.data.validation))

    def _stalled(self) -> bool:
        """Whether the score has not been higher for `patience` epochs."""
        if not self.config.patience or not self.keeper.history:
            return False
        lines = self.keeper.history
        scored = "validation_score" in lines[-1]
        values = [line["validation_score" if scored else "validation_loss"] for line in lines]
        best = max(values) if scored and self.task.higher_is_better else min(values)
        since = lines[values.index(best)]["epoch"]
        return self.state.step / self.steps - since >= self.config.patience
