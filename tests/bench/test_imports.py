import subprocess
import sys
from pathlib import Path

from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bundle import Bundle

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "onnx", "onnxscript", "torchjd", "openvino.tools"):
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Blocker())
"""

BENCHMARK = """
import sys
from pathlib import Path
import numpy as np
from ecc_deploy.bench.run import bench
from ecc_deploy.bundle import open_bundle
from ecc_deploy.data import Normalisation, Samples

class Noise:
    name, classes, image_shape, normalisation = "toy", ("a", "b", "c", "d"), (8, 8, 1), Normalisation((0.25,), (0.5,))
    def part(self, name):
        return Samples(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), dtype=np.uint8), np.zeros(8, np.int64))

try:
    import torch
except ImportError:
    result = bench(open_bundle(Path(sys.argv[1])), warmup=1, dataset=Noise())
    print(len(result.arms), sum(arm.fallback_rate for arm in result.arms))
"""


def test_neither_the_benchmark_nor_its_server_imports_torch_or_onnx(toy_bundle: Bundle, tmp_path: Path) -> None:
    # The interpreter runs sitecustomize at its start; the server inherits the search path that it is found on.
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    done = subprocess.run(
        [sys.executable, "-c", BENCHMARK, str(toy_bundle.path)],
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(choose_arms(toy_bundle))), "0.0"]
