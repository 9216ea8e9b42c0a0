import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from ecc_deploy.backends.aotinductor.package import device_kind, slim, tensors_as_text
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.errors import DeviceError
from tests.backends.runner_conformance import RunnerConformance


class Model(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = x * 2 + y
        return total, total.round().clamp(0, 255)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Compiled once: it takes a C++ compiler several seconds."""
    half = TestAotInductorRunner().half()
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        Model(), (torch.zeros(2, 2, 3), torch.zeros(2, 2, 3)), dynamic_shapes=({0: batch}, {0: batch})
    )
    path = tmp_path_factory.mktemp("package") / "model.pt2"
    facts = {"inputs": tensors_as_text(half.inputs), "outputs": tensors_as_text(half.outputs)}
    torch._inductor.aoti_compile_and_package(
        program, package_path=str(path), inductor_configs={"aot_inductor.metadata": facts}
    )
    slim(path)
    return path.read_bytes()


@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor compiles C++, and g++ is not installed")
class TestAotInductorRunner(RunnerConformance):
    backend = "aotinductor"
    file = "model.pt2"
    content: bytes

    @pytest.fixture(autouse=True)
    def _content(self, package: bytes) -> None:
        self.content = package

    def write_model(self, path: Path) -> None:
        path.write_bytes(self.content)

    @pytest.mark.parametrize(
        ("device", "runs_on", "says"),
        [
            ("cpu", "x86_64 with AVX9", "compiled for x86_64 with AVX9"),
            ("cuda", "GPUs of compute capability 9.0", "torch finds no GPU"),
        ],
    )
    def test_code_for_another_machine_is_refused(
        self, path: Path, device: str, runs_on: str, says: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        half = self.half().model_copy(update={"compiled": {"device": device, "runs_on": runs_on}})
        with pytest.raises(DeviceError, match=says):
            open_runner(path, half, threads=1)

    def test_code_for_this_machine_is_taken(self, path: Path) -> None:
        half = self.half().model_copy(update={"compiled": {"device": "cpu", "runs_on": device_kind("cpu")}})
        inputs = self.inputs(2)
        with open_runner(path, half, threads=1) as runner:
            self.check(runner.run(inputs), inputs)
