"""A sweep's settings, shared by any number of processes through an Optuna study in the sweep's folder.

The study's journal is a file (JSON lines), so a network file system is enough for several machines. Locks are the
operating system's: they go with the process that holds them, so a worker that was killed is known by its free lock,
and what it worked at is given out again.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from ecc_deploy.errors import RecipeError
from ecc_deploy.sweep.engine import distributions, open_study, sampler
from ecc_deploy.sweep.recipe import Setting, SweepRecipe
from ecc_deploy.sweep.result import TRIALS, Failure, Measured
from ecc_deploy.sweep.table import encode
from ecc_deploy.sweep.trial import find

_LOCKS = ".locks"
_WORKER, _ERROR, _AGAIN = "worker", "error", "again"


@dataclass(frozen=True)
class Task:
    """One setting to train, and Optuna's trial of it."""

    trial: optuna.Trial
    setting: Setting


@dataclass(frozen=True)
class Standing:
    """How far a sweep is: settings with what was measured, what failed and why, how many settings are left."""

    measured: list[tuple[Setting, Measured]]
    failures: list[Failure]
    running: int
    waiting: int

    @property
    def finished(self) -> int:
        """Failures among them."""
        return len(self.measured) + len(self.failures)


class Study:
    """One worker's view of the sweep; a context manager."""

    def __init__(self, folder: Path, sweep: SweepRecipe) -> None:
        """Makes the study in ``folder``, or joins it. Raises :class:`RunError` for a journal that cannot be read."""
        self.folder, self.sweep, self._worker = folder, sweep, uuid.uuid4().hex
        (folder / _LOCKS).mkdir(parents=True, exist_ok=True)
        self.lock = FileLock(folder / _LOCKS / "study.lock")
        self._alive = FileLock(self._lock_of(self._worker))
        self._distributions = distributions(sweep)
        self._study = open_study(folder, sweep, self.lock)

    def __enter__(self) -> Study:
        self._alive.acquire()
        with self.lock:
            self._enqueue()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock_of(self._worker).unlink(missing_ok=True)
        self._alive.release()

    def _lock_of(self, name: str) -> Path:
        return self.folder / _LOCKS / f"{name}.lock"

    def run_of(self, setting: Setting) -> Path:
        """The run directory of a setting."""
        return self.folder / TRIALS / setting.key

    @contextlib.contextmanager
    def alone(self, setting: Setting) -> Iterator[None]:
        """Keeps other workers away from the run directory of a setting: two settings may come to the same recipe."""
        with FileLock(self._lock_of(setting.key)):
            yield

    def _enqueue(self) -> None:
        """Queue what is to be trained: a grid's settings, and what failed or whose run directory is gone."""
        trials = self._study.get_trials(deepcopy=False)
        is_grid = self.sweep.table.sampler == "grid"
        finished = [trial for trial in trials if trial.state.is_finished() and not _is_lost(trial)]
        wanted = self.sweep.grid() if is_grid else [_params(trial) for trial in finished]
        there = {encode(_params(trial)) for trial in trials if not trial.state.is_finished()}
        there |= {encode(_params(trial)) for trial in finished if self._found(trial) is not None}
        for params in wanted:
            if encode(params) not in there:
                there.add(encode(params))
                self._study.enqueue_trial(params, user_attrs={} if is_grid else {_AGAIN: True})

    def _found(self, trial: FrozenTrial) -> Measured | None:
        if trial.state != TrialState.COMPLETE:
            return None
        return find(self.run_of(self.sweep.setting(_params(trial))))

    def next(self) -> Task | None:
        """The next setting for this worker; ``None`` where nothing is left to begin."""
        with self.lock:
            while True:
                self._take_back()
                trials = self._study.get_trials(deepcopy=False)
                if not any(trial.state == TrialState.WAITING for trial in trials) and self._left(trials) <= 0:
                    return None
                self._study.sampler = sampler(self.sweep, len(trials))
                trial = self._study.ask(self._distributions)
                trial.set_user_attr(_WORKER, self._worker)
                try:
                    return Task(trial, self.sweep.setting(trial.params))
                except RecipeError as error:  # of a combination that no probe had
                    self._fail(trial, error)

    def _left(self, trials: list[FrozenTrial]) -> int:
        """How many settings are still to be drawn."""
        drawn = [trial for trial in trials if not _is_lost(trial) and not trial.user_attrs.get(_AGAIN)]
        return (self.sweep.table.trials or 0) - len(drawn)

    def _take_back(self) -> None:
        """Queue again what workers that are gone have left behind."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_alive(trial.user_attrs.get(_WORKER)):
                continue
            if params := _params(trial):
                kept = {key: value for key, value in trial.user_attrs.items() if key == _AGAIN}
                self._study.enqueue_trial(params, user_attrs=kept)
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _is_alive(self, worker: str | None) -> bool:
        if worker is None or worker == self._worker:
            return worker is not None
        path = self._lock_of(worker)
        if not path.exists():
            return False
        lock = FileLock(path)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        path.unlink(missing_ok=True)
        lock.release()
        return False

    def done(self, task: Task, values: list[float]) -> None:
        """Tell what the guide's criteria came to."""
        with self.lock:
            self._study.tell(task.trial, values, skip_if_finished=True)

    def failed(self, task: Task, error: Exception) -> None:
        """Tell that a setting cannot be trained or evaluated."""
        with self.lock:
            self._fail(task.trial, error)

    def _fail(self, trial: optuna.Trial, error: Exception) -> None:
        trial.set_user_attr(_ERROR, str(error))
        self._study.tell(trial, state=TrialState.FAIL)

    def standing(self) -> Standing:
        """How far the sweep is."""
        with self.lock:
            trials = self._study.get_trials(deepcopy=False)
        measured: dict[str, tuple[Setting, Measured]] = {}
        failures: dict[str, Failure] = {}
        for trial in trials:
            params = _params(trial)
            found = self._found(trial)
            if found is not None:
                measured.setdefault(encode(params), (self.sweep.setting(params), found))
            elif _ERROR in trial.user_attrs:
                variant, changes = self.sweep.decode(params)
                error = trial.user_attrs[_ERROR]
                failures[encode(params)] = Failure(variant=variant, changes=changes, error=error)
        states = [trial.state for trial in trials]
        return Standing(
            measured=list(measured.values()),
            failures=[failure for key, failure in failures.items() if key not in measured],
            running=states.count(TrialState.RUNNING),
            waiting=states.count(TrialState.WAITING) + max(0, self._left(trials)),
        )


def _params(trial: FrozenTrial) -> dict[str, Any]:
    """The values of a trial, begun or not: what was queued, and what has been drawn of it or beside it."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def _is_lost(trial: FrozenTrial) -> bool:
    """Whether its worker was killed: it was queued again."""
    return trial.state == TrialState.FAIL and _ERROR not in trial.user_attrs
