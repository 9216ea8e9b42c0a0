"""What every backend's compiler must do, as one test body: inherit it and set ``backend`` and ``precisions``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from ecc_deploy import data
from ecc_deploy.backends.interface import Calibration, HalfSource, Job
from ecc_deploy.backends.registry import load_compiler, open_runner
from ecc_deploy.bundle.manifest import Half, Precision
from ecc_deploy.errors import UsageError
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL, Halves, halves_of
from ecc_deploy.preprocess import laid_out
from ecc_deploy.training.run import load_run


def snr_db(reference: np.ndarray, found: np.ndarray) -> float:
    """Signal-to-noise ratio of ``found`` in decibels."""
    return float(10 * np.log10((reference**2).sum() / max(((reference - found) ** 2).sum(), 1e-30)))


class CompilerConformance:
    """On the tiny trained system with its gate: every half, every precision, against torch."""

    backend: str
    precisions: tuple[Precision, ...]
    least_int8_snr_db = 25.0
    least_int8_confidence_snr_db = 18.0

    @pytest.fixture(scope="class")
    def kept(self, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[object, Half]]:
        """Where halves are kept that several tests look at: some toolchains take half a minute for one."""
        return tmp_path_factory.mktemp("kept"), {}

    @pytest.fixture(autouse=True)
    def _system(self, gated_run: Path, tmp_path: Path, kept: tuple[Path, dict[object, Half]]) -> None:
        self.system = load_run(gated_run).system
        self.folder = tmp_path
        self.kept_in, self.kept = kept
        facts = data.load("fashion-mnist-sample")
        self.images = facts.normalisation(facts.part("train").images[:128])
        self.fresh = facts.normalisation(facts.part("val").images[:96])

    @cached_property
    def halves(self) -> Halves:
        return halves_of(self.system, 10, learned_gate=True)

    def inputs(self, source: HalfSource, images: np.ndarray) -> np.ndarray:
        """Float inputs of a half: images, or the dequantized boundary that belongs to them."""
        if source.key != TAIL:
            return images
        with torch.no_grad():
            feature = self.halves.sources[ENCODE].module(torch.from_numpy(images))
            return self.system.adapter.quantizer(feature).numpy()

    def compiled(self, source: HalfSource, precision: Precision) -> tuple[Half, Path]:
        """As :meth:`compile`, once for all tests of the class."""
        folder = self.kept_in / f"{source.key}-{precision}"
        if folder not in self.kept:
            self.kept[folder] = self.compile(source, precision, folder)[0]
        half = self.kept[folder]
        return half, folder / half.file

    def compile(
        self, source: HalfSource, precision: Precision, folder: Path | None = None, **job: Any
    ) -> tuple[Half, Path]:
        name, inputs = source.inputs[0].name, self.inputs(source, self.images)
        calibration: Calibration = [{name: inputs[i : i + 32]} for i in range(0, len(inputs), 32)]
        folder = folder or self.folder
        half = load_compiler(self.backend).compile_half(source, folder, Job(precision, calibration, **job))
        return half, folder / half.file

    def run(self, half: Half, path: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
        entry = half.inputs[0]
        with open_runner(path, half, threads=1) as runner:
            return runner.run({entry.name: laid_out(half, inputs) if entry.name == "image" else inputs})

    @pytest.mark.parametrize("key", [EXIT, ENCODE, EXIT_AND_ENCODE, FULL, TAIL])
    def test_every_half_agrees_with_torch(self, key: str) -> None:
        source = self.halves.sources[key]
        boundary = self.halves.boundary
        floats = self.inputs(source, self.fresh)
        with torch.no_grad():
            wanted = source.module(torch.from_numpy(floats))
        named = dict(
            zip((t.name for t in source.outputs), wanted if isinstance(wanted, tuple) else [wanted], strict=True)
        )
        given = floats if key != TAIL else np.round(floats / boundary.scale).astype(np.uint8)
        for precision in self.precisions:
            half, path = self.compiled(source, precision)
            assert (half.backend, half.precision, half.side, half.macs) == (
                self.backend, precision, source.side, source.macs,
            )  # fmt: skip
            got = self.run(half, path, given)
            assert set(got) == set(named)
            if "logits" in named:
                floor = 80.0 if precision == "fp32" else self.least_int8_snr_db
                assert got["logits"].dtype == np.float32
                assert snr_db(named["logits"].numpy(), got["logits"]) > floor
            if "confidence" in named:
                floor = 80.0 if precision == "fp32" else self.least_int8_confidence_snr_db
                assert got["confidence"].shape == (len(given), 1)
                assert got["confidence"].dtype == np.float32
                assert snr_db(named["confidence"].numpy(), got["confidence"]) > floor
            if "boundary" in named:
                codes = self.system.adapter.quantizer.codes(named["boundary"]).numpy()
                assert got["boundary"].dtype == np.uint8
                assert got["boundary"].shape == codes.shape
                assert got["boundary"].max() <= 2**boundary.bits - 1
                apart = np.abs(codes.astype(int) - got["boundary"])
                assert apart.max() <= 1
                assert (apart > 0).mean() <= (0.0005 if precision == "fp32" else 0.08)

    def test_a_batch_is_its_samples(self) -> None:
        source = self.halves.sources[EXIT_AND_ENCODE]
        for precision in self.precisions:
            half, path = self.compiled(source, precision)
            batch = self.run(half, path, self.fresh[:5])
            singles = [self.run(half, path, image[None]) for image in self.fresh[:5]]
            np.testing.assert_array_equal(batch["boundary"], np.concatenate([s["boundary"] for s in singles]))
            np.testing.assert_allclose(batch["logits"], np.concatenate([s["logits"] for s in singles]), atol=1e-4)

    def test_compiling_twice_gives_the_same_bytes(self) -> None:
        source = self.halves.sources[EXIT_AND_ENCODE]
        for precision in self.precisions:
            first = self.compiled(source, precision)[1].read_bytes()
            assert self.compile(source, precision)[1].read_bytes() == first

    def test_no_path_of_the_compiling_machine_is_in_the_file(self) -> None:
        for precision in self.precisions:
            content = self.compiled(self.halves.sources[FULL], precision)[1].read_bytes()
            for trace in (
                b"site-packages",
                b"stack_trace",
                str(Path(torch.__file__).parent).encode(),
                str(self.folder).encode(),
            ):
                assert trace not in content

    def test_unknown_precision(self) -> None:
        with pytest.raises(UsageError, match="not int4"):
            self.compile(self.halves.sources[EXIT], cast(Precision, "int4"))
