"""The device side runs where neither torch nor onnx nor any compiler can be imported."""

import subprocess
import sys
from pathlib import Path

import ecc_deploy
from ecc_deploy.bundle import Bundle

CHILD = """
import importlib, pkgutil, sys
from pathlib import Path

FORBIDDEN = {"torch", "onnx", "onnxscript", "onnx_ir", "openvino", "nncf", "tensorflow", "tensorrt", "litert_torch"}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in FORBIDDEN:
            raise ImportError(f"the device side imported {name}")

sys.meta_path.insert(0, Refuse())

import numpy as np
from ecc_deploy.bundle import open_bundle
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.predict import predict
from ecc_deploy.runtime.selftest import check_cloud, check_edge
from ecc_deploy.serving import Server

bundle = open_bundle(Path(sys.argv[1]))
image = np.full((8, 8, 1), 90, np.uint8)
check_edge(bundle)
with Server([bundle]) as server, CloudClient(f"127.0.0.1:{server.port}", bundle.manifest) as cloud:
    cloud.connect()
    check_cloud(bundle, cloud)
    for deployment in sorted(bundle.manifest.deployments):
        with EdgeRuntime(bundle, deployment, cloud=cloud) as runtime:
            prediction = runtime.predict(image)
        assert not prediction.reason.is_fallback, prediction
        print(deployment, prediction.route)
    predict(bundle, image, cloud=f"127.0.0.1:{server.port}")

for room in ("runtime", "payload", "bundle", "bench", "serving", "data"):
    package = importlib.import_module(f"ecc_deploy.{room}")
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__":
            importlib.import_module(f"ecc_deploy.{room}.{module.name}")
importlib.import_module("ecc_deploy.backends.onnxruntime.runner")
assert not FORBIDDEN & set(sys.modules)
print("all rooms imported")
"""


def test_the_whole_device_side_without_a_toolchain(toy_bundle: Bundle) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(toy_bundle.path)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(ecc_deploy.__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "adaptive cloud" in lines
    assert "edge-only edge" in lines
    assert lines[-1] == "all rooms imported"


def test_the_test_itself_would_notice() -> None:
    script = CHILD.partition("import numpy")[0] + "\nimport onnx"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "the device side imported onnx" in done.stderr
