"""What a device does with a bundle, here and under emulation: self-test, then every deployment on the same images.

    python arm_device.py BUNDLE IMAGES.npy HOST:PORT ANSWERS

Needs the wheel of ecc-deploy and the runtime of the bundle's edge halves, nothing else, and a server of the bundle.
``ANSWERS`` is a safetensors file, :func:`arm_compare.load_answers` reads it: logits float32 ``[N, classes]``, and each
payload that was sent. What the device is and what its self-test said are printed as JSON.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

import ecc_deploy as ecc
from ecc_deploy.runtime.client import CloudAnswer
from ecc_deploy.runtime.selftest import check_cloud, check_edge

DEADLINE_MS = 60_000  # emulation is slow, and the fallback is not what is checked
PACKAGES = ("ai-edge-litert", "onnxruntime", "openvino", "numpy", "pillow")


class Recorder(ecc.CloudClient):
    """A client that keeps what it sent last."""

    sent: bytes | None = None

    def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> CloudAnswer:
        self.sent = payload
        return super().infer(half, payload, codec, deadline_s)


def installed() -> dict[str, str]:
    """Versions, by package, of those that may make a difference and are there."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main(folder: Path, images: Path, address: str, out: Path) -> None:
    """Write ``out``. Raises an error where the self-test fails, or the edge had to answer for the cloud."""
    started = time.perf_counter()
    bundle = ecc.open_bundle(folder)
    notes = check_edge(bundle)
    tensors: dict[str, np.ndarray] = {}
    with Recorder(address, bundle.manifest) as cloud:
        cloud.connect(timeout_s=60)
        notes += check_cloud(bundle, cloud)
        for name in sorted(bundle.manifest.deployments):
            logits = []
            with ecc.EdgeRuntime(bundle, name, cloud=cloud, deadline_ms=DEADLINE_MS) as edge:
                for number, image in enumerate(np.load(images, allow_pickle=False)):
                    cloud.sent = None
                    answer = edge.predict(image)
                    if answer.reason.is_fallback:
                        sys.exit(f"{name}: the edge had to answer image {number} for the cloud: {answer.detail}")
                    logits.append(answer.logits)
                    if cloud.sent is not None:
                        tensors[f"{name}.payload.{number}"] = np.frombuffer(cloud.sent, np.uint8)
            tensors[f"{name}.logits"] = np.stack(logits)
    save_file(tensors, out)
    facts = {
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": installed(),
        "notes": notes,
        "seconds": time.perf_counter() - started,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
