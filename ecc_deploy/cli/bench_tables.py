"""What the terminal shows of a benchmark beside the comparison table: links, floors, and the further series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_series import Quantiles, Repeated
from ecc_deploy.report.formats import ABSENT, NBSP, fixed, percent, signed, significant

if TYPE_CHECKING:
    from rich.table import Table


def tables(bench: Bench) -> Iterator[Table | str]:
    """The comparison, once per link where there are any, and a table for every further series that was measured."""
    from ecc_deploy.report.tables import comparison_table

    names = list(dict.fromkeys(arm.link for arm in bench.arms if arm.link is not None or arm.codec is not None))
    for name in names or [None]:
        if name is not None:
            link = next(link for link in bench.links if link.name == name)
            yield f"Over {name}, {link.title} ({link.method})"
        elif len(names) > 1:
            yield "Over the network as it is"
        # What sends nothing belongs to no link, and into every comparison.
        own = [arm for arm in bench.arms if arm.link == name or arm.codec is None]
        yield comparison_table(bench.model_copy(update={"arms": own}))
    for title, table in _further(bench):
        yield title
        yield table


def _further(bench: Bench) -> Iterator[tuple[str, Table]]:
    if any(arm.floor for arm in bench.arms):
        yield "Floor of an offloaded sample, ms: edge + serialization at line rate + round trip + cloud", _floors(bench)
    if any(arm.cold for arm in bench.arms):
        yield "Cold start, ms (median, least to most)", _colds(bench)
    if any(arm.idle for arm in bench.arms):
        yield "First offload after a gap, ms (median with 95 % interval)", _idles(bench)
    if any(arm.energy and arm.energy.joules_per_sample is not None for arm in bench.arms):
        yield "Energy", _energies(bench)
    if bench.scenarios:
        yield "Under MLPerf LoadGen (no submission)", _scenarios(bench)


def grid(heads: Sequence[str], lines: Sequence[Sequence[str]], left: int = 1) -> Table:
    """A table of plain text; the first ``left`` columns are words, the others numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(Text(head), justify="left" if i < left else "right", no_wrap=i >= left)
    for line in lines:
        table.add_row(*(Text(_plain(cell)) for cell in line))
    return table


def _plain(text: str) -> str:
    """Without control characters: a name must not steer the terminal."""
    return "".join(c if c.isprintable() or c == NBSP else "\ufffd" for c in text)


def label(arm: Arm) -> str:
    return arm.name if arm.link is None else f"{arm.name} over {arm.link}"


def with_interval(found: Quantiles, name: str) -> str:
    """``22.4 (22.3 to 22.6)``."""
    value = significant(getattr(found, name))
    if name not in found.ci95:
        return value
    low, high = found.ci95[name]
    return f"{value} ({significant(low)} to {significant(high)})"


def _floors(bench: Bench) -> Table:
    lines = []
    for arm in bench.arms:
        floor, latency = arm.floor, arm.latency_offloaded_ms
        if floor is not None and latency is not None:
            parts = (floor.edge_ms, floor.serialization_ms, floor.rtt_ms, floor.cloud_ms, floor.total_ms)
            share = signed(floor.overhead_ratio * 100)
            lines.append([label(arm), *(fixed(part, 2) for part in parts), with_interval(latency, "p50"), f"{share} %"])
    heads = ["Arm", "edge", "serialization", "round trip", "cloud", "floor", "measured p50 (95 %)", "overhead"]
    return grid(heads, lines)


def _colds(bench: Bench) -> Table:
    lines = []
    for arm in bench.arms:
        if arm.cold is not None:
            series = (
                arm.cold.process_start_ms, arm.cold.connection_ms, arm.cold.engine_load_ms, arm.cold.first_inference_ms,
            )  # fmt: skip
            cells = [
                ABSENT
                if one is None
                else f"{significant(one.p50)} ({significant(one.least)} to {significant(one.most)})"
                for one in series
            ]
            lines.append([label(arm), *cells])
    return grid(["Arm", "process start", "connection", "engine load", "first inference"], lines)


def _range(one: Repeated | None) -> str:
    return ABSENT if one is None else f"{significant(one.p50)} ({significant(one.least)} to {significant(one.most)})"


def _idles(bench: Bench) -> Table:
    gaps = sorted({point.gap_s for arm in bench.arms for point in arm.idle})
    lines = []
    for arm in bench.arms:
        if arm.idle:
            points = {point.gap_s: with_interval(point.latency_ms, "p50") for point in arm.idle}
            warm = arm.latency_offloaded_ms
            lines.append(
                [
                    label(arm),
                    ABSENT if warm is None else with_interval(warm, "p50"),
                    *(points.get(gap, ABSENT) for gap in gaps),
                ]
            )
    return grid(["Arm", "no gap", *(f"{gap:g} s" for gap in gaps)], lines)


def _energies(bench: Bench) -> Table:
    lines = []
    for arm in bench.arms:
        energy = arm.energy
        if energy is not None and energy.joules_per_sample is not None:
            lines.append(
                [
                    label(arm),
                    significant(energy.joules_per_sample * 1e3),
                    significant(energy.mean_watts),
                    significant(energy.idle_watts),
                    energy.sensor or ABSENT,
                ]
            )
    return grid(["Arm", "mJ per sample", "W", "W idle", "sensor"], lines)


def _scenarios(bench: Bench) -> Table:
    lines = [
        [
            f"{one.arm} over {one.link}" if one.link else one.arm,
            one.name if one.target_qps is None or one.name == "offline" else f"{one.name} {one.target_qps:g}/s",
            "VALID" if one.valid else f"INVALID: {'; '.join(one.why_not)}",
            significant(one.qps),
            ABSENT if one.latency_ms is None else with_interval(one.latency_ms, "p50"),
            ABSENT if one.latency_ms is None else with_interval(one.latency_ms, "p99"),
            percent(one.accuracy),
        ]
        for one in bench.scenarios
    ]
    heads = ["Arm", "Scenario", "Verdict", "samples/s", "p50, ms (95 %)", "p99, ms (95 %)", "accuracy"]
    return grid(heads, lines, left=3)
