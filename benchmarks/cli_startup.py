"""How long ``ecc-deploy --help`` takes, against the interpreter's own start and against importing typer alone.

    python benchmarks/cli_startup.py [--runs N] [--json]

Whole processes, wall time, the three in turn; the ratios are of medians in the same run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "python -c 'import typer'": [sys.executable, "-c", "import typer"],
    "ecc-deploy --help": [sys.executable, "-m", "ecc_deploy", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for round_ in range(arguments.runs + 1):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if round_:  # the first is the warm-up
                seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    floor = medians["python -c pass"]
    if arguments.json:
        print(json.dumps({"runs": arguments.runs, "median_s": medians}))
        return
    for name, value in medians.items():
        print(f"{name:26} {1000 * value:7.1f} ms   {value / floor:5.1f} x the interpreter's start")


if __name__ == "__main__":
    main()
