"""What each of two processes does in ``test_workers.py``: ``torchrun ... -m tests.training.worker RUN OUT``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from ecc_deploy.training.balance import set_gradients
from ecc_deploy.training.loop import train
from ecc_deploy.training.phase import BalanceRecipe
from ecc_deploy.training.recipe import Recipe
from ecc_deploy.training.run import load_run
from ecc_deploy.training.workers import Workers
from tests import tiny

JOINT = {
    "name": "joint",
    "train": ["edge", "adapter", "tail"],
    "epochs": 1,
    "batch": 100,
    "learning_rate": 0.02,
    "loss": {"distillation": 1.0, "fused": 0.5},
    "rate": {"weight": 0.01},
    "balance": {"method": "pareto", "normalise": "loss"},
}
GATE = {"name": "gate", "train": ["gate"], "epochs": 1, "batch": 500, "recall": {"score": "learned"}}
METHODS = (BalanceRecipe(), BalanceRecipe(method="pareto", normalise="loss"), BalanceRecipe(method="pareto"))


def recipe(run: Path) -> Recipe:
    """Two bits where the run has four: the first batch must find the step anew."""
    return tiny.recipe(init=str(run), phases=[JOINT, GATE], adapter={**tiny.FACTS["adapter"], "bits": 2})


def gradients(run: Path, workers: Workers, share: slice) -> dict[str, torch.Tensor]:
    """Of two objectives over edge and adapted path in evaluation mode, on a ``share`` of 64 random images."""
    system = load_run(run).system.double()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 1, 28, 28, generator=generator, dtype=torch.float64)[share]
    y = torch.randint(10, (64,), generator=generator)[share]
    parameters: Sequence[torch.Tensor] = [*system.edge.parameters()]
    found = {}
    for number, method in enumerate(METHODS):
        first, second = system.edge(x), system.edge(x.flip(3))
        objectives = {"a": cross_entropy(first, y), "b": 3 * cross_entropy(second, y)}
        set_gradients(objectives, parameters, method, workers)
        found |= {f"{number}.{place}": p.grad.clone() for place, p in enumerate(parameters) if p.grad is not None}
    return found


def main() -> None:
    """Write the averaged gradients and the trained weights of this process."""
    run, out = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    workers = Workers("cpu")
    save_file(gradients(run, workers, slice(workers.rank, None, workers.count)), out / f"gradients{workers.rank}.st")
    trained = train(recipe(run), out / "run", threads=1, device="cpu")
    state = {key: value.contiguous() for key, value in trained.system.state_dict().items()}
    save_file(state, out / f"weights{workers.rank}.st")


if __name__ == "__main__":
    main()
