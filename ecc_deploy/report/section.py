"""What the page shows of one benchmark over one link, as plain data for the template."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report import facts, floors, links, series
from ecc_deploy.report.cautions import cautions
from ecc_deploy.report.columns import Column, columns
from ecc_deploy.report.findings import summarise
from ecc_deploy.report.formats import count_bytes, count_macs, fixed, milliseconds, percent, signed
from ecc_deploy.report.latency import answerers, breakdown, cumulative, distribution, stage_name, stages_of
from ecc_deploy.report.links import OverLink
from ecc_deploy.report.overview import sentence
from ecc_deploy.report.plots import Figure, accuracy_against, costs
from ecc_deploy.report.rows import Row, representatives, rows

_CAPTIONS = {
    "bytes": ("Accuracy and payload", "What is sent, mean over all samples; a sample that the edge answers sends 0."),
    "macs": ("Accuracy and cloud computation", "Multiply-accumulates in the cloud, mean over all samples."),
    "latency": ("Accuracy and latency", "Median of the end-to-end latency over all samples."),
}


class Figures(dict[str, Figure]):
    """Figures by the id of the element that they are drawn in."""

    def put(self, identity: str, figure: Figure | None) -> str | None:
        """Add a figure; its id, or ``None`` where there is none."""
        if figure is None:
            return None
        self[identity] = figure
        return identity


def section(part: OverLink, prefix: str, figures: Figures) -> dict[str, Any]:
    """One view. Ids of its figures begin with ``prefix``; they are added to ``figures``."""
    bench = part.bench
    table = rows(bench)
    shown = columns(table)
    summary = summarise(bench)
    return {
        "link": None if part.link is None else _link(part),
        "headline": _marked(sentence(part) if part.link else summary.headline, summary.row.label),
        "summary": summary.headline if part.link else "",
        "lead_label": summary.row.label,
        "findings": summary.findings,
        "cautions": [*links.cautions(part.link), *cautions(bench)],
        "glance": _glance(representatives(table, bench), summary.row),
        "groups": _groups(shown),
        "columns": shown,
        "table": [
            {"row": row, "cells": [_cell(column, row) for column in shown], "is_lead": row.arm is summary.row.arm}
            for row in table
        ],
        "scatters": scatters([bench], prefix, figures),
        "breakdown": figures.put(f"{prefix}-breakdown", breakdown(bench)),
        "sent": figures.put(f"{prefix}-sent", floors.sent_breakdown(bench)),
        "floor_lines": floors.lines(bench),
        "distribution": figures.put(f"{prefix}-distribution", distribution(bench)),
        "cumulative": figures.put(f"{prefix}-cumulative", cumulative(bench)),
        "cold": figures.put(f"{prefix}-cold", series.cold(bench)),
        "cold_lines": series.cold_lines(bench),
        "cold_names": [name for _, name, _ in series.COLD],
        "idle": figures.put(f"{prefix}-idle", series.idle(bench)),
        "idle_lines": series.idle_lines(bench),
        "runs": series.runs(bench),
        "power": series.power(bench),
        "stages": [stage_name(stage) for stage in stages_of(bench)],
        "stage_rows": [
            (row, [fixed(row.arm.stages_mean_ms.get(stage), 3) for stage in stages_of(bench)],
             fixed(row.arm.latency_ms.mean, 3), fixed(row.arm.latency_ms.p50, 3))
            for row in table
        ],
        "answerers": [
            (group, f"{group.count:,}", percent(group.share),
             [fixed(cut, 3) for cut in (group.p5, group.p25, group.p50, group.p75, group.p95, group.p99)])
            for group in answerers(bench)
        ],
        "has_wire": any(row.arm.wire_up_bytes_per_sample is not None for row in table),
        "has_intervals": any(row.arm.latency_ms.ci95 for row in table),
    }  # fmt: skip


def _link(part: OverLink) -> dict[str, Any]:
    assert part.link is not None
    return {"facts": part.link, "described": links.described(part.link), "checks": links.checks(part.link)}


def _marked(text: str, label: str) -> tuple[str, str, str]:
    """``text`` around its first mention of ``label``."""
    before, found, after = text.partition(label)
    return before, found, after


def device(bench: Bench) -> dict[str, Any]:
    """What is said once per benchmark, whatever the link."""
    return {
        "guards": facts.guards(bench),
        "largest_drop": fixed(facts.largest_drop(bench), 2),
        "halves": facts.halves(bench),
        "bundle": facts.bundle_facts(bench),
        "settings": facts.settings(bench),
        "environment": facts.environment(bench),
        "conditions": facts.conditions(bench),
    }


def scatters(benches: Sequence[Bench], prefix: str, figures: Figures) -> list[dict[str, str]]:
    """Accuracy against each cost, the benchmarks laid over each other."""
    made = []
    for cost in costs(benches):
        title, caption = _CAPTIONS[cost.key]
        identity = figures.put(f"{prefix}-{cost.key}", accuracy_against(cost, benches))
        made.append({"id": identity or "", "title": title, "caption": caption})
    return made


def _cell(column: Column, row: Row) -> dict[str, Any]:
    value = column.value(row)
    return {
        "text": column.text(row),
        "note": column.note(row),
        "value": "" if value is None or not isfinite(value) else repr(float(value)),
        "key": column.key,
    }


def _groups(shown: Sequence[Column]) -> list[tuple[str, int]]:
    names = dict.fromkeys(column.group for column in shown)
    return [(name, sum(column.group == name for column in shown)) for name in names]


def _glance(chosen: Sequence[Row], lead: Row) -> list[dict[str, Any]]:
    """One line per family; bars are shares of the largest value, 0 to 100, the accuracy a point with its interval."""
    most_latency = max(row.arm.latency_ms.p50 for row in chosen)
    most_bytes = max(row.arm.payload_bytes_per_sample for row in chosen)
    most_macs = max(row.arm.cloud_macs_per_sample for row in chosen)
    low = min(row.interval.low for row in chosen)
    span = max(row.interval.high for row in chosen) - low

    def place(share: float) -> float:
        return round(100 * (share - low) / span, 2) if span > 0 else 50.0

    return [
        {
            "row": row,
            "is_lead": row.arm is lead.arm,
            "codec": row.arm.codec or "",
            "accuracy": percent(row.arm.accuracy),
            "vs_cloud": "" if row.vs_cloud is None else f"{signed(row.vs_cloud * 100)} points",
            "low": place(row.interval.low),
            "at": place(row.arm.accuracy),
            "high": place(row.interval.high),
            "latency": milliseconds(row.arm.latency_ms.p50),
            "p95": milliseconds(row.arm.latency_ms.p95),
            "latency_bar": _bar(row.arm.latency_ms.p50, most_latency),
            "bytes": count_bytes(row.arm.payload_bytes_per_sample),
            "bytes_bar": _bar(row.arm.payload_bytes_per_sample, most_bytes),
            "macs": count_macs(row.arm.cloud_macs_per_sample),
            "macs_bar": _bar(row.arm.cloud_macs_per_sample, most_macs),
            "edge_macs": count_macs(row.arm.edge_macs_per_sample),
            "offload": percent(row.arm.offload_rate, 0),
        }
        for row in chosen
    ]


def _bar(value: float, largest: float) -> float:
    share = 100 * value / largest if largest > 0 else 0.0
    return round(share, 2) if isfinite(share) else 0.0
