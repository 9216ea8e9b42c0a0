"""What a training step takes: float32 against bfloat16, and freed memory given back to the kernel against kept.

    python benchmarks/training_step.py [RECIPE] [--phase NAME] [--steps N] [--rounds N] [--json]

Steps of one phase of a recipe (default: the joint phase of cifar10) on random images, with fresh weights; data and
validation are left out. Each setting runs in a process of its own, all in turn, round after round; medians of steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

SETTINGS = [(precision, memory) for precision in ("float32", "bfloat16") for memory in ("given back", "kept")]
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", default="cifar10")
    parser.add_argument("--phase", help="of the recipe (default: the first)")
    parser.add_argument("--steps", type=int, default=10, help="of each round (default 10)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    parser.add_argument("--child", nargs=2, metavar=("PRECISION", "MEMORY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        json.dump(measure(given, *given.child), sys.stdout)
        return
    times: dict[tuple[str, str], list[float]] = {setting: [] for setting in SETTINGS}
    for _ in range(given.rounds):
        for setting in SETTINGS:
            command = [sys.executable, *sys.argv, "--child", *setting]
            times[setting] += json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    medians = {setting: 1000 * statistics.median(found) for setting, found in times.items()}
    if given.json:
        rows = [{"precision": p, "memory": m, "step_ms_p50": value} for (p, m), value in medians.items()]
        print(json.dumps({"recipe": given.recipe, "threads": given.threads, "rows": rows}))
        return
    fastest = min(medians.values())
    print(f"{'precision':<10} {'freed memory':<12} {'ms':>6} {'÷ fastest':>9}")
    for (precision, memory), value in medians.items():
        print(f"{precision:<10} {memory:<12} {value:6.0f} {value / fastest:9.2f}")


def measure(given: argparse.Namespace, precision: str, memory: str) -> list[float]:
    """Seconds of each step, in this process."""
    import torch

    from ecc_deploy.systems.rate import RateModel
    from ecc_deploy.training.balance import set_gradients
    from ecc_deploy.training.memory import keep_freed_memory
    from ecc_deploy.training.phase_runner import PhaseRunner
    from ecc_deploy.training.recipe import load_recipe
    from ecc_deploy.training.run import build_system, load_data
    from ecc_deploy.training.workers import Workers

    torch.set_num_threads(given.threads)
    if memory == "kept":
        keep_freed_memory()
    torch.manual_seed(0)
    recipe = load_recipe(given.recipe)
    phase = next(phase for phase in recipe.phases if given.phase in (None, phase.name))
    workers = Workers("cpu")
    system = build_system(recipe).to(memory_format=torch.channels_last)
    quantizer = system.adapter.quantizer
    rate = RateModel(system.adapter.boundary_shape[0], quantizer.bits) if quantizer.is_integer else None
    runner = PhaseRunner(
        system, phase, rate, samples=phase.batch, seed=0, precision=precision, workers=workers, progress=lambda *_: None
    )
    for module in runner.modules:
        module.train()
    x = torch.randn(phase.batch, *system.input_shape).contiguous(memory_format=torch.channels_last)
    y = torch.randint(0, len(load_data(recipe).classes), (phase.batch,))
    seconds = []
    for _ in range(WARM_UP + given.steps):
        started = time.perf_counter()
        with workers.autocast(precision):
            objectives = runner.objectives(x, y)
        set_gradients(objectives, runner.parameters, phase.balance, workers)
        runner.optimizer.step()
        seconds.append(time.perf_counter() - started)
    return seconds[WARM_UP:]


if __name__ == "__main__":
    main()
