"""How settings are shared among workers, without any training."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ecc_deploy.errors import RecipeError, RunError
from ecc_deploy.sweep.recipe import SweepRecipe
from ecc_deploy.sweep.study import Study, Task
from tests.sweep import toy

GRID = {"parameters": {"adapter.bits": [1, 2, 4]}, "variants": [{"name": "a"}, {"name": "b", "set": {"seed": 4}}]}
RANGES = {
    "parameters": {
        "phases.2.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "adapter.channels": {"low": 2, "high": 8},
        "adapter.bits": [2, 4],
    }
}


def finish(study: Study, task: Task, accuracy: float = 0.7) -> None:
    toy.pretend(study.folder, task.setting, toy.measured(accuracy))
    study.done(task, [accuracy, 40.0])


def tasks(study: Study) -> Iterator[Task]:
    while (task := study.next()) is not None:
        yield task


@pytest.fixture
def grid() -> SweepRecipe:
    return toy.sweep(GRID)


def test_workers_share_a_grid_and_do_each_setting_once(tmp_path: Path, grid: SweepRecipe) -> None:
    with Study(tmp_path, grid) as one, Study(tmp_path, grid) as other:
        found: list[str] = []
        while True:
            drawn = [(study, task) for study in (one, other) if (task := study.next()) is not None]
            if not drawn:
                break
            for study, task in drawn:
                found.append(task.setting.title)
                finish(study, task)
        assert sorted(found) == sorted(grid.setting(params).title for params in grid.grid())
        standing = other.standing()
    assert (len(standing.measured), standing.running, standing.waiting) == (6, 0, 0)


def test_what_a_worker_that_is_gone_had_begun_is_given_out_again(tmp_path: Path, grid: SweepRecipe) -> None:
    with Study(tmp_path, grid) as gone:
        left = gone.next()
        assert left is not None
    with Study(tmp_path, grid) as alive, Study(tmp_path, grid) as other:
        busy = alive.next()
        titles = []
        for task in tasks(other):
            titles.append(task.setting.title)
            finish(other, task)
        assert busy is not None
        assert left.setting.title in titles
        assert busy.setting.title not in titles
        assert len(titles) == 5
        assert (other.standing().running, other.standing().waiting) == (1, 0)


def test_trials_are_found_by_their_run_directory_without_the_journal(tmp_path: Path, grid: SweepRecipe) -> None:
    with Study(tmp_path, grid) as study:
        for task in tasks(study):
            finish(study, task)
    (tmp_path / "optuna.log").write_text("damaged\n{}\n")
    with pytest.raises(RunError, match="cannot be read") as caught:
        Study(tmp_path, grid)
    assert "Remove it" in caught.value.hint
    (tmp_path / "optuna.log").unlink()
    with Study(tmp_path, grid) as study:
        assert study.standing().waiting == 6


def test_a_run_directory_that_is_gone_is_made_again(tmp_path: Path, grid: SweepRecipe) -> None:
    with Study(tmp_path, grid) as study:
        done = list(tasks_done(study))
    (tmp_path / "trials" / done[2].setting.key / "val.json").unlink()
    with Study(tmp_path, grid) as study:
        again = list(tasks_done(study))
    assert [task.setting.title for task in again] == [done[2].setting.title]


def tasks_done(study: Study) -> Iterator[Task]:
    for task in tasks(study):
        finish(study, task)
        yield task


def test_a_failure_is_told_and_tried_again_by_the_next_command(tmp_path: Path, grid: SweepRecipe) -> None:
    with Study(tmp_path, grid) as study:
        first = study.next()
        assert first is not None
        study.failed(first, RecipeError("too large", "Make it smaller."))
        assert len(list(tasks_done(study))) == 5
        (failure,) = study.standing().failures
        assert (failure.title, failure.error) == (first.setting.title, "too large\nMake it smaller.")
    with Study(tmp_path, grid) as study:
        assert [task.setting.title for task in tasks_done(study)] == [first.setting.title]
        assert study.standing().failures == []


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_samplers_draw_as_many_as_wanted(tmp_path: Path, sampler: str) -> None:
    table: dict[str, Any] = {**RANGES, "sampler": sampler, "trials": 8}
    with ExitStack() as stack:
        workers = [stack.enter_context(Study(tmp_path, toy.sweep(table))) for _ in range(2)]
        drawn = []
        for number in range(8):
            task = workers[number % 2].next()
            assert task is not None
            drawn.append(task.setting)
            finish(workers[number % 2], task, 0.5 + 0.02 * number)
        assert workers[0].next() is None
    once = len({setting.key for setting in drawn}) == 8
    assert once or sampler == "nsga2"  # which draws its best again, as evolution does
    for setting in drawn:
        assert 0.001 <= setting.recipe.phases[2].learning_rate <= 0.1
        assert 2 <= setting.recipe.adapter.channels <= 8
    with Study(tmp_path, toy.sweep({**table, "trials": 10})) as study:
        more = [task.setting.key for task in tasks_done(study)]
    assert len(more) == 2


def test_the_same_seed_draws_the_same_settings(tmp_path: Path) -> None:
    def drawn(folder: Path, seed: int) -> list[str]:
        with Study(folder, toy.sweep({**RANGES, "sampler": "tpe", "trials": 5, "seed": seed})) as study:
            return [task.setting.title for task in tasks_done(study)]

    assert drawn(tmp_path / "a", 1) == drawn(tmp_path / "b", 1)
    assert drawn(tmp_path / "a", 1) == []
    assert drawn(tmp_path / "c", 2) != drawn(tmp_path / "d", 1)


def test_a_drawn_setting_survives_its_worker(tmp_path: Path) -> None:
    recipe = toy.sweep({**RANGES, "sampler": "random", "trials": 2})
    with Study(tmp_path, recipe) as gone:
        left = gone.next()
        assert left is not None
    with Study(tmp_path, recipe) as study:
        titles = [task.setting.title for task in tasks_done(study)]
    assert len(titles) == 2
    assert left.setting.title in titles
