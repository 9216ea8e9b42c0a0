"""What every backend that shows layers must do, as one test body: inherit it and set ``backend``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ecc_deploy import data
from ecc_deploy.backends.interface import HalfSource, Job
from ecc_deploy.backends.registry import load_compiler, load_layers, open_runner
from ecc_deploy.bundle.manifest import Half, Precision
from ecc_deploy.partition.halves import EXIT, EXIT_AND_ENCODE, Halves, halves_of
from ecc_deploy.preprocess import laid_out
from ecc_deploy.training.run import load_run
from ecc_deploy.workbench.layers import anatomy, compare, watching
from ecc_deploy.zoo.backbone import evaluating
from ecc_deploy.zoo.resnet import conv_bn
from tests.backends.compiler_conformance import snr_db

SAMPLES = 5
"""Odd, so that batches of a fixed size do not fit."""


class Awkward(nn.Module):
    """What is easily taken for something else: values that count before and after an activation, namesakes, repeats."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_bn(1, 8, 3, 2), nn.ReLU6(inplace=True))
        self.both = nn.Conv2d(8, 8, 3, padding=1)
        self.act = nn.ReLU()
        self.swish = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.Hardswish())
        self.left, self.right = nn.Module(), nn.Module()  # holders: called only what is in them
        self.left.conv, self.right.conv = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 4, 1)
        self.left.gate, self.right.gate = nn.ReLU(), nn.Sigmoid()
        self.again = nn.ReLU()
        self.pool = nn.AvgPool2d(2)
        self.head = nn.Sequential(nn.Linear(8 * 3 * 3, 16), nn.ReLU(), nn.Linear(16, 10))
        norm = self.stem[1]
        for weight in (norm.weight, norm.bias, norm.running_mean):
            nn.init.normal_(weight, 0.5, 0.5)  # so that it changes what it gets

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.both(x)
        x = self.again(self.act(y) + y)  # the convolution's output counts with and without its activation
        x = self.swish(self.again(x - 0.5))
        x = torch.cat([self.left.gate(self.left.conv(x)), self.right.gate(self.right.conv(x))], 1)
        return self.head(self.pool(x).flatten(1))


