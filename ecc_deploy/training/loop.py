"""The training loop: phases of SGD over some parts of a system, the rest frozen."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import nn

from ecc_deploy import data
from ecc_deploy.errors import RecipeError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.systems.system import EdgeCloudSystem
from ecc_deploy.training.batches import batches, to_tensors
from ecc_deploy.training.losses import objective
from ecc_deploy.training.recipe import Phase, Recipe
from ecc_deploy.training.run import Run, build_system, load_weights, resolve, save_run

EVALUATION_BATCH = 500


def train(recipe: Recipe, out: Path, *, progress: Progress = silent, threads: int | None = None) -> Run:
    """Train the system of a recipe and write the run directory ``out``.

    ``threads``: CPU threads of torch (its default for ``None``). The same recipe gives the same weights on the same
    machine with the same number of threads. Raises :class:`RecipeError`, :class:`DataError`.
    """
    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(recipe.seed)
    source = data.load(recipe.data.name, recipe.data.folder)
    train_images, train_labels = to_tensors(source.part("train"), source.normalisation)
    val_images, val_labels = to_tensors(source.part("val"), source.normalisation)
    system = build_system(recipe)
    system.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the stub lacks this overload
    parts = load_weights(system, resolve(recipe.init)) if recipe.init else frozenset()

    history: list[dict] = []
    for number, phase in enumerate(recipe.phases):
        _check(phase, parts)
        generator = torch.Generator().manual_seed(recipe.seed * 1000 + number)
        trainer = _PhaseTrainer(system, phase, len(train_labels), generator, progress)
        for epoch in range(phase.epochs):
            started = time.perf_counter()
            loss = trainer.epoch(train_images, train_labels)
            accuracy = evaluate_paths(system, val_images, val_labels, trainer.paths)
            seconds = time.perf_counter() - started
            row = {"phase": phase.name, "epoch": epoch + 1, "loss": loss, "duration_s": seconds}
            history.append({**row, "val_accuracy": accuracy})
        parts = parts | frozenset(phase.train)
        if "cloud" in phase.train:
            system.reset_tail()
        if "adapter" in phase.train:
            parts = parts | {"tail"}  # what the adapter learned to feed belongs to the run, tuned or not
        save_run(out, recipe, system, parts, {"torch_threads": torch.get_num_threads(), "epochs": history})
    return Run(recipe, system.eval(), parts, {"epochs": history}, out)


def _check(phase: Phase, parts: frozenset[str]) -> None:
    """A phase that leans on an untrained part is a mistake in the recipe, not something to train through."""
    wanted = set()
    if phase.loss.distillation:
        wanted.add("cloud")
    if {"adapter", "tail"} & set(phase.train):
        wanted |= {"edge", "cloud"} - set(phase.train)
    missing = wanted - parts
    if missing:
        raise RecipeError(
            f"the phase {phase.name!r} needs a trained {' and '.join(sorted(missing))}",
            "Put a phase that trains it before this one, or start from a run that holds it with `init`.",
        )


class _PhaseTrainer:
    def __init__(
        self, system: EdgeCloudSystem, phase: Phase, samples: int, generator: torch.Generator, progress: Progress
    ) -> None:
        self.system, self.phase, self.generator, self.progress = system, phase, generator, progress
        self.modules: list[nn.Module] = [getattr(system, part) for part in phase.train]
        self.paths = _paths(phase)
        system.requires_grad_(False)
        for module in self.modules:
            module.requires_grad_(True)
        parameters = [p for module in self.modules for p in module.parameters()]
        self.steps = samples // phase.batch
        if self.steps == 0:
            raise RecipeError(f"the phase {phase.name!r} has batches of {phase.batch}, but there are {samples} samples")
        self.optimizer = torch.optim.SGD(
            parameters, phase.learning_rate, momentum=0.9, weight_decay=phase.weight_decay, nesterov=True
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, phase.learning_rate, total_steps=self.steps * phase.epochs
        )
        self.done = 0

    def epoch(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """One pass over the training images; returns the mean loss."""
        self.system.eval()
        for module in self.modules:
            module.train()
        total = torch.zeros(())
        for x, y in batches(images, labels, self.phase.batch, self.phase.augment, self.generator):
            loss = self._loss(x, y)
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
            self.schedule.step()
            total += loss.detach()
            self.done += 1
            if self.done % 10 == 0 or self.done == self.steps * self.phase.epochs:
                note = f"loss {loss.item():.3f}"
                self.progress(f"Train {self.phase.name}", self.done, self.steps * self.phase.epochs, note)
        return (total / self.steps).item()

    def _loss(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        recipe = self.phase.loss
        teacher = None
        if recipe.distillation:
            with torch.no_grad():
                teacher = self.system.cloud(x)
        outputs = forward_paths(self.system, x, self.paths)
        return torch.stack([objective(logits, y, teacher, recipe) for logits in outputs.values()]).sum()


def _paths(phase: Phase) -> tuple[str, ...]:
    """The paths whose answers a phase trains: ``edge``, ``cloud``, ``adapted``."""
    paths: list[str] = [path for path in ("edge", "cloud") if path in phase.train]
    if {"adapter", "tail"} & set(phase.train):
        paths.append("adapted")
    return tuple(paths)


def forward_paths(system: EdgeCloudSystem, x: torch.Tensor, paths: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Logits ``[N, classes]`` of each path, shared stages run once."""
    outputs: dict[str, torch.Tensor] = {}
    if "cloud" in paths:
        outputs["cloud"] = system.cloud(x)
    if "edge" in paths and "adapted" in paths:
        outputs["edge"], outputs["adapted"] = system.edge_and_adapted(x)
    elif "edge" in paths:
        outputs["edge"] = system.edge(x)
    elif "adapted" in paths:
        outputs["adapted"] = system.adapted(x)
    return outputs


@torch.no_grad()
def path_logits(system: EdgeCloudSystem, images: torch.Tensor, paths: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """Logits of each path over all ``images``, in evaluation mode."""
    system.eval()
    chunks = [forward_paths(system, chunk, paths) for chunk in torch.split(images, EVALUATION_BATCH)]
    return {path: torch.cat([chunk[path] for chunk in chunks]) for path in paths}


def evaluate_paths(
    system: EdgeCloudSystem, images: torch.Tensor, labels: torch.Tensor, paths: tuple[str, ...]
) -> dict[str, float]:
    """Top-1 accuracy, 0 to 1, of each path."""
    logits = path_logits(system, images, paths)
    return {path: (out.argmax(1) == labels).double().mean().item() for path, out in logits.items()}
