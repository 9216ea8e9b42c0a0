"""What a sweep asks of Optuna: a study in a file, what there is to draw, and a sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ecc_deploy.errors import RunError
from ecc_deploy.evaluation.pareto import CRITERIA
from ecc_deploy.sweep.recipe import SweepRecipe
from ecc_deploy.sweep.table import Range

JOURNAL = "optuna.log"


def open_study(folder: Path, sweep: SweepRecipe, lock: FileLock) -> optuna.Study:
    """Make the study of ``sweep`` in ``folder``, or join it. ``lock``: of the journal, held for every line.

    Raises :class:`RunError` for a journal that cannot be read.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = folder / JOURNAL
    try:
        with lock:
            backend = JournalFileBackend(str(journal), lock_obj=_JournalLock(lock))
            return optuna.create_study(
                storage=JournalStorage(backend),
                study_name=sweep.identity,
                directions=["maximize" if CRITERIA[c] == "up" else "minimize" for c in sweep.table.guide.criteria],
                load_if_exists=True,
            )
    except ValueError as error:  # a line that is no JSON
        raise RunError(
            f"the journal {journal} cannot be read: {error}",
            "Remove it: what is trained is found again by its run directory.",
        ) from error


class _JournalLock(JournalFileOpenLock):
    """Optuna's own lock outlives a killed process, and would be waited for; this one goes with it."""

    def __init__(self, lock: FileLock) -> None:
        self._file_lock = lock

    def acquire(self) -> bool:
        self._file_lock.acquire()
        return True

    def release(self) -> None:
        self._file_lock.release()


def distributions(sweep: SweepRecipe) -> dict[str, Any]:
    """What there is to draw, by path, and the variant."""
    found: dict[str, Any] = {path: CategoricalDistribution(values) for path, values in sweep.choices().items()}
    for path, values in sweep.table.parameters.items():
        if isinstance(values, Range):
            whole = isinstance(values.low, int) and isinstance(values.high, int)
            kind: Any = IntDistribution if whole else FloatDistribution
            found[path] = kind(values.low, values.high, log=values.log)
    return found


def sampler(sweep: SweepRecipe, number: int) -> optuna.samplers.BaseSampler:
    """For the trial ``number``. Each has a seed of its own: workers, and a worker that begins anew, would otherwise
    draw the same values.
    """
    seed = (sweep.table.seed * 1_000_003 + number) % 2**32
    if sweep.table.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, (sweep.table.trials or 0) // 3 + 1))
    if sweep.table.sampler == "nsga2":
        population = min(50, max(4, (sweep.table.trials or 0) // 4))
        return optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)
