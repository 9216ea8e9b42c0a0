"""Averaged weights are the mean, and batch norm knows them."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ecc_deploy.training.averaging import WeightAverage
from ecc_deploy.training.loop import train
from ecc_deploy.training.phase import Phase
from tests import tiny


def test_the_mean_of_what_was_added_with_statistics_of_its_own() -> None:
    layers = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = WeightAverage([layers[0], layers[1]])
    for value in (1.0, 2.0, 6.0):
        nn.init.constant_(layers[0].weight, value)
        average.add()
    nn.init.constant_(layers[0].weight, 100.0)
    x = torch.randn(1000, 1) + 5
    average.take(layers, torch.split(x, 100))
    assert layers[0].weight.item() == 3
    assert layers[1].running_mean.item() == pytest.approx(3 * x.mean().item(), rel=1e-5)
    assert layers[1].running_var.item() == pytest.approx(9 * x.var().item(), rel=0.05)


def test_what_was_added_goes_on_elsewhere() -> None:
    layer = nn.Linear(1, 1, bias=False)
    first, second = WeightAverage([layer]), WeightAverage([layer])
    nn.init.constant_(layer.weight, 2.0)
    first.add()
    second.restore(first.state())
    nn.init.constant_(layer.weight, 4.0)
    second.add()
    second.take(layer, [])
    assert layer.weight.item() == 3


PHASE = {"name": "joint", "train": ["edge", "adapter", "tail"], "epochs": 3, "batch": 100, "learning_rate": 0.05}
CONSTANT = {**PHASE, "schedule": "constant", "warm_up": 1e-6}


def test_a_phase_ends_with_its_last_epochs_averaged(tiny_run: Path, tmp_path: Path) -> None:
    def weights(name: str, **changes: object) -> dict[str, torch.Tensor]:
        run = train(tiny.recipe(init=str(tiny_run), phases=[{**CONSTANT, **changes}]), tmp_path / name, threads=1)
        return dict(run.system.named_parameters())

    ends = [weights(f"end-{epochs}", epochs=epochs) for epochs in (2, 3)]
    found = weights("averaged", average=2)
    apart = 0.0
    for name, value in found.items():
        torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2)
        apart = max(apart, (value - ends[1][name]).abs().max().item())
    assert apart > 1e-3


def test_the_result_is_what_the_last_epoch_reports(tiny_run: Path, tmp_path: Path) -> None:
    plain = train(tiny.recipe(init=str(tiny_run), phases=[CONSTANT]), tmp_path / "plain", threads=1)
    averaged = train(
        tiny.recipe(init=str(tiny_run), phases=[{**CONSTANT, "average": 3}]), tmp_path / "averaged", threads=1
    )
    rows = [[row["val_accuracy"] for row in run.metrics["epochs"]] for run in (plain, averaged)]
    assert rows[0][:2] == rows[1][:2]
    assert rows[0][2] != rows[1][2]


def test_a_constant_learning_rate_rises_and_stays(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.SGD.step

    def recorded(self: torch.optim.SGD, *given: object) -> object:
        rates.append(self.param_groups[0]["lr"])
        return step(self, *given)

    monkeypatch.setattr(torch.optim.SGD, "step", recorded)
    train(tiny.recipe(init=str(tiny_run), phases=[{**CONSTANT, "warm_up": 0.5}]), tmp_path, threads=1)
    rising, staying = rates[: len(rates) // 2], rates[len(rates) // 2 + 1 :]
    assert all(a < b for a, b in pairwise(rising))
    assert rates[0] == pytest.approx(0.05 / 25)
    assert staying == pytest.approx([0.05] * len(staying))


def test_no_more_epochs_are_averaged_than_there_are() -> None:
    with pytest.raises(ValidationError, match="of 3 epochs the last 4 cannot be averaged"):
        Phase(**{**PHASE, "average": 4})
