"""Install a wheel into an empty environment, as a device would, and use it from another directory.

First with the base dependencies only; then with ONNX Runtime, to benchmark a bundle that this checkout makes. With the
Python of the checkout's environment, and where there is one with Python 3.10, JetPack 6's and the oldest that devices
may have: ``python .ci/wheel_check.py dist/ecc_deploy-*.whl``
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIMES = {"onnxruntime"}
NOT_WANTED = {"torch", "onnx", "onnxscript", "openvino", "ai_edge_litert", "tensorrt"}
OLDEST = "python3.10"


def main(wheel: Path) -> None:
    """Exit with an error where the wheel does not do what a device needs of it."""
    check(wheel, sys.executable)
    if is_usable(OLDEST):
        check(wheel, OLDEST)
    else:
        print(f"Not checked with {OLDEST}: there is none here that can make environments")


def is_usable(python: str) -> bool:
    """Whether there is such an interpreter, with what virtual environments need."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def check(wheel: Path, interpreter: str) -> None:
    """Install and use the wheel in a new environment of that interpreter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"Checking {wheel.name} in an empty environment of {Path(interpreter).name}")
        subprocess.run([interpreter, "-m", "venv", folder / "venv"], check=True)
        python = folder / "venv/bin/python"
        environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

        def run(*command: str | Path) -> str:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
            return done.stdout

        def install(what: str) -> set[str]:
            """Install, and return the names of all packages that are there now."""
            pip = (python, "-m", "pip", "--disable-pip-version-check")
            run(*pip, "install", "--quiet", "-c", ROOT / "constraints.txt", what)
            return {p["name"].lower().replace("-", "_") for p in json.loads(run(*pip, "list", "--format", "json"))}

        names = install(str(wheel.resolve()))
        present = names & (NOT_WANTED | RUNTIMES)
        if present:
            sys.exit(f"The base dependencies brought {', '.join(sorted(present))}")

        program = folder / "venv/bin/ecc-deploy"
        run(program, "--help")
        targets = [target["name"] for target in json.loads(run(program, "targets", "list", "--json"))]
        diagnosis = json.loads(run(program, "doctor", "--json"))
        if "onnxruntime-cpu" not in targets or [t["name"] for t in diagnosis["targets"]] != targets:
            sys.exit(f"The targets did not travel in the wheel: {targets}")
        if any(target[verb]["possible"] for target in diagnosis["targets"] for verb in ("run", "compile")):
            sys.exit("doctor says that something can run or compile where nothing is installed")
        run(program, "doctor")
        print(f"The wheel works: {len(names)} packages, among them no toolchain")

        print("Benchmarking a bundle made elsewhere, with ONNX Runtime alone")
        sample = ("--dataset", "fashion-mnist-sample")  # embedded; the full set is not on every machine
        run(sys.executable, "-m", "ecc_deploy", "export", "shipped:fashion-mnist", "--out", folder / "bundle", *sample)
        names = install(f"{wheel.resolve()}[onnxruntime]")
        if names & NOT_WANTED:
            sys.exit(f"The extra onnxruntime brought {', '.join(sorted(names & NOT_WANTED))}")
        run(program, "bench", folder / "bundle", "--samples", "50", "--out", folder / "bench.json")
        arms = json.loads((folder / "bench.json").read_text())["arms"]
        architectures = {arm["architecture"] for arm in arms}
        if architectures != {"edge-only", "cloud-only", "independent", "adaptive", "dynamic"}:
            sys.exit(f"The benchmark measured {sorted(architectures)}")
        if any(arm["fallback_rate"] > 0 or arm["samples"] != 50 for arm in arms):
            sys.exit("The benchmark lost samples, or the edge had to answer for the cloud")
        print(f"{len(arms)} arms measured; {len(names)} packages")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
