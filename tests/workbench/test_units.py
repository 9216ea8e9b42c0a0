from pathlib import Path

import pytest
import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.bundle import TensorInfo
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL, halves_of
from ecc_deploy.training.run import load_run
from ecc_deploy.workbench.units import LARGEST, units


@pytest.mark.parametrize("key", [EXIT, ENCODE, EXIT_AND_ENCODE, FULL, TAIL])
def test_units_are_all_of_a_half_and_none_is_counted_twice(gated_run: Path, key: str) -> None:
    source = halves_of(load_run(gated_run).system, 10, learned_gate=True).sources[key]
    found = units(source)
    assert sum(found.values()) == source.macs
    paths = list(found)
    assert not any(a != b and a.startswith(b + ".") for a in paths for b in paths)
    for path in paths:
        source.module.get_submodule(path)


def test_a_residual_block_is_one_unit_unless_it_is_most_of_the_half(gated_run: Path) -> None:
    sources = halves_of(load_run(gated_run).system, 10, learned_gate=True).sources
    full = units(sources[FULL])
    assert {"stages.stem", "stages.stage1.0", "stages.stage2.0", "stages.head"} <= set(full)
    encode = units(sources[ENCODE])
    assert "stages.stage1.0" not in encode
    assert {"stages.stem", "stages.stage1.0.body.0", "stages.stage1.0.body.3", "encoder"} == set(encode)
    assert all(macs <= LARGEST * sources[FULL].macs for macs in full.values())


class Wrapper(nn.Module):
    """Calls its parts, in a holder that is never called, and does nothing itself but between the blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.holder = nn.Module()
        self.holder.blocks = nn.ModuleList([Scale(4), Scale(4), Scale(4), Scale(4)])
        self.entry = nn.Conv2d(1, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.entry(x)
        for block in self.holder.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x) * 2


def test_what_only_calls_its_parts_is_no_unit() -> None:
    image = TensorInfo(name="image", dtype="float32", shape=(1, 8, 8), layout="NCHW")
    logits = TensorInfo(name="logits", dtype="float32", shape=(2,), layout="NC")
    source = HalfSource("x", "edge", Wrapper(), (image,), (logits,), None, 0)
    assert units(source) == {
        "holder.blocks.0": 36 * 4 * 4 * 9, "holder.blocks.1": 36 * 4 * 4 * 9, "holder.blocks.2": 36 * 4 * 4 * 9,
        "holder.blocks.3": 36 * 4 * 4 * 9, "entry": 36 * 4 * 9, "head": 8,
    }  # fmt: skip
