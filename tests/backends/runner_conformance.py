"""What every backend's runner must do. A backend's test inherits this body and says how its model files are made."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import BACKENDS, open_runner
from ecc_deploy.bundle import Half, TensorInfo
from ecc_deploy.errors import BundleError


class RunnerConformance:
    """The model: ``total = x * 2 + y`` for float32 ``x`` ``[batch, 2, 3]``, ``y`` ``[batch, 2, 3]``; ``codes`` are
    ``total`` rounded to the nearest integer and clipped to uint8 ``[batch, 2, 3]``.
    """

    backend: str
    file: str
    """The file name of the model, with the backend's suffix."""
    batch: int | None = None
    """Where the backend's models have a fixed one."""

    def write_model(self, path: Path) -> None:
        """Write the model, with a dynamic batch or that of the class."""
        raise NotImplementedError  # each backend has its own file format

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / self.file
        self.write_model(path)
        return path

    def half(self, **changes) -> Half:
        def tensor(name: str, dtype: str, shape: tuple[int, ...] = (2, 3)) -> TensorInfo:
            return TensorInfo(name=name, dtype=dtype, shape=shape, layout="NC")

        facts = {
            "side": "edge",
            "backend": self.backend,
            "precision": "fp32",
            "file": f"edge/{self.file}",
            "inputs": (tensor("x", "float32"), tensor("y", "float32")),
            "outputs": (tensor("total", "float32"), tensor("codes", "uint8")),
            "macs": 0,
            "batch": self.batch or "dynamic",
        }
        for name, (dtype, shape) in changes.items():
            for side in ("inputs", "outputs"):
                facts[side] = tuple(tensor(name, dtype, shape) if t.name == name else t for t in facts[side])
        return Half(**facts)

    @pytest.fixture
    def runner(self, path: Path) -> Iterator[Runner]:
        with open_runner(path, self.half(), threads=1) as runner:
            yield runner

    def inputs(self, batch: int, seed: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {name: rng.uniform(0, 80, (self.batch or batch, 2, 3)).astype(np.float32) for name in ("x", "y")}

    def check(self, found: dict[str, np.ndarray], inputs: dict[str, np.ndarray]) -> None:
        total = inputs["x"] * 2 + inputs["y"]
        assert set(found) == {"total", "codes"}
        assert found["total"].dtype == np.float32
        np.testing.assert_allclose(found["total"], total, rtol=1e-6)
        assert found["codes"].dtype == np.uint8
        assert np.array_equal(found["codes"], np.clip(np.rint(total), 0, 255).astype(np.uint8))

    def test_it_is_registered(self) -> None:
        assert BACKENDS[self.backend].name == self.backend

    @pytest.mark.parametrize("batch", [1, 2, 7])
    def test_it_gives_the_outputs_by_name(self, runner: Runner, batch: int) -> None:
        inputs = self.inputs(batch)
        self.check(runner.run(inputs), inputs)

    def test_the_order_of_the_inputs_does_not_matter(self, runner: Runner) -> None:
        inputs = self.inputs(2)
        self.check(runner.run(dict(reversed(inputs.items()))), inputs)

    def test_the_same_inputs_give_the_same_bits_and_are_left_alone(self, runner: Runner) -> None:
        inputs = self.inputs(3)
        before = {name: array.copy() for name, array in inputs.items()}
        first, second = runner.run(inputs), runner.run(inputs)
        assert all(np.array_equal(first[name], second[name]) for name in first)
        assert all(np.array_equal(inputs[name], before[name]) for name in inputs)

    def test_an_answer_outlives_the_next_one_and_the_runner(self, path: Path) -> None:
        inputs = self.inputs(2)
        with open_runner(path, self.half(), threads=1) as runner:
            kept = runner.run(inputs)
            runner.run(self.inputs(2, seed=1))
        self.check(kept, inputs)

    def test_arrays_need_not_be_contiguous(self, runner: Runner) -> None:
        inputs = {name: np.asfortranarray(array) for name, array in self.inputs(4).items()}
        self.check(runner.run(inputs), inputs)

    def test_several_threads_may_run_it(self, runner: Runner) -> None:
        failures: list[BaseException] = []

        def work(seed: int) -> None:
            try:
                for step in range(20):
                    inputs = self.inputs(2, seed=100 * seed + step)
                    self.check(runner.run(inputs), inputs)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert failures == []

    def test_more_threads_give_the_same(self, path: Path) -> None:
        inputs = self.inputs(3)
        with open_runner(path, self.half(), threads=2) as runner:
            self.check(runner.run(inputs), inputs)

    def test_closing_twice_is_fine(self, path: Path) -> None:
        runner = open_runner(path, self.half(), threads=1)
        runner.close()
        runner.close()

    @pytest.mark.parametrize(
        "changes",
        [
            {"x": ("uint8", (2, 3))},
            {"x": ("float32", (3, 2))},
            {"codes": ("int8", (2, 3))},
            {"total": ("float32", (6,))},
        ],
    )
    def test_tensors_that_the_manifest_lists_otherwise(self, path: Path, changes: dict) -> None:
        with pytest.raises(BundleError) as error:
            open_runner(path, self.half(**changes), threads=1)
        assert self.file in error.value.message

    def test_a_tensor_that_is_not_there(self, path: Path) -> None:
        half = self.half()
        renamed = half.outputs[1].model_copy(update={"name": "boxes"})
        with pytest.raises(BundleError, match="boxes"):
            open_runner(path, half.model_copy(update={"outputs": (half.outputs[0], renamed)}), threads=1)

    @pytest.mark.parametrize("keep", [0, 0.5], ids=["empty", "half of it"])
    def test_a_file_that_is_no_model(self, path: Path, keep: float) -> None:
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * keep)])
        with pytest.raises(BundleError) as error:
            open_runner(path, self.half(), threads=1)
        assert self.file in error.value.message

    def test_no_file(self, path: Path) -> None:
        path.unlink()
        with pytest.raises(BundleError):
            open_runner(path, self.half(), threads=1)
