"""What our runner adds to an engine: every half of a bundle through it, and through the vendor's own measure.

    python benchmarks/engine_latency.py BUNDLE [BUNDLE...] [--rounds 15] [--runs 300] [--json]

Batch 1, the same file, the same threads, one process, in rounds: our runner, then the vendor's way, then again, so that
a busy moment of the machine hits both. The ratio is the median over the rounds of the ratios of their medians.

* ONNX Runtime: ``InferenceSession.run`` in a loop;
* LiteRT: ``set_tensor``, ``invoke``, ``get_tensor`` of an ``Interpreter`` in a loop, on what the file takes; and the
  same with what it gives made the manifest's tensors, as we do it;
* OpenVINO: ``infer()`` of an ``InferRequest`` with static shapes, whose input is there, in a loop; ``benchmark_app``,
  Intel's own, in a process of its own, once per round. Its times are taken within the library: what a call from Python
  costs, some 10 µs, is not in them.

Our runner takes and gives the manifest's tensors: what it converts is in its time, and not in the vendor's unless said.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.backends.tflite.runner import as_they_are, from_file
from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bundle import Bundle, Half, open_bundle
from ecc_deploy.errors import EccError, UsageError

WARM_UP = 30
Loop = Callable[[], object]
Once = Callable[[], float]


@dataclass(frozen=True)
class Ratio:
    """Medians in milliseconds; ``ratio``: ours by the vendor's."""

    bundle: str
    half: str
    backend: str
    precision: str
    vendor: str
    ours_ms: float
    vendor_ms: float
    ratio: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=300, help="inferences of each in one round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        found = [ratio for path in given.bundles for ratio in measure(path, given.rounds, given.runs, given.threads)]
    except EccError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps({"environment": fingerprint(), "ratios": [asdict(ratio) for ratio in found]}, indent=1))
        return 0
    titles = f"{'bundle':<28}{'half':<16}{'backend':<13}{'precision':<10}{'against':<20}"
    print(f"{titles}{'ours ms':>9}{'vendor':>9}{'ratio':>8}")
    for r in found:
        print(
            f"{r.bundle:<28}{r.half:<16}{r.backend:<13}{r.precision:<10}{r.vendor:<20}"
            f"{r.ours_ms:9.4f}{r.vendor_ms:9.4f}{r.ratio:8.3f}"
        )
    return 0


def measure(path: Path, rounds: int, runs: int, threads: int) -> list[Ratio]:
    """Every half of the bundle ``path`` whose backend has a vendor's measure here."""
    bundle = open_bundle(path)
    found = []
    for key, half in bundle.manifest.halves.items():
        if half.backend not in VENDORS:
            continue
        found += _half(bundle, key, half, rounds, runs, threads)
    if not found:
        raise UsageError(f"{path} has no half of {', '.join(VENDORS)}")
    return found


def _half(bundle: Bundle, key: str, half: Half, rounds: int, runs: int, threads: int) -> list[Ratio]:
    file = bundle.file(half.file)
    rng = np.random.default_rng(0)
    (entry,) = half.inputs
    values = (
        rng.normal(size=(1, *entry.shape)).astype(np.float32)
        if entry.dtype == "float32"
        else rng.integers(0, 4, (1, *entry.shape)).astype(entry.dtype)
    )
    vendors = VENDORS[half.backend](file, half, values, threads)
    with open_runner(file, half, threads) as runner:
        inputs = {entry.name: values}
        loop = partial(runner.run, inputs)
        pairs = {name: (_timed(loop, runs), _timed(other, runs)) for name, other in vendors.items()}
        if half.backend == "openvino" and shutil.which("benchmark_app"):
            app = partial(_benchmark_app, file, half, runs, threads)
            pairs["benchmark_app"] = (_timed(loop, runs), app)
        return [
            _ratio(pair, rounds, bundle.path.name, key, half.backend, half.precision, name)
            for name, pair in pairs.items()
        ]


def _ratio(pair: tuple[Once, Once], rounds: int, *facts: str) -> Ratio:
    for one in pair:
        one()  # warms up
    seen = [(pair[0](), pair[1]()) for _ in range(rounds)]
    ours, vendor = (statistics.median(times) for times in zip(*seen, strict=True))
    return Ratio(*facts, ours, vendor, statistics.median(own / other for own, other in seen))


def _timed(loop: Loop, runs: int) -> Once:
    """A function that runs ``loop`` so many times, after some that do not count, and gives the median in ms."""

    def once() -> float:
        for _ in range(WARM_UP):  # what ran in between has cooled the caches
            loop()
        times = []
        for _ in range(runs):
            start = time.perf_counter_ns()
            loop()
            times.append(time.perf_counter_ns() - start)
        return statistics.median(times) / 1e6

    return once


def _onnxruntime(file: Path, half: Half, values: np.ndarray, threads: int) -> dict[str, Loop]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return {"bare session": lambda: session.run(None, {half.inputs[0].name: values})}


def _litert(file: Path, half: Half, values: np.ndarray, threads: int) -> dict[str, Loop]:
    from ai_edge_litert.interpreter import Interpreter

    top = int(str(half.compiled.get("top_code", 255)))
    interpreter: Any = Interpreter(model_path=str(file), num_threads=threads)
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    signature = interpreter.get_signature_runner().get_output_details()
    found = as_they_are(signature, interpreter.get_output_details())
    outputs = [(found[tensor.name]["index"], from_file(found[tensor.name], tensor, top)) for tensor in half.outputs]
    ready = np.zeros(entry["shape"], entry["dtype"])
    if ready.shape == values.shape:
        ready = np.clip(values * 20, -127, 127).astype(entry["dtype"])

    def once() -> object:
        interpreter.set_tensor(entry["index"], ready)
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index, _ in outputs]

    def converted() -> object:
        interpreter.set_tensor(entry["index"], ready)
        interpreter.invoke()
        return [convert(interpreter.get_tensor(index)) for index, convert in outputs]

    return {"bare interpreter": once, "the same, converted": converted}


def _openvino(file: Path, half: Half, values: np.ndarray, threads: int) -> dict[str, Loop]:
    import openvino as ov

    core = ov.Core()
    read = core.read_model(str(file))
    read.reshape({half.inputs[0].name: list(values.shape)})
    model = core.compile_model(
        read,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": str(half.compiled["inference_precision"]),
        },
    )
    request = model.create_infer_request()
    request.infer({half.inputs[0].name: values})
    return {"bare request": request.infer}


def _benchmark_app(file: Path, half: Half, runs: int, threads: int) -> float:
    """Its median latency in ms."""
    shape = ",".join(map(str, (1, *half.inputs[0].shape)))
    command = ("benchmark_app", "-m", str(file), "-d", "CPU", "-api", "sync", "-hint", "none", "-nireq", "1")
    command += (
        "-nstreams",
        "1",
        "-nthreads",
        str(threads),
        "-niter",
        str(runs),
        "-shape",
        f"{half.inputs[0].name}[{shape}]",
    )
    command += ("-infer_precision", str(half.compiled["inference_precision"]))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Median:\s+([\d.]+) (us|ms)", done.stdout)
    if done.returncode or found is None:
        raise UsageError(f"benchmark_app failed on {file}: {done.stdout[-800:]}{done.stderr[-800:]}")
    return float(found[1]) / {"us": 1000, "ms": 1}[found[2]]


VENDORS: dict[str, Callable[[Path, Half, np.ndarray, int], dict[str, Loop]]] = {
    "onnxruntime": _onnxruntime,
    "tflite": _litert,
    "openvino": _openvino,
}


if __name__ == "__main__":
    sys.exit(main())
