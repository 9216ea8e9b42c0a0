"""What ``ecc-deploy train --sweep`` shows."""

from __future__ import annotations

from math import ceil, floor
from typing import TYPE_CHECKING

from ecc_deploy.cli import terminal

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

    from ecc_deploy.sweep.result import Point, Spread, Sweep

MOST_ROWS = 60
"""Where a sweep has more points, the table holds those of the front alone."""


def show(sweep: Sweep, out: Path) -> None:
    """The points with the Pareto front marked, means over seeds, and what comes next."""
    tables = [_points(sweep)]
    if any(row.variant is not None or len(row.seeds) > 1 for row in sweep.ablation):
        tables.append(_ablation(sweep))
    left = sweep.running + sweep.waiting
    done = f"{sweep.finished} of {sweep.finished + left} settings are done"
    if left:
        done += f"; other processes work at {sweep.running}, and the last of them writes the whole table"
    terminal.show(*tables, f"{done}. All points: {out}/sweep.json")
    if sweep.points:
        best = max(sweep.points, key=lambda point: point.accuracy)
        within = f"bytes<={ceil(best.payload_bytes)}, top1>={floor(100 * best.accuracy)}"
        terminal.show(f"Next: ecc-deploy export {out} --pick '{within}' --out BUNDLE")
    for failure in sweep.failures:
        terminal.note(f"Note: {failure.title} failed: {failure.error}")


def _points(sweep: Sweep) -> Table:
    from ecc_deploy.report import formats

    chosen = sweep.points if len(sweep.points) <= MOST_ROWS else sweep.front
    which = "" if len(chosen) == len(sweep.points) else f"; the front alone, of {len(sweep.points)} points"
    table = _table(
        f"{sweep.name}: {sweep.dataset} val, {sweep.samples:,} samples{which}",
        "●: on the Pareto front over accuracy, edge MACs, cloud MACs and bytes.\n"
        "M: million multiply-accumulates. Bytes: payload. Means over all samples.",
    )
    table.add_column("")
    table.add_column("Architecture", no_wrap=True)
    for heading in ("Top-1 %", "Sent %", "Edge M", "Cloud M", "Bytes"):
        table.add_column(heading, justify="right")
    table.add_column("Setting")

    def order(point: Point) -> tuple[float, float]:
        return point.payload_bytes, -point.accuracy

    for point in sorted(chosen, key=order):
        table.add_row(
            "●" if point.on_front else "",
            point.name,
            formats.fixed(100 * point.accuracy, 2),
            formats.fixed(100 * point.offload_rate, 1),
            formats.fixed(point.edge_macs / 1e6, 2),
            formats.fixed(point.cloud_macs / 1e6, 2),
            formats.significant(point.payload_bytes),
            sweep.trial(point.trial).title,
        )
    return table


def _ablation(sweep: Sweep) -> Table:
    from ecc_deploy.report import formats

    rates = list(sweep.ablation[0].dynamic)
    rate = rates[len(rates) // 2]
    table = _table(
        f"Top-1 %, mean ± standard deviation over seeds: {sweep.dataset} val",
        "n: seeds. Bytes: of one payload of ECC-A.",
    )
    table.add_column("Setting")
    for heading in ("n", "Edge-only", "ECC-A", "ECC-A fused", f"ECC-D {100 * float(rate):g} %", "Bytes"):
        table.add_column(heading, justify="right", no_wrap=True)

    for row in sweep.ablation:
        table.add_row(
            row.title or "all",
            str(len(row.seeds)),
            *(_share(spread) for spread in (row.edge, row.adaptive, row.adaptive_fused, row.dynamic.get(rate))),
            formats.significant(row.adaptive_bytes.mean),
        )
    return table


def _share(spread: Spread | None) -> str:
    from ecc_deploy.report import formats

    if spread is None:
        return formats.ABSENT
    mean = formats.fixed(100 * spread.mean, 2)
    return mean if spread.std is None else f"{mean} ± {formats.fixed(100 * spread.std, 2)}"


def _table(title: str, caption: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
