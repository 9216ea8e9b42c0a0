"""What the page shows, as plain data for the template."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report import facts
from ecc_deploy.report.cautions import cautions
from ecc_deploy.report.columns import Column, columns
from ecc_deploy.report.findings import summarise
from ecc_deploy.report.formats import ABSENT, count_bytes, count_macs, fixed, milliseconds, percent, signed
from ecc_deploy.report.latency import answerers, breakdown, cumulative, distribution, stage_name, stages_of
from ecc_deploy.report.plots import Figure, accuracy_against, costs
from ecc_deploy.report.rows import EQUAL_POINTS, Row, representatives, rows

_CAPTIONS = {
    "bytes": ("Accuracy and payload", "What is sent, mean over all samples; a sample that the edge answers sends 0."),
    "macs": ("Accuracy and cloud computation", "Multiply-accumulates in the cloud, mean over all samples."),
    "latency": ("Accuracy and latency", "Median of the end-to-end latency over all samples."),
}


def page(benches: Sequence[Bench]) -> dict[str, Any]:
    """The whole page; ``figures`` by the id of the element that they are drawn in."""
    figures: dict[str, Figure] = {}
    many = len(benches) > 1
    sections = [_section(bench, number, figures, many) for number, bench in enumerate(benches)]
    overlay = _scatters(benches, "all", figures) if many else []
    names = dict.fromkeys(name for section in sections for name in section["family_names"])
    families = {row.family.label: row.family for bench in benches for row in rows(bench)}
    return {
        "title": _title(benches),
        "sections": sections,
        "overlay": overlay,
        "families": [families[name] for name in names],
        "environments": facts.compared(benches, "environment") if many else [],
        "settings_compared": facts.compared(benches, "settings") if many else [],
        "bundles_compared": facts.compared(benches, "bundle") if many else [],
        "equal_points": f"{EQUAL_POINTS:g}",
        "figures": figures,
        "absent": ABSENT,
    }


def _title(benches: Sequence[Bench]) -> str:
    names = dict.fromkeys(_name(bench) for bench in benches)
    return ", ".join(names) if len(names) <= 3 else f"{len(benches)} benchmarks"


def _name(bench: Bench) -> str:
    return str(bench.bundle.get("name") or "unnamed bundle")


def _section(bench: Bench, number: int, figures: dict[str, Figure], many: bool) -> dict[str, Any]:
    table = rows(bench)
    shown = columns(table)
    summary = summarise(bench)
    letter = chr(ord("A") + number % 26) if many else ""
    return {
        "id": f"bench-{number}",
        "letter": letter,
        "name": _name(bench),
        "about": _about(bench),
        "headline": summary.headline,
        "lead_label": summary.row.label,
        "findings": summary.findings,
        "cautions": cautions(bench),
        "glance": _glance(representatives(table, bench), summary.row),
        "family_names": list(dict.fromkeys(row.family.label for row in table)),
        "groups": _groups(shown),
        "columns": shown,
        "table": [
            {"row": row, "cells": [_cell(column, row) for column in shown], "is_lead": row.arm is summary.row.arm}
            for row in table
        ],
        "scatters": _scatters([bench], f"b{number}", figures),
        "breakdown": _add(figures, f"b{number}-breakdown", breakdown(bench)),
        "distribution": _add(figures, f"b{number}-distribution", distribution(bench)),
        "cumulative": _add(figures, f"b{number}-cumulative", cumulative(bench)),
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
        "guards": facts.guards(bench),
        "largest_drop": fixed(facts.largest_drop(bench), 2),
        "halves": facts.halves(bench),
        "bundle": facts.bundle_facts(bench),
        "settings": facts.settings(bench),
        "environment": facts.environment(bench),
        "has_wire": any(row.arm.wire_up_bytes_per_sample is not None for row in table),
    }  # fmt: skip


def _about(bench: Bench) -> list[tuple[str, str]]:
    found = [
        ("data", _stated(bench.bundle.get("dataset"))),
        ("samples per arm", f"{max(arm.samples for arm in bench.arms):,}"),
        ("link", _stated(bench.settings.get("link"))),
        ("measured", bench.created),
        ("CPU", _stated(bench.environment.get("cpu"))),
    ]
    return [(name, text) for name, text in found if text != ABSENT]


def _stated(value: Any) -> str:
    return str(value) if value not in (None, "", "unknown") else ABSENT


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


def _scatters(benches: Sequence[Bench], prefix: str, figures: dict[str, Figure]) -> list[dict[str, str]]:
    made = []
    for cost in costs(benches):
        title, caption = _CAPTIONS[cost.key]
        identity = _add(figures, f"{prefix}-{cost.key}", accuracy_against(cost, benches))
        made.append({"id": identity or "", "title": title, "caption": caption})
    return made


def _add(figures: dict[str, Figure], identity: str, figure: Figure | None) -> str | None:
    if figure is None:
        return None
    figures[identity] = figure
    return identity


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
