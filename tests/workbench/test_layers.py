"""Float and compiled side by side, on a module whose compiled outputs are made up."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.layers import Shown
from ecc_deploy.bundle import Boundary, TensorInfo
from ecc_deploy.workbench.layers import anatomy, compare, watching
from ecc_deploy.workbench.noise import Noise

IMAGE = TensorInfo(name="image", dtype="float32", shape=(1, 8, 8), layout="NCHW")
LOGITS = TensorInfo(name="logits", dtype="float32", shape=(4,), layout="NC")
CODES = TensorInfo(name="boundary", dtype="uint8", shape=(6, 8, 8), layout="NCHW")
BOUNDARY = Boundary(tensor=CODES, bits=4, scale=0.25, zero_point=0)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.twice = nn.Tanh()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.pair = Pair()
        self.head = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.relu(self.norm(self.conv(x)))
        y = self.twice(self.twice(x))
        return self.head(sum(self.pair(self.pool(y).flatten(1)))), x


class Pair(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x


@dataclass
class Case:
    source: HalfSource
    images: np.ndarray
    floats: dict[str, np.ndarray] = field(default_factory=dict)
    """Every submodule's output, the last one of those that run twice."""


@pytest.fixture
def case() -> Case:
    torch.manual_seed(0)
    net = Net().eval()
    nn.init.normal_(net.norm.bias)
    made = Case(
        HalfSource("x", "edge", net, (IMAGE,), (LOGITS, CODES), BOUNDARY, 0),
        np.random.default_rng(0).normal(size=(6, 1, 8, 8)).astype(np.float32),
    )

    def keep(path: str, output: torch.Tensor) -> None:
        made.floats[path] = output.numpy().copy()

    with torch.no_grad(), watching(net, keep):
        net(torch.tensor(made.images))
    return made


def codes(values: np.ndarray) -> np.ndarray:
    return np.rint(values / 0.25).clip(0, 15).astype(np.uint8)


def shown(case: Case, **changed: np.ndarray) -> Shown:
    """What a perfect file would show, but for ``changed`` modules."""
    modules = {path: case.floats[path] for path in ("norm", "relu", "pool")} | changed
    return Shown(modules, {"logits": case.floats["head"], "boundary": codes(case.floats["relu"])})


def test_what_runs_once_and_gives_one_tensor(case: Case) -> None:
    facts = anatomy(case.source)
    assert facts.kinds == {
        "conv": "Conv2d", "norm": "BatchNorm2d", "relu": "ReLU", "pool": "AdaptiveAvgPool2d", "head": "Linear",
    }  # fmt: skip
    assert facts.ends == {"logits": "head", "boundary": "relu"}  # not the norm, whose tensor it changes in place


def test_a_perfect_file_has_no_noise(case: Case) -> None:
    found = compare(case.source, [case.images], [shown(case)])
    assert [(layer.module, layer.kind, layer.shape) for layer in found] == [
        ("norm", "BatchNorm2d", (6, 8, 8)), ("relu", "ReLU", (6, 8, 8)), ("pool", "AdaptiveAvgPool2d", (6, 1, 1)),
        ("head", "Linear", (4,)),
    ]  # fmt: skip
    assert all(layer.total.is_none and layer.own.is_none for layer in found)


def test_noise_is_that_of_the_module_that_adds_it(case: Case) -> None:
    """The batch norm's output is off by a tenth, and all behind it is what comes of that, exactly."""
    net = case.source.module
    off = case.floats["norm"] * np.float32(1.1)
    with torch.no_grad():
        after = torch.relu(torch.tensor(off))
        pooled = net.pool(torch.tanh(torch.tanh(after)))
        logits = net.head(2 * pooled.flatten(1))
    part = Shown({"norm": off, "pool": pooled.numpy()}, {"logits": logits.numpy(), "boundary": codes(after.numpy())})
    by_path = {layer.module: layer for layer in compare(case.source, [case.images], [part])}
    assert by_path["norm"].total.snr_db == pytest.approx(20, abs=0.01)
    assert by_path["norm"].own.snr_db == pytest.approx(20, abs=0.01)
    assert 15 < (by_path["relu"].total.snr_db or 0) < 22  # rounded to its codes
    assert by_path["relu"].own.is_none
    assert by_path["pool"].own.is_none
    assert by_path["head"].own.is_none
    assert 0 < (by_path["head"].total.snr_db or 0) < 60


def test_batches_add_up(case: Case) -> None:
    rng = np.random.default_rng(1)
    noisy = case.floats["norm"] + rng.normal(0, 0.05, case.floats["norm"].shape).astype(np.float32)
    whole = compare(case.source, [case.images], [shown(case, norm=noisy)])[0]

    def rows(start: int) -> Shown:
        part = shown(case, norm=noisy)
        return Shown(
            {path: values[start : start + 2] for path, values in part.modules.items()},
            {name: values[start : start + 2] for name, values in part.outputs.items()},
        )

    starts = (0, 2, 4)
    halves = compare(case.source, [case.images[i : i + 2] for i in starts], [rows(i) for i in starts])[0]
    assert halves.total.snr_db == pytest.approx(whole.total.snr_db)
    assert whole.total.snr_db == pytest.approx(Noise.between(case.floats["norm"], noisy).snr_db)


def test_only_what_can_be_compared_is(case: Case) -> None:
    part = shown(
        case,
        conv=np.zeros((6, 6, 10, 10), np.float32),  # padded: another shape
        twice=case.floats["twice"],
        nobody=np.zeros((6, 4), np.float32),
        pool=case.floats["pool"].reshape(6, 6),  # as some toolchains have it
    )
    found = compare(case.source, [case.images], [part])
    assert [layer.module for layer in found] == ["norm", "relu", "pool", "head"]
    assert next(layer for layer in found if layer.module == "pool").total.is_none


def test_the_module_is_left_as_it_was(case: Case) -> None:
    case.source.module.train()
    before = {name: value.clone() for name, value in case.source.module.state_dict().items()}
    compare(case.source, [case.images], [shown(case)])
    assert case.source.module.training
    assert not any(part._forward_hooks for part in case.source.module.modules())
    for name, value in case.source.module.state_dict().items():
        assert torch.equal(value, before[name])
