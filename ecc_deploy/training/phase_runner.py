"""Training one phase: SGD over some parts of a system, the rest frozen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import nn
from torch.optim.lr_scheduler import LinearLR, LRScheduler, OneCycleLR

from ecc_deploy.errors import RecipeError
from ecc_deploy.progress import Progress
from ecc_deploy.systems.rate import RateModel
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.averaging import WeightAverage
from ecc_deploy.training.balance import set_gradients
from ecc_deploy.training.batches import Batch, Labelled, batches
from ecc_deploy.training.objectives import Objectives
from ecc_deploy.training.paths import run_paths
from ecc_deploy.training.phase import Phase
from ecc_deploy.training.teacher import Teacher
from ecc_deploy.training.views import Views
from ecc_deploy.training.workers import Workers

_SHOW_EVERY = 10
"""Steps between two calls of the progress."""
_STATISTICS = 100
"""Batches that batch norm's statistics of averaged weights are found from."""


def check_phase(phase: Phase, parts: frozenset[str], rate: RateModel | None) -> None:
    """Raise :class:`RecipeError` for a phase that leans on a part not among ``parts``, the trained ones before it."""
    wanted = set()
    if phase.is_taught:
        wanted.add("cloud")
    if phase.joins:
        wanted |= {"edge", "cloud"} - set(phase.train)
    if phase.recall:
        wanted |= {"edge", "adapter"} - set(phase.train)
    missing = wanted - parts
    if missing:
        raise RecipeError(
            f"the phase {phase.name!r} needs a trained {' and '.join(sorted(missing))}",
            "Put a phase that trains it before this one, or start from a run that holds it with `init`.",
        )
    if phase.rate and rate is None:
        raise RecipeError(
            f"the phase {phase.name!r} has a rate, but the boundary is float", "Set adapter.bits to 8 or less."
        )


class PhaseRunner:
    """One phase: its optimizer, schedule and random numbers."""

    def __init__(
        self,
        system: EdgeCloudSystem,
        phase: Phase,
        rate: RateModel | None,
        *,
        samples: int,
        seed: int,
        precision: str,
        workers: Workers,
        progress: Progress,
        teacher: Teacher | None = None,
        views: Views | None = None,
    ) -> None:
        """``samples``: of an epoch; ``precision``: ``float32`` or ``bfloat16``; ``teacher``: the cloud by default;
        ``views``: to take the images in, with the teacher's answers.
        """
        self.system, self.phase, self.rate = system, phase, rate
        self.precision, self.workers, self.progress = precision, workers, progress
        if phase.batch % self.workers.count:
            raise RecipeError(f"a batch of {phase.batch} cannot be shared by {self.workers.count} workers alike")
        self.generator = torch.Generator().manual_seed(seed)
        self.modules: list[nn.Module] = [getattr(system, part) for part in phase.train]
        self.objectives = Objectives(system, phase, rate, teacher)
        self.views = views
        system.requires_grad_(False)
        for module in self.modules:
            module.requires_grad_(True)
        self.steps = samples // phase.batch
        if self.steps == 0:
            raise RecipeError(f"the phase {phase.name!r} has batches of {phase.batch}, but there are {samples} samples")
        self.parameters = [p for module in self.modules for p in module.parameters()]
        step = system.adapter.quantizer.step
        decayed = [p for p in self.parameters if p is not step]
        groups = [{"params": decayed, "weight_decay": phase.weight_decay}]
        if len(decayed) < len(self.parameters):
            groups.append({"params": [step], "weight_decay": 0.0})  # a scale: decay would only narrow its range
        self.optimizer = torch.optim.SGD(groups, phase.learning_rate, momentum=0.9, nesterov=True)
        self.total = self.steps * phase.epochs
        self.schedule = _schedule(self.optimizer, phase, self.total)
        self.average = WeightAverage(self.modules) if phase.average else None
        self.done = 0

    def state(self) -> dict:
        """What :meth:`restore` goes on from: tensors and plain values."""
        schedule = {k: v for k, v in self.schedule.state_dict().items() if isinstance(v, int | float | list)}
        return {
            "optimizer": self.optimizer.state_dict(),
            "schedule": schedule,
            "generator": self.generator.get_state(),
            "done": self.done,
            "average": self.average.state() if self.average else {},
        }

    def restore(self, state: dict) -> None:
        """Go on where :meth:`state` was taken."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.generator.set_state(state["generator"])
        self.done = state["done"]
        if self.average:
            self.average.restore(state["average"])

    def epoch(self, data: Labelled) -> dict[str, object]:
        """One pass over the training images; returns the mean objectives, and their weights in the last step.

        After the last one the system holds the phase's result: the average of weights, where the phase has one.
        """
        self.system.eval()
        for module in self.modules:
            module.train()
        totals: dict[str, torch.Tensor] = {}
        weights: dict[str, float] = {}
        for batch in self._batches(data):
            with self.workers.autocast(self.precision):
                objectives = self.objectives(*batch)
            weights = set_gradients(objectives, self.parameters, self.phase.balance, self.workers)
            self.optimizer.step()
            self.schedule.step()
            if self.done == 0:  # the boundary's step was found from each worker's own share
                self.workers.follow_first(self.parameters)
            for name, value in objectives.items():
                totals[name] = totals.get(name, torch.zeros((), device=value.device)) + value.detach()
            self._show(objectives)
        if self.average and self.done > self.total - self.phase.average * self.steps:
            self.average.add()
            if self.done == self.total:
                self.average.take(
                    self._run, (batch.images for batch in itertools.islice(self._batches(data), _STATISTICS))
                )
        for module in filter(None, [*self.modules, self.rate]):
            self.workers.follow_first(module.buffers())
        means = {name: total.item() / self.steps for name, total in totals.items()}
        found: dict[str, object] = {"loss": sum(means.values()), "objectives": means}
        return found | ({"weights": weights} if self.phase.balance.method == "pareto" else {})

    def _batches(self, data: Labelled) -> Iterator[Batch]:
        shared = {"rank": self.workers.rank, "workers": self.workers.count}
        return batches(data, self.phase.batch, self.phase.augment, self.generator, views=self.views, **shared)

    def _run(self, x: torch.Tensor) -> object:
        with self.workers.autocast(self.precision):
            return run_paths(self.system, x, self.objectives.paths)

    def _show(self, objectives: dict[str, torch.Tensor]) -> None:
        self.done += 1
        if self.done % _SHOW_EVERY == 0 or self.done == self.total:
            loss = sum(value.item() for value in objectives.values())
            self.progress(f"Train {self.phase.name}", self.done, self.total, f"loss {loss:.3f}")


def _schedule(optimizer: torch.optim.Optimizer, phase: Phase, steps: int) -> LRScheduler:
    if phase.schedule == "constant":
        return LinearLR(optimizer, 1 / 25, total_iters=max(1, round(phase.warm_up * steps)))
    return OneCycleLR(optimizer, phase.learning_rate, total_steps=steps, pct_start=phase.warm_up)
