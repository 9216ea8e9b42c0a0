import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ecc_deploy.backends.openvino import native
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.errors import BackendMissingError, BundleError, DeviceError
from ecc_deploy.user_cache import user_cache
from tests.backends.runner_conformance import RunnerConformance

FREED_ELSEWHERE = """
import signal, sys, threading
from pathlib import Path
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle.manifest import Half

signal.signal(signal.SIGINT, signal.default_int_handler)
loaded = [open_runner(Path(sys.argv[1]), Half.model_validate_json(Path(sys.argv[2]).read_text()), 1)]
thread = threading.Thread(target=loaded.clear)
thread.start()
thread.join()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


class TestOpenVinoRunner(RunnerConformance):
    backend = "openvino"
    file = "model.xml"

    def write_model(self, path: Path) -> None:
        x, y = (ops.parameter([-1, 2, 3], np.float32, name=name) for name in ("x", "y"))
        total = ops.add(ops.multiply(x, ops.constant(np.float32(2))), y)
        codes = ops.convert(ops.clamp(ops.round(total, "half_to_even"), 0.0, 255.0), np.uint8)
        results = [ops.result(total), ops.result(codes)]
        for node, name in ((x, "x"), (y, "y"), (results[0], "total"), (results[1], "codes")):
            node.output(0).set_names({name})
        ov.save_model(ov.Model(results, [x, y], "conformance"), path, compress_to_fp16=False)

    def test_a_device_whose_driver_compiles_for_seconds_keeps_what_it_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No such device is here: what the compilation is asked for."""
        asked: dict[str, Mapping[str, str]] = {}

        class Core(ov.Core):
            available_devices = ("CPU", "GPU.0")

        class CompiledModel(native.CompiledModel):
            def __init__(self, path: Path, device: str, config: Mapping[str, str], *more: Any) -> None:
                asked[device] = config
                super().__init__(path, "CPU", {}, *more)

        monkeypatch.setattr(ov, "Core", Core)
        monkeypatch.setattr(native, "CompiledModel", CompiledModel)
        self.write_model(tmp_path / self.file)
        for device in ("CPU", "GPU"):
            half = self.half().model_copy(update={"compiled": {"device": device}})
            open_runner(tmp_path / self.file, half, 1).close()
        assert "CACHE_DIR" not in asked["CPU"]
        assert asked["GPU"]["CACHE_DIR"] == str(user_cache("openvino"))
        assert "INFERENCE_NUM_THREADS" not in asked["GPU"]

    def test_ctrl_c_where_another_thread_freed_the_model(self, tmp_path: Path) -> None:
        """OpenVINO left the thread that had loaded it a signal stack that was freed: a segmentation fault."""
        self.write_model(tmp_path / self.file)
        (tmp_path / "half.json").write_text(self.half().model_dump_json())
        done = subprocess.run(
            [sys.executable, "-c", FREED_ELSEWHERE, str(tmp_path / self.file), str(tmp_path / "half.json")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr

    def test_what_the_device_refuses_is_told_from_a_broken_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.write_model(tmp_path / self.file)
        half = self.half().model_copy(update={"compiled": {"inference_precision": "made-up"}})
        with pytest.raises(DeviceError, match=r"cannot compile model\.xml for this machine's CPU"):
            open_runner(tmp_path / self.file, half, 1)
        (tmp_path / self.file).write_text("<net")
        with pytest.raises(BundleError, match=r"cannot read .*model\.xml"):
            open_runner(tmp_path / self.file, half, 1)

    def test_without_the_c_library_it_says_what_to_do(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.write_model(tmp_path / self.file)
        native._library.cache_clear()
        monkeypatch.setattr(ov, "__file__", str(tmp_path / "openvino" / "__init__.py"))
        with pytest.raises(BackendMissingError, match="no C library") as missing:
            open_runner(tmp_path / self.file, self.half(), 1)
        assert "pip install" in missing.value.hint

    def test_nothing_is_left_of_runners_that_are_gone(self, tmp_path: Path) -> None:
        """Each holds an arena of its own: thirty would show."""
        self.write_model(tmp_path / self.file)
        inputs = {name: np.zeros((1, 2, 3), np.float32) for name in ("x", "y")}

        def grown(times: int) -> int:
            before = resident()
            for _ in range(times):
                with open_runner(tmp_path / self.file, self.half(), 1) as runner:
                    runner.run(inputs)
            return resident() - before

        grown(10)
        assert grown(30) < 8 << 20


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