def float_outputs(source: HalfSource, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """What each submodule gives, by path; of those that run once."""
    found: dict[str, np.ndarray] = {}

    def keep(path: str, output: torch.Tensor) -> None:
        found[path] = output.numpy().copy()

    with evaluating(source.module), watching(source.module, keep):
        source.module(torch.tensor(inputs))
    return {path: found[path] for path in anatomy(source).kinds}


class LayersConformance:
    """On the tiny trained system with its gate, and on a half that is made of awkward cases."""

    backend: str
    fuses: bool
    """Whether an activation is one operator with what is before it, in int8."""

    @pytest.fixture(scope="class")
    def kept(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[object, Half]]:
        """Where halves are kept that several tests look at."""
        return tmp_path_factory.mktemp("layers"), {}

    @pytest.fixture(autouse=True)
    def _system(self, gated_run: Path, kept: tuple[Path, dict[object, Half]]) -> None:
        self.kept_in, self.kept = kept
        self.halves: Halves = halves_of(load_run(gated_run).system, 10, learned_gate=True)
        facts = data.load("fashion-mnist-sample")
        self.images = facts.normalisation(facts.part("train").images[:128])
        self.fresh = facts.normalisation(facts.part("val").images[:SAMPLES])
        whole = self.halves.sources[EXIT]
        outputs = tuple(tensor for tensor in whole.outputs if tensor.name == "logits")
        torch.manual_seed(1)
        self.awkward = replace(whole, key="awkward", module=Awkward().eval(), outputs=outputs, boundary=None)

    def compiled(self, source: HalfSource, precision: Precision, exclude: tuple[str, ...] = ()) -> tuple[Half, Path]:
        name = f"{source.key}-{precision}-{'+'.join(exclude)}"
        folder = self.kept_in / name
        if name not in self.kept:
            batches = [{"image": self.images[i : i + 32]} for i in range(0, len(self.images), 32)]
            job = Job(precision, batches, exclude=exclude)
            self.kept[name] = load_compiler(self.backend).compile_half(source, folder, job)
        half = self.kept[name]
        return half, folder / half.file

    def given(self, half: Half) -> np.ndarray:
        return laid_out(half, self.fresh)

    def shown(
        self, source: HalfSource, precision: Precision, exclude: tuple[str, ...] = ()
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """What the file shows, of modules that have that shape in torch too, and its outputs."""
        half, path = self.compiled(source, precision, exclude)
        (found,) = load_layers(self.backend).show_layers(path, half, source, [{"image": self.given(half)}])
        floats = float_outputs(source, self.fresh)
        fitting = {}
        for module, values in found.modules.items():
            if module in floats and values.size == floats[module].size:
                assert values.dtype == np.float32
                fitting[module] = values.reshape(floats[module].shape)
        return fitting, found.outputs

    @pytest.mark.parametrize("precision", ["fp32", "int8"])
    def test_every_value_is_that_of_its_own_module(self, precision: Precision) -> None:
        """The nearest of all values in the float module that have its shape: no activation is taken for another."""
        for source in (self.halves.sources[EXIT_AND_ENCODE], self.awkward):
            floats = float_outputs(source, self.fresh)
            found, _ = self.shown(source, precision)
            assert found
            for module, values in found.items():
                ratios = {p: snr_db(v, values) for p, v in floats.items() if v.shape == values.shape and v.any()}
                if module in ratios:
                    assert ratios[module] == max(ratios.values()), f"{module}: {ratios}"
                    assert ratios[module] > (80 if precision == "fp32" else 14), f"{module}: {ratios}"

    def test_which_modules_are_shown(self) -> None:
        source = self.halves.sources[EXIT_AND_ENCODE]
        found, _ = self.shown(source, "int8")
        relus = {
            path
            for path, part in source.module.named_modules()
            if isinstance(part, nn.ReLU) and not path.startswith(("encoder", "gate"))
        }
        assert relus <= set(found)  # the encoder's is the half's output
        assert {"stages.stage1.0.body.4", "rest.stage2.0.shortcut.1"} <= set(found)  # what goes into sums
        assert ("stages.stem.1" in found) is not self.fuses
        assert "stages.stem.0" not in found  # folded with its batch norm
        assert all(found[path].min() >= 0 for path in relus)
        assert found["stages.stage1.0.body.4"].min() < 0

    def test_a_value_that_counts_with_and_without_its_activation(self) -> None:
        for precision in ("fp32", "int8"):
            found, _ = self.shown(self.awkward, precision)  # type: ignore[arg-type]  # both are a Precision
            assert found["both"].min() < 0
            assert found["act"].min() >= 0
            assert found["stem.2"].min() >= 0
            assert "again" not in found  # it runs twice

    def test_a_learned_gate_is_computed_in_float(self) -> None:
        """From what it gets, which is int8; its own answer may be rounded on its way out."""
        source = self.halves.sources[EXIT_AND_ENCODE]
        half, path = self.compiled(source, "int8")
        shown = load_layers(self.backend).show_layers(path, half, source, [{"image": self.given(half)}])
        layers = compare(source, [self.fresh], shown)
        gate = [x for x in layers if x.module.startswith("gate.") and x.module not in anatomy(source).ends.values()]
        assert len(gate) >= 2
        assert all(layer.own.order > 80 for layer in gate)
        assert any(layer.own.order < 60 for layer in layers)

    def test_the_outputs_are_those_of_the_runner(self) -> None:
        source = self.halves.sources[EXIT_AND_ENCODE]
        half, path = self.compiled(source, "int8")
        _, ends = self.shown(source, "int8")
        with open_runner(path, half, threads=1, stand_in=True) as runner:
            size = half.batch if isinstance(half.batch, int) else SAMPLES
            rows = [runner.run({"image": self.given(half)[i : i + size]}) for i in range(0, SAMPLES, size)]
        assert set(ends) == {tensor.name for tensor in half.outputs}
        for name, values in ends.items():
            wanted = np.concatenate([row[name] for row in rows])
            assert values.dtype == wanted.dtype
            assert values.shape == wanted.shape
        codes = np.concatenate([row["boundary"] for row in rows]).astype(int)
        assert np.abs(codes - ends["boundary"]).max() <= 1  # other kernels round otherwise
        logits = np.concatenate([row["logits"] for row in rows])
        assert snr_db(logits, ends["logits"]) > 25

    @pytest.mark.parametrize(
        "exclude",
        [
            ("stages.stage1",),
            ("stages.stage1.0.body.0", "stages.stage1.0.body.3"),  # convolutions
            ("stages.stage1.0.body.1", "stages.stage1.0.body.4"),  # the batch norms that they are folded with
        ],
    )
    def test_what_is_excluded_stays_float(self, exclude: tuple[str, ...]) -> None:
        source = self.halves.sources[EXIT_AND_ENCODE]
        between, shape = "stages.stage1.0.body.2", "stages.stage1.0"

        def own(module: str, given: tuple[str, ...]) -> float:
            """Of the activation between two convolutions, from what the block gets in the file."""
            found, _ = self.shown(source, "int8", given)
            block = source.module.get_submodule(shape)
            with torch.no_grad():
                entry = torch.tensor(found["stages.stem.2"])
                wanted = block.body[:3](entry).numpy()
            return snr_db(wanted, found[module])

        assert own(between, ()) < 50
        assert own(between, exclude) > 80

    def test_codes_are_sent_though_what_makes_them_is_float(self) -> None:
        source, boundary = self.halves.sources[EXIT_AND_ENCODE], self.halves.boundary
        half, path = self.compiled(source, "int8", ("encoder", "rest.head"))
        with torch.no_grad():
            logits, feature, _ = source.module(torch.tensor(self.fresh))
        wanted = np.clip(np.rint(feature.numpy() / boundary.scale), 0, 2**boundary.bits - 1).astype(int)
        with open_runner(path, half, threads=1, stand_in=True) as runner:
            size = half.batch if isinstance(half.batch, int) else SAMPLES
            rows = [runner.run({"image": self.given(half)[i : i + size]}) for i in range(0, SAMPLES, size)]
        codes = np.concatenate([row["boundary"] for row in rows])
        assert codes.dtype == np.uint8
        assert np.abs(codes.astype(int) - wanted).max() <= 1
        assert (codes != wanted).mean() < 0.1
        assert snr_db(logits.numpy(), np.concatenate([row["logits"] for row in rows])) > 25
