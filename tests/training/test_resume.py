"""A run that is killed goes on as if it had not been, bit for bit."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli_w
import torch

from ecc_deploy.errors import RunError
from ecc_deploy.training.checkpoint import FILE, load_checkpoint
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from tests import tiny

JOINT = {
    "name": "joint",
    "train": ["edge", "adapter", "tail"],
    "epochs": 3,
    "batch": 100,
    "learning_rate": 0.05,
    "loss": {"distillation": 1.0, "fused": 0.5},
    "rate": {"weight": 0.01, "budget": 20.0},
    "augment": {"shift": 2, "erase": 4},
}
AVERAGED = {**JOINT, "schedule": "constant", "average": 2}
GATE = {"name": "gate", "train": ["gate"], "epochs": 2, "batch": 100, "recall": {"score": "learned"}}


class KilledError(Exception):
    pass


def facts(run: Path) -> list[dict]:
    """The metrics of every epoch, without what the clock says."""
    return [{k: v for k, v in row.items() if k != "duration_s"} for row in load_run(run).metrics["epochs"]]


@pytest.mark.parametrize(("first", "steps"), [(JOINT, 35), (JOINT, 75), (AVERAGED, 75), (JOINT, 100)])
def test_an_interrupted_run_ends_the_same(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: dict, steps: int
) -> None:
    """Interrupted in mid-epoch: of the first phase's second and third epoch, and of the second phase."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    teacher = {"views": 3, "mirrored": True} if first is AVERAGED else {}
    recipe = tiny.recipe(init=str(tiny_run), phases=[first, GATE], teacher=teacher)
    whole = tmp_path / "whole"
    train(recipe, whole, threads=1)
    assert not (whole / FILE).exists()
    seen = 0

    def kill(*_: object) -> None:
        nonlocal seen
        seen += 10  # the progress is shown every ten steps
        if seen >= steps:
            raise KilledError

    run = tmp_path / "run"
    with pytest.raises(KilledError):
        train(recipe, run, threads=1, progress=kill)
    assert (run / FILE).is_file()
    torch.rand(7)  # whatever else the process does with torch's random numbers
    train(recipe, run, threads=1)
    assert (run / "system.safetensors").read_bytes() == (whole / "system.safetensors").read_bytes()
    assert facts(run) == facts(whole)
    assert {path.name for path in run.iterdir()} == {"system.safetensors", "system.toml", "metrics.json"}


def test_a_killed_process_goes_on(tiny_run: Path, tmp_path: Path) -> None:
    """The real thing: SIGKILL, then the same command again."""
    recipe = tiny.recipe(init=str(tiny_run), phases=[{**JOINT, "epochs": 6}])
    file, run, whole = tmp_path / "recipe.toml", tmp_path / "run", tmp_path / "whole"
    file.write_text(tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)))
    command = [sys.executable, "-m", "ecc_deploy", "train", str(file), "--threads", "1", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, str(run)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (run / FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert not (run / "system.toml").exists()
    again = subprocess.run([*command, str(run)], env=environment, capture_output=True, text=True, check=True)
    assert "goes on" in again.stderr + again.stdout
    train(recipe, whole, threads=1)
    assert (run / "system.safetensors").read_bytes() == (whole / "system.safetensors").read_bytes()


def interrupted(recipe_run: Path, run: Path) -> None:
    def kill(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 5:
            raise KilledError

    seen = 0
    with pytest.raises(KilledError):
        train(tiny.recipe(init=str(recipe_run), phases=[JOINT]), run, threads=1, progress=kill)


def test_another_recipe_does_not_go_on_from_it(tiny_run: Path, tmp_path: Path) -> None:
    interrupted(tiny_run, tmp_path)
    other = tiny.recipe(init=str(tiny_run), phases=[{**JOINT, "epochs": 1}])
    with pytest.raises(RunError, match="left by another recipe") as caught:
        train(other, tmp_path, threads=1)
    assert "--restart" in caught.value.hint
    assert train(other, tmp_path, threads=1, restart=True).metrics["epochs"][0]["epoch"] == 1


def test_a_damaged_or_hostile_checkpoint_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    interrupted(tiny_run, tmp_path)
    recipe = tiny.recipe(init=str(tiny_run), phases=[JOINT])
    assert load_checkpoint(tmp_path, recipe) is not None
    content = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match="cannot be read"):
        train(recipe, tmp_path)

    class Evil:
        def __reduce__(self) -> tuple:
            return (os.mkdir, (str(tmp_path / "evil"),))

    torch.save({"state": Evil()}, tmp_path / FILE)
    with pytest.raises(RunError, match="cannot be read"):
        train(recipe, tmp_path)
    assert not (tmp_path / "evil").exists()
