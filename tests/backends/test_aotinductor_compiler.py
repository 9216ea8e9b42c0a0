import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from ecc_deploy.backends.aotinductor.options import Options
from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.bundle.manifest import Half, Precision
from ecc_deploy.errors import BackendMissingError
from ecc_deploy.partition.halves import EXIT, FULL
from tests.backends.compiler_conformance import CompilerConformance

CPU = Options(device="cpu")


@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor compiles C++, and g++ is not installed")
class TestAotInductorCompiler(CompilerConformance):
    """For the CPU: the same calls as for a GPU, which compiles elsewhere."""

    backend = "aotinductor"
    precisions: tuple[Precision, ...] = ("fp32",)

    def compile(
        self, source: HalfSource, precision: Precision, folder: Path | None = None, **job: Any
    ) -> tuple[Half, Path]:
        return super().compile(source, precision, folder, **{"options": CPU, **job})

    def test_no_path_of_the_compiling_machine_is_in_the_file(self) -> None:
        """Of the sources. The machine code itself is linked with line numbers, which name files of torch."""
        with zipfile.ZipFile(self.compiled(self.halves.sources[FULL], "fp32")[1]) as package:
            texts = [name for name in package.namelist() if not name.endswith(".so")]
            assert any(name.endswith("metadata.json") for name in texts)
            assert not any(name.endswith((".cpp", ".h")) for name in texts)
            assert not any(str(Path(torch.__file__).parent).encode() in package.read(name) for name in texts)

    def test_for_a_gpu_that_is_not_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(BackendMissingError, match="needs a GPU") as caught:
            self.compile(self.halves.sources[EXIT], "fp32", options=Options(device="cuda"))
        assert "Compile on the server" in caught.value.hint

    def test_without_a_compiler(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: None)
        with pytest.raises(BackendMissingError, match="no compiler") as caught:
            self.compile(self.halves.sources[EXIT], "fp32")
        assert "apt install g++" in caught.value.hint
