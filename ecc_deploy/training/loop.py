"""Training a recipe: its phases one after the other, a checkpoint after every epoch, a run directory at the end."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from ecc_deploy.data import Dataset
from ecc_deploy.progress import Progress, silent
from ecc_deploy.systems.rate import RateModel
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.batches import to_tensors
from ecc_deploy.training.checkpoint import Standing, load_checkpoint, remove_checkpoint, save_checkpoint
from ecc_deploy.training.phase import Phase
from ecc_deploy.training.phase_runner import PhaseRunner, check_phase
from ecc_deploy.training.recipe import ModelRecipe, Recipe
from ecc_deploy.training.run import (
    Run,
    build_model,
    build_system,
    load_data,
    load_model_weights,
    load_starting_weights,
    save_run,
)
from ecc_deploy.training.teacher import Teacher
from ecc_deploy.training.validation import validate
from ecc_deploy.training.views import Views, views_of
from ecc_deploy.training.workers import Workers


def train(
    recipe: Recipe,
    out: str | Path,
    *,
    progress: Progress = silent,
    threads: int | None = None,
    device: str | None = None,
    restart: bool = False,
) -> Run:
    """Train the system of a recipe and write the run directory ``out``.

    A checkpoint is written after every epoch. Where ``out`` holds one of the same recipe, training goes on from there,
    with the same result, bit for bit on a CPU, as without the interruption; ``restart`` begins anew.

    ``threads``: CPU threads of torch (its default for ``None``). ``device``: of torch; by default the GPU where there
    is one. The same recipe gives the same weights on the same machine with the same number of threads.
    Raises :class:`RecipeError`, :class:`DataError`, :class:`RunError` for a checkpoint of another recipe.
    """
    out = Path(out)
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    workers = Workers(device)
    trainer = _Trainer(recipe, out, workers, progress if workers.is_first else silent)
    if restart and workers.is_first:
        remove_checkpoint(out)
    workers.wait()
    standing = load_checkpoint(out, recipe)
    trainer.begin(standing)
    for number in range(trainer.standing.phase, len(recipe.phases)):
        trainer.run_phase(number)
    return trainer.finish()


class _Trainer:
    """One run: what outlives its phases."""

    def __init__(self, recipe: Recipe, out: Path, workers: Workers, progress: Progress) -> None:
        self.recipe, self.out, self.workers, self.progress = recipe, out, workers, progress
        self.precision = workers.precision(recipe.precision)
        self.source: Dataset = load_data(recipe)
        self.system: EdgeCloudSystem = build_system(recipe)
        self.others = [self._trained(model) for model in recipe.teacher.also]
        self.standing = Standing()
        quantizer = self.system.adapter.quantizer
        channels = self.system.adapter.boundary_shape[0]
        self.rate = RateModel(channels, quantizer.bits) if quantizer.is_integer else None

    def _trained(self, model: ModelRecipe) -> nn.Module:
        """One more teacher, with its weights, on the device."""
        own = build_model(model, self.source)
        load_model_weights(own, model)
        _place(own, self.workers.device)
        return own

    def begin(self, standing: Standing | None) -> None:
        """Load starting weights, or the state that an interrupted run had; then move to the device."""
        if standing is None:
            self.standing.parts = sorted(load_starting_weights(self.system, self.recipe))
        else:
            self.standing = standing
            self.system.load_state_dict(standing.state["system"])
            if self.rate is not None:
                self.rate.load_state_dict(standing.state["rate"])
        _place(self.system, self.workers.device)
        if self.rate is not None:
            self.rate.to(self.workers.device)
        normalisation, device = self.source.normalisation, self.workers.device
        self.data = to_tensors(self.source.part("train"), normalisation, device)
        self.val = to_tensors(self.source.part("val"), normalisation, device)

    @property
    def parts(self) -> frozenset[str]:
        return frozenset(self.standing.parts)

    def run_phase(self, number: int) -> None:
        phase = self.recipe.phases[number]
        check_phase(phase, self.parts, self.rate)
        teacher = self._teacher() if phase.is_taught else None
        runner = PhaseRunner(
            self.system,
            phase,
            self.rate,
            samples=len(self.data),
            seed=self.recipe.seed * 1000 + number,
            precision=self.precision,
            workers=self.workers,
            progress=self.progress,
            teacher=teacher,
            views=self._views(phase, teacher) if teacher and self.recipe.teacher.views else None,
        )
        if self.standing.epoch:
            runner.restore(self.standing.state)
        for epoch in range(self.standing.epoch, phase.epochs):
            started = time.perf_counter()
            facts = runner.epoch(self.data)
            seconds = time.perf_counter() - started
            row = {"phase": phase.name, "epoch": epoch + 1, **facts, "duration_s": round(seconds, 2)}
            self.standing.history.append({**row, **validate(self.system, self.val, runner.objectives.paths, phase)})
            if epoch + 1 < phase.epochs:
                self.standing.epoch = epoch + 1
                self._save(runner.state())
        self._end_phase(phase, number)

    def _teacher(self) -> Teacher:
        return Teacher(self.system, self.others, mirrored=self.recipe.teacher.mirrored)

    def _views(self, phase: Phase, teacher: Teacher) -> Views:
        """Where several train, the first asks the teacher, and the others find the answers in the cache."""

        def teach(x: torch.Tensor) -> torch.Tensor:
            with self.workers.autocast(self.precision):
                return teacher.logits(x.contiguous(memory_format=torch.channels_last))

        def views() -> Views:
            return views_of(
                self.data.images,
                phase.augment,
                self.recipe.teacher.views,
                teach,
                mirrored=teacher.mirrored,
                identity=f"{teacher.identity} {self.precision}",
                progress=self.progress,
            )

        first = views() if self.workers.is_first else None
        self.workers.wait()
        return first or views()

    def _end_phase(self, phase: Phase, number: int) -> None:
        parts = self.parts | frozenset(phase.train)
        if "cloud" in phase.train:
            self.system.reset_tail()
        if "adapter" in phase.train:
            parts = parts | {"tail"}  # what the adapter learned to feed belongs to the run, tuned or not
        self.standing.parts, self.standing.phase, self.standing.epoch = sorted(parts), number + 1, 0
        self._save({})

    def _save(self, phase_state: dict) -> None:
        state = {"system": self.system.state_dict(), "rate": self.rate.state_dict() if self.rate else {}, **phase_state}
        self.standing.state = state
        if self.workers.is_first:
            save_checkpoint(self.out, self.recipe, self.standing)
        self.workers.wait()

    def finish(self) -> Run:
        metrics = {
            "torch_threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "device": self.workers.device.type,
            "workers": self.workers.count,
            "precision": self.precision,
            "epochs": self.standing.history,
        }
        self.system.to("cpu").eval()
        if self.workers.is_first:
            save_run(self.out, self.recipe, self.system, self.parts, metrics)
            remove_checkpoint(self.out)
        self.workers.wait()
        return Run(self.recipe, self.system, self.parts, metrics, self.out)


def _place(module: nn.Module, device: torch.device) -> None:
    """Move ``module`` to ``device``, its convolutions' weights in the layout that is quick there."""
    module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent in the stub
