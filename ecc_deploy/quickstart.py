"""The main job in one call: shipped backbones, a trained adapter, int8 halves, a server, a benchmark, a report."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from ecc_deploy import resources
from ecc_deploy.bench.run import bench
from ecc_deploy.bench.schema import Bench, save_bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.evaluation.evaluate import Evaluation, evaluate
from ecc_deploy.export.exporter import export
from ecc_deploy.progress import Progress, silent
from ecc_deploy.report.html import write_report
from ecc_deploy.training.loop import train
from ecc_deploy.training.recipe import load_recipe

RECIPE = "fashion-mnist-quickstart.toml"
SAMPLES = 1000  # the whole embedded test part


@dataclass(frozen=True)
class QuickstartResult:
    """What the quickstart made, and how long it took."""

    evaluation: Evaluation
    bundle: Bundle
    bench: Bench
    bench_path: Path
    report: Path
    seconds: float


def quickstart(
    out: str | Path, *, samples: int = SAMPLES, threads: int = 2, progress: Progress = silent
) -> QuickstartResult:
    """Run the main job on the embedded Fashion-MNIST sample, all results under ``out``.

    ``out/run`` is the trained run directory, ``out/bundle`` the int8 bundle, then ``out/bench.json`` and
    ``out/report.html``. ``samples``: how many of the 1,000 test images the benchmark sends; ``threads``: for training.
    """
    out = Path(out)
    started = time.perf_counter()
    run = train(load_recipe(resources.folder("recipes") / RECIPE), out / "run", progress=progress, threads=threads)
    evaluation = evaluate(run.path, progress=progress)
    bundle = export(run.path, out / "bundle", progress=progress)
    result = bench(bundle, samples=samples, progress=progress)
    save_bench(result, out / "bench.json")
    report = write_report([result], out / "report.html")
    return QuickstartResult(evaluation, bundle, result, out / "bench.json", report, time.perf_counter() - started)
