"""What comes beside the warm, closed loop: cold starts, idle gaps, LoadGen's scenarios, energy. As plots and texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.schema_series import Energy, Repeated, Scenario
from ecc_deploy.report.floors import error_bars, interval_text
from ecc_deploy.report.formats import ABSENT, NBSP, percent, significant
from ecc_deploy.report.latency import by_arm, two_lines
from ecc_deploy.report.plots import Figure, log_ticks, plain, tick_text
from ecc_deploy.report.rows import Row, representatives, rows

COLD = (
    ("process_start_ms", "start of the process", "#b9a3d6"),
    ("engine_load_ms", "loading the engines", "#e8c987"),
    ("connection_ms", "connection", "#8c8f94"),
    ("first_inference_ms", "first sample", "#3f79ad"),
)
"""Field of :class:`~ecc_deploy.bench.schema_series.Cold`, its name and colour, in the order in which they happen."""


def cold(bench: Bench) -> Figure | None:
    """One bar per arm: the medians of what comes once, stacked."""
    table = [row for row in rows(bench) if row.arm.cold is not None]
    if not table:
        return None
    data = [_once(field, name, colour, table) for field, name, colour in COLD]
    return by_arm(data, [two_lines(row) for row in table], {"title": {"text": "until the first answer, ms"}}, "stack")


def _once(field: str, name: str, colour: str, table: Sequence[Row]) -> dict[str, Any]:
    found: list[Repeated | None] = [getattr(row.arm.cold, field) for row in table]
    return {
        "type": "bar", "orientation": "h", "name": name, "y": list(range(len(table))),
        "x": [one.p50 if one else 0.0 for one in found], "marker": {"color": colour},
        "hovertext": [f"<b>{plain(row.label)}</b><br>{name}: {repeated(one)} ms"
                      for row, one in zip(table, found, strict=True)],
    }  # fmt: skip


def repeated(found: Repeated | None) -> str:
    """``12.1 (11.8 to 13.0)``: median, least and most; — where there is none."""
    if found is None:
        return ABSENT
    return f"{significant(found.p50)} ({significant(found.least)} to {significant(found.most)})"


def cold_lines(bench: Bench) -> list[tuple[Row, list[str], str, str]]:
    """Per arm: each part, the warm median of a sent sample (of all, where none is sent), and how many repetitions."""
    lines = []
    for row in rows(bench):
        if row.arm.cold is not None:
            parts = [repeated(getattr(row.arm.cold, field)) for field, _, _ in COLD]
            warm = (row.arm.latency_offloaded_ms or row.arm.latency_ms).p50
            lines.append((row, parts, significant(warm), str(len(row.arm.cold.first_inference_ms.values))))
    return lines


def idle(bench: Bench) -> Figure | None:
    """The first sample sent after a gap, by the gap: a line per family's representative, with intervals."""
    table = [row for row in representatives(rows(bench), bench) if row.arm.idle]
    table = table or [row for row in rows(bench) if row.arm.idle][:1]
    if not table:
        return None
    data: list[dict[str, Any]] = []
    for row in table:
        cuts = [point.latency_ms for point in row.arm.idle]
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": plain(row.label),
            "x": [point.gap_s for point in row.arm.idle], "y": [one.p50 for one in cuts],
            "line": {"color": row.family.colour, "dash": row.family.dash, "width": 1.6},
            "marker": {"symbol": row.family.marker, "color": row.family.colour, "size": 9},
            "error_y": error_bars(cuts, "p50", row.family.colour),
            "hovertext": [
                f"<b>{plain(row.label)}</b> after {significant(point.gap_s)}{NBSP}s<br>"
                f"{interval_text(point.latency_ms)}, of {point.samples}"
                for point in row.arm.idle
            ],
        })  # fmt: skip
    gaps = sorted({point.gap_s for row in table for point in row.arm.idle})
    tops = [max(one.latency_ms.p50, one.latency_ms.ci95.get("p50", (0, 0))[1]) for row in table for one in row.arm.idle]
    layout = {
        "xaxis": {"title": {"text": "gap before the sample, s"}, **_gaps(gaps)},
        "yaxis": {"title": {"text": "median of the sample after it, ms"}, "range": [0, 1.08 * max(tops)]},
        "height": 330,
    }
    return {"data": data, "layout": layout, "labels": [], "kind": "lines"}


def _gaps(gaps: Sequence[float]) -> dict[str, Any]:
    if gaps[0] <= 0 or gaps[-1] <= gaps[0]:
        return {"range": [0, (gaps[-1] or 1) * 1.1]}
    pad = 0.08 * log10(gaps[-1] / gaps[0])
    span = [log10(gaps[0]) - pad, log10(gaps[-1]) + pad]
    ticks = list(gaps) if len(gaps) <= 6 else log_ticks(*span)
    return {"type": "log", "range": span, "tickvals": ticks, "ticktext": [tick_text(tick) for tick in ticks]}


def idle_lines(bench: Bench) -> list[tuple[Row, list[str]]]:
    """Per arm and gap: gap, median with its interval, 95th percentile, samples, fallbacks."""
    return [
        (row, [f"{significant(point.gap_s)}{NBSP}s", _interval(point.latency_ms.p50, point.latency_ms.ci95.get("p50")),
               significant(point.latency_ms.p95), str(point.samples), str(point.fallbacks)])
        for row in rows(bench) for point in row.arm.idle
    ]  # fmt: skip


def _interval(value: float, ends: tuple[float, float] | None) -> str:
    return f"{significant(value)} ({significant(ends[0])} to {significant(ends[1])})" if ends else significant(value)


@dataclass(frozen=True)
class Run:
    """One scenario as text."""

    scenario: Scenario
    arm: str
    verdict: str
    cells: list[str]


def runs(bench: Bench) -> list[Run]:
    """LoadGen's scenarios: wanted and reached queries per second, median, 99th percentile, accuracy, fallbacks."""
    labels = {row.arm.name: row.label for row in rows(bench)}
    return [
        Run(
            one, labels.get(one.arm, one.arm), "valid" if one.valid else "not valid",
            [
                significant(one.target_qps), significant(one.qps),
                _interval(one.latency_ms.p50, one.latency_ms.ci95.get("p50")) if one.latency_ms else ABSENT,
                _interval(one.latency_ms.p99, one.latency_ms.ci95.get("p99")) if one.latency_ms else ABSENT,
                percent(one.accuracy), f"{one.samples:,}", str(one.fallbacks),
            ],
        )
        for one in bench.scenarios
    ]  # fmt: skip


@dataclass(frozen=True)
class Power:
    """Energy of the arms of a benchmark, or why there is none."""

    lines: list[tuple[Row, list[str]]]
    """Per arm: millijoules per sample, watts, watts idle, samples, sensor."""
    why_not: list[str]


def power(bench: Bench) -> Power:
    """What was measured, and why the rest was not."""
    lines, reasons = [], []
    for row in rows(bench):
        found = row.arm.energy
        if found is None:
            continue
        if found.joules_per_sample is None:
            reasons.append(found.not_measured or "no reason stated")
        else:
            lines.append((row, _energy(found)))
    if not lines and not reasons:
        reasons = ["this benchmark did not ask for it"]
    return Power(lines, list(dict.fromkeys(reasons)))


def _energy(found: Energy) -> list[str]:
    joules = found.joules_per_sample
    return [
        significant(None if joules is None else joules * 1000), significant(found.mean_watts),
        significant(found.idle_watts), f"{found.samples:,}", found.sensor or ABSENT,
    ]  # fmt: skip
