"""Runs a sweep, or helps others to run it."""

from __future__ import annotations

import os
from pathlib import Path

from torch import OutOfMemoryError

from ecc_deploy.errors import DataError, RecipeError, RunError, UsageError
from ecc_deploy.progress import Progress, silent
from ecc_deploy.sweep.check import check
from ecc_deploy.sweep.recipe import SweepRecipe, load_sweep_recipe
from ecc_deploy.sweep.result import SWEEP_FILE, Sweep, save
from ecc_deploy.sweep.study import Standing, Study, Task
from ecc_deploy.sweep.summary import guided_values, summarise
from ecc_deploy.sweep.trial import run_trial
from ecc_deploy.training.loop import train
from ecc_deploy.training.recipe import Recipe

_OF_THE_SETTING = (RecipeError, RunError, DataError, OutOfMemoryError)
"""What one setting can stumble over and another not."""


def run_sweep(
    sweep: SweepRecipe | str | Path,
    out: str | Path,
    *,
    progress: Progress = silent,
    threads: int | None = None,
    device: str | None = None,
) -> Sweep:
    """Train and evaluate every setting of a sweep into the folder ``out``; returns what is finished then.

    Any number of processes and machines may do this at the same time with the same ``out``: they share the settings.
    One that was killed is gone on from by running it again: trained settings are found by their run directories, an
    interrupted training goes on from its checkpoint. ``out`` holds ``trials/KEY``, run directories, and ``sweep.json``,
    which is written anew after every trial. Accuracies are of the val part; the test part is not touched.

    ``threads``, ``device``: as for :func:`~ecc_deploy.training.loop.train`. A setting that cannot be trained is told
    among the failures, and the others go on.
    Raises :class:`RecipeError`, :class:`DataError` and :class:`RunError` for what is found before the first training,
    or where every setting failed; :class:`UsageError` under ``accelerate launch``.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "the trials of a sweep are each trained by one process",
            "Start the same command once per GPU or core, without accelerate launch or torchrun.",
        )
    if not isinstance(sweep, SweepRecipe):
        sweep = load_sweep_recipe(sweep)
    check(sweep, progress)

    def train_one(recipe: Recipe, folder: Path, shown: Progress) -> object:
        return train(recipe, folder, progress=shown, threads=threads, device=device)

    with Study(Path(out), sweep) as study:
        standing = _write(study)
        while (task := study.next()) is not None:
            try:
                with study.alone(task.setting):
                    shown = _within(progress, standing, task)
                    measured = run_trial(task.setting.recipe, study.run_of(task.setting), train_one, shown)
            except _OF_THE_SETTING as error:
                study.failed(task, error)
            else:
                study.done(task, guided_values(sweep, measured))
            standing = _write(study)
    progress("Sweep", standing.finished, standing.finished + standing.running + standing.waiting, "done")
    result = summarise(sweep, standing)
    if result.failures and not result.trials and not result.running:
        raise RunError(f"every setting failed; the first: {result.failures[0].error}")
    return result


def _write(study: Study) -> Standing:
    """Bring ``sweep.json`` up to date."""
    with study.lock:
        standing = study.standing()
        save(study.folder / SWEEP_FILE, summarise(study.sweep, standing))
    return standing


def _within(progress: Progress, standing: Standing, task: Task) -> Progress:
    """The progress of one trial as a note on that of the sweep."""
    total = standing.finished + standing.running + standing.waiting

    def shown(what: str, done: int, of: int, note: str = "") -> None:
        words = f"{task.setting.title}: {what} {done}/{of}" + (f", {note}" if note else "")
        progress("Sweep", standing.finished, total, words)

    return shown
