"""From trained systems to the headline: export, evaluate the compiled halves on all test images, measure them served.

    python benchmarks/headline.py SYSTEM [SYSTEM...] --out FOLDER [--published FILE] [--offload-rate 0.14]

SYSTEM is a run directory or ``shipped:NAME``; several are one recipe with different seeds, and the table gives mean and
standard deviation. The last one is served on this machine, and every architecture answers the same test images.

FOLDER gets the bundles, ``evaluation.json``, ``curves.html``, ``bench.json``, ``report.html`` and ``headline.json``:
the rows of every seed with machine and versions. ``--published`` compares with such a file, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

import ecc_deploy as ecc
from ecc_deploy.atomic import write_file
from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.cli import checks, terminal
from ecc_deploy.cli.progress import shown_progress
from ecc_deploy.errors import EccError, UsageError
from ecc_deploy.evaluation.findings import findings
from ecc_deploy.evaluation.result import Evaluation
from ecc_deploy.evaluation.seeds import Seeds, over_seeds
from ecc_deploy.report.evaluations import evaluation_table, heading, write_curves
from ecc_deploy.report.tables import comparison_table

TOLERANCE = 0.003
"""Of an accuracy. Processors without VNNI sum int8 products another way, and a sample near a threshold may tip."""
TOLERANCE_BYTES = 0.03
"""Of the bytes, as a share."""


def main() -> int:
    """Exit code 0: done, and as published where that was asked; 1: not as published; 2: it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("systems", nargs="+", metavar="SYSTEM")
    parser.add_argument("--out", type=Path, required=True, help="folder for everything that is made")
    parser.add_argument("--offload-rate", type=float, default=0.14, help="that the gates are to send (default 0.14)")
    parser.add_argument("--dataset", help="instead of the run's own")
    parser.add_argument("--data", type=Path, help="folder of its files")
    parser.add_argument("--image-codecs", help="of cloud-only and ECC-I, with commas between (default: twelve)")
    parser.add_argument("--samples", type=int, default=1000, help="test images that are sent through the server")
    parser.add_argument("--published", type=Path, metavar="FILE", help="a headline.json to compare with")
    given = parser.parse_args()
    try:
        return _run(given)
    except EccError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2


def _run(given: argparse.Namespace) -> int:
    checks.output_folder(given.out)
    if not 0 < given.offload_rate < 1:
        raise UsageError(f"an offload rate lies between 0 and 1, not at {given.offload_rate}")
    published = _load(given.published) if given.published else None
    started = time.perf_counter()
    data = {"dataset": given.dataset, "data_folder": given.data}
    codecs = {"image_codecs": given.image_codecs.split(",")} if given.image_codecs else {}
    with shown_progress() as progress:
        bundles, evaluations = {}, {}
        for system in given.systems:
            seed = ecc.load_run(system, **data).recipe.seed
            if seed in bundles:
                raise UsageError(f"two systems have the seed {seed}", "Name runs of one recipe with different seeds.")
            folder = given.out / f"bundle-seed-{seed}"
            bundles[seed] = ecc.export_bundle(
                system, folder, offload_rate=given.offload_rate, precision="int8", **data, progress=progress
            )
            evaluations[seed] = ecc.evaluate(
                folder, offload_rate=given.offload_rate, **data, **codecs, progress=progress
            )
        last = list(bundles.values())[-1]
        bench = ecc.run_bench(last, samples=given.samples, **data, progress=progress)
    runs = list(evaluations.values())
    result = over_seeds(runs) if len(runs) > 1 else runs[0]
    headline = _headline(evaluations)
    _write(given.out / "evaluation.json", result.to_json())
    _write(given.out / "headline.json", headline)
    write_curves(result, given.out / "curves.html")
    ecc.save_bench(bench, given.out / "bench.json")
    ecc.write_report([bench], given.out / "report.html")

    mean = result.mean if isinstance(result, Seeds) else result
    terminal.show(
        heading(result),
        evaluation_table(result, terminal.console().width),
        *[finding.text for finding in findings(mean)],
        f"\nServed on this machine, {given.samples:,} test images, seed {list(bundles)[-1]}:",
        comparison_table(bench),
    )
    differing = _compare(headline, published) if published else 0
    terminal.show(f"Done in {time.perf_counter() - started:.0f} s. Curves, report and figures: {given.out}")
    return 1 if differing else 0


def _headline(evaluations: Mapping[int, Evaluation]) -> dict[str, Any]:
    """What is published: rows of every seed, and where they were measured."""
    seeds = {str(seed): [asdict(row) for row in found.rows] for seed, found in evaluations.items()}
    first = next(iter(evaluations.values()))
    facts = {name: getattr(first, name) for name in ("system", "dataset", "part", "samples", "split", "offload_rate")}
    return {**facts, "environment": fingerprint(), "seeds": seeds}


def _write(path: Path, facts: Mapping[str, Any]) -> None:
    write_file(path, (json.dumps(facts, indent=1) + "\n").encode())


def _load(path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    return facts


def _compare(found: Mapping[str, Any], published: Mapping[str, Any]) -> int:
    """Show both, row by row, of the seeds that both have; returns how many rows differ."""
    shared = [seed for seed in found["seeds"] if seed in published["seeds"]]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="Here, and as published", title_justify="left")
    for title in ("Seed", "Architecture", "Top-1, %", "published", "payload, B", "published", ""):
        table.add_column(title, justify="left" if title in ("Seed", "Architecture", "") else "right")
    differing = 0
    for seed in shared:
        theirs = {row["name"]: row for row in published["seeds"][seed]}
        for row in found["seeds"][seed]:
            if row["name"] in theirs:
                other = theirs[row["name"]]
                same = _is_as_published(row, other)
                differing += not same
                table.add_row(
                    seed,
                    row["name"],
                    *[f"{100 * r['accuracy']:.2f}" for r in (row, other)],
                    *[f"{r['payload_bytes']:.1f}" for r in (row, other)],
                    "" if same else "differs",
                )
    if not shared:
        raise UsageError(f"no seed of {', '.join(found['seeds'])} was published", "Leave --published out.")
    terminal.show(table, f"{differing} of {table.row_count} rows differ by more than rounding may explain.")
    return differing


def _is_as_published(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    close = abs(row["accuracy"] - other["accuracy"]) <= TOLERANCE
    return close and abs(row["payload_bytes"] - other["payload_bytes"]) <= TOLERANCE_BYTES * other["payload_bytes"]


if __name__ == "__main__":
    sys.exit(main())
