"""Two processes on a CPU that train one system together, as several GPUs would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ecc_deploy.errors import RecipeError
from ecc_deploy.training.loop import train
from ecc_deploy.training.run import load_run
from ecc_deploy.training.workers import Workers
from tests.training import worker

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def together(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes leave behind."""
    out = tmp_path_factory.mktemp("together")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, "-m", "tests.training.worker", str(tiny_run), str(out)],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_their_gradient_is_that_of_the_whole_batch(together: Path, tiny_run: Path) -> None:
    """Exactly, but for the order of a sum: batch norm is in evaluation mode here."""
    alone = worker.gradients(tiny_run, Workers("cpu"), slice(None))
    for rank in (0, 1):
        averaged = load_file(together / f"gradients{rank}.st")
        assert averaged.keys() == alone.keys()
        assert len({key.split(".")[0] for key in averaged}) == len(worker.METHODS)
        for key, value in averaged.items():
            torch.testing.assert_close(value, alone[key], rtol=1e-9, atol=1e-12, msg=key)


def test_they_end_with_the_same_weights_and_one_run_directory(together: Path) -> None:
    first, second = (load_file(together / f"weights{rank}.st") for rank in (0, 1))
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    run = load_run(together / "run")
    assert all(torch.equal(value, first[key]) for key, value in run.system.state_dict().items())
    assert {path.name for path in (together / "run").iterdir()} == {"system.safetensors", "system.toml", "metrics.json"}
    assert run.metrics["workers"] == 2


def test_they_learn_what_one_process_learns(together: Path, tiny_run: Path, tmp_path: Path) -> None:
    """Not the same weights: batch norm sees half of a batch."""
    alone = train(worker.recipe(tiny_run), tmp_path / "run", threads=1).metrics["epochs"]
    both = load_run(together / "run").metrics["epochs"]
    assert [row["phase"] for row in both] == [row["phase"] for row in alone]
    for ours, theirs in zip(both, alone, strict=True):
        assert ours["objectives"] == pytest.approx(theirs["objectives"], rel=0.1)
    assert both[0]["val_accuracy"]["edge"] == pytest.approx(alone[0]["val_accuracy"]["edge"], abs=0.05)


def test_a_batch_that_cannot_be_shared_is_an_error(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Three(Workers):
        def __init__(self, device: str | None = None) -> None:
            super().__init__(device)
            self.count = 3

    monkeypatch.setattr("ecc_deploy.training.loop.Workers", Three)
    with pytest.raises(RecipeError, match="a batch of 100 cannot be shared by 3 workers"):
        train(worker.recipe(tiny_run), tmp_path / "run", device="cpu")
