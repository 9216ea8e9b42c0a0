"""``ecc-deploy results list | show | compare``"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecc_deploy.cli import terminal

if TYPE_CHECKING:
    from rich.table import Table

    from ecc_deploy.bench.differences import Differences

app = typer.Typer(
    name="results", help="Benchmarks that were kept: list them, show one, compare two.", no_args_is_help=True
)

Places = Annotated[
    list[Path], typer.Argument(metavar="FOLDER|FILE...", help="Stores (`bench --store FOLDER`), or bench.json files.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@app.command("list")
def list_(places: Places, as_json: Json = False) -> None:
    """All runs, oldest first."""
    from ecc_deploy.bench import store

    lines = []
    for run in store.runs(places):
        bench = run.bench
        lines.append(
            {
                "id": run.id,
                "file": str(run.path),
                "created": bench.created,
                "bundle": bench.bundle.get("name"),
                "dataset": bench.settings.get("dataset"),
                "arms": len({arm.name for arm in bench.arms}),
                "links": [link.name for link in bench.links],
                "samples": bench.settings.get("samples"),
                "cpu": bench.environment.get("cpu"),
                "warnings": len(bench.warnings),
            }
        )
    if as_json:
        terminal.show_json(lines)
        return
    from ecc_deploy.cli.bench_tables import grid

    def cell(value: object) -> str:
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    heads = ["id", "bundle", "dataset", "arms", "links", "samples", "cpu", "warnings"]
    terminal.show(grid(heads, [[cell(line[head]) for head in heads] for line in lines], left=len(heads)))


@app.command()
def show(places: Places, as_json: Json = False) -> None:
    """The last run of a store, or the one in a file: its tables and what to know of it."""
    from ecc_deploy.bench import store
    from ecc_deploy.cli.bench_tables import tables

    run = store.runs(places)[-1]
    if as_json:
        terminal.show_json(run.bench.model_dump(mode="json"))
        return
    for warning in run.bench.warnings:
        terminal.note(f"Note: {warning}")
    terminal.show(run.id, *tables(run.bench))


@app.command()
def compare(
    places: Places,
    all_figures: Annotated[bool, typer.Option("--all", help="Also differences that are not shown.")] = False,
    as_json: Json = False,
) -> None:
    """What differs between two runs, per arm and link, with 95 % intervals; and in what they ran on.

    Of one store: the last run and the one before it of the same bundle.
    """
    from ecc_deploy.bench import differences, store

    before, after = store.pair(places)
    found = differences.compare(before.bench, after.bench)
    if as_json:
        terminal.show_json({"before": before.id, "after": after.id, **asdict(found)})
        return
    terminal.show(f"Before: {before.id}", f"After:  {after.id}", *_shown(found, all_figures))


def _shown(found: Differences, all_figures: bool) -> list[Table | str]:
    from ecc_deploy.cli.bench_tables import grid
    from ecc_deploy.report.formats import fixed, signed

    lines, hidden = [], 0
    for arm in found.arms:
        name = arm.arm if arm.link is None else f"{arm.arm} over {arm.link}"
        for one in arm.figures:
            if one.verdict == "not shown" and not all_figures:
                hidden += 1
                continue
            lines.append(
                [
                    name, one.figure, one.unit, fixed(one.before, 3), fixed(one.after, 3), signed(one.change, 3),
                    f"{signed(one.low, 3)} to {signed(one.high, 3)}", one.verdict,
                ]
            )  # fmt: skip
            name = ""
    heads = ["Arm", "Figure", "Unit", "before", "after", "change", "95 % interval", "verdict"]
    parts: list[Table | str] = [grid(heads, lines, left=3)] if lines else ["No difference is shown."]
    if hidden:
        parts.append(f"{hidden} figures whose intervals hold 0: not shown to differ (--all lists them).")
    parts += [f"Only before: {', '.join(found.only_before)}"] if found.only_before else []
    parts += [f"Only after: {', '.join(found.only_after)}"] if found.only_after else []
    if found.facts:
        parts.append("What else differs")
        parts.append(grid(["Fact", "before", "after"], [[f.fact, str(f.before), str(f.after)] for f in found.facts], 3))
    parts.append("Intervals know what varied within the two runs, not what varies from run to run.")
    return parts
