"""The latency plots: where the time goes, and how it is distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.stats import PERCENTILE_METHOD
from ecc_deploy.report.formats import fixed, percent
from ecc_deploy.report.plots import LOG_ABOVE, Figure, log_ticks, plain, tick_text
from ecc_deploy.report.rows import Row, representatives, rows
from ecc_deploy.report.statistics import has_whole_raw
from ecc_deploy.runtime.result import STAGES, Reason, Route

STAGE_NAMES = {
    "edge": ("edge compute", "#c98b2b"),
    "encode": ("encode", "#e8c987"),
    "network": ("network", "#8c8f94"),
    "server_queue": ("server queue", "#b9a3d6"),
    "cloud_decode": ("cloud decode", "#8fb8dc"),
    "cloud_compute": ("cloud compute", "#3f79ad"),
    "fallback": ("fallback", "#a8443a"),
    "other": ("other", "#c9cccf"),
}
"""Title and colour of each stage of :data:`~ecc_deploy.runtime.result.STAGES`: edge warm, network grey, cloud cool."""
BY_CLOUD = "by the cloud"
_UNKNOWN = "#c9cccf"
_ECDF_POINTS = 120


def stages_of(bench: Bench) -> list[str]:
    """The stages that took time in some arm, in the order in which they happen."""
    known = [*STAGES, *(stage for arm in bench.arms for stage in arm.stages_mean_ms if stage not in STAGES)]
    return [
        stage
        for stage in dict.fromkeys(known)
        if stage != "total" and any(arm.stages_mean_ms.get(stage, 0) > 0 for arm in bench.arms)
    ]


def stage_name(stage: str) -> str:
    return STAGE_NAMES.get(stage, (stage, _UNKNOWN))[0]


@dataclass(frozen=True)
class Answered:
    """The latencies of one arm's samples that one side answered, in milliseconds; ``share`` of the arm's samples."""

    row: Row
    name: str
    count: int
    share: float
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float
    p99: float


def answerers(bench: Bench) -> list[Answered]:
    """By arm, then edge, cloud and fallback, where there are any; percentiles as those of the benchmark."""
    fallbacks = {reason.value for reason in Reason if reason.is_fallback}
    found = []
    for row in rows(bench):
        if not has_whole_raw(row.arm):
            continue
        total = np.asarray(row.arm.raw.stages_ms["total"])
        by_cloud = np.asarray([route == Route.CLOUD for route in row.arm.raw.route])
        fell_back = np.asarray([reason in fallbacks for reason in row.arm.raw.reason]) & ~by_cloud
        groups = (("by the edge", ~by_cloud & ~fell_back), (BY_CLOUD, by_cloud), ("fell back", fell_back))
        for name, mask in groups:
            if mask.any():
                cuts = np.percentile(total[mask], (5, 25, 50, 75, 95, 99), method=PERCENTILE_METHOD)
                found.append(Answered(row, name, int(mask.sum()), float(mask.mean()), *map(float, cuts)))
    return found


def breakdown(bench: Bench) -> Figure:
    """One bar per arm: mean milliseconds by stage, stacked; a tick at the median of the whole."""
    table = rows(bench)
    places = list(range(len(table)))
    data: list[dict[str, Any]] = [
        {
            "type": "bar", "orientation": "h", "name": plain(stage_name(stage)), "y": places,
            "x": [row.arm.stages_mean_ms.get(stage, 0) for row in table],
            "marker": {"color": STAGE_NAMES.get(stage, ("", _UNKNOWN))[1], "line": {"width": 0.8, "color": "paper"}},
            "hoverinfo": "text", "textposition": "none",
            "hovertext": [
                f"<b>{plain(row.label)}</b><br>{plain(stage_name(stage))}: "
                f"{fixed(row.arm.stages_mean_ms.get(stage, 0), 3)} ms of {fixed(row.arm.latency_ms.mean, 3)} ms"
                for row in table
            ],
        }
        for stage in stages_of(bench)
    ]  # fmt: skip
    data.append({
        "type": "scatter", "mode": "markers", "name": "median of the total", "y": places,
        "x": [row.arm.latency_ms.p50 for row in table],
        "marker": {"symbol": "line-ns-open", "size": 17, "color": "ink", "line": {"width": 2.2, "color": "ink"}},
        "hoverinfo": "text",
        "hovertext": [f"<b>{plain(row.label)}</b><br>median {fixed(row.arm.latency_ms.p50, 3)} ms" for row in table],
    })  # fmt: skip
    names = [two_lines(row) for row in table]
    return by_arm(data, names, {"title": {"text": "mean latency, ms"}, "rangemode": "tozero"}, "stack")


def distribution(bench: Bench) -> Figure | None:
    """One box per arm and answerer: quartiles, whiskers from the 5th to the 95th percentile, a dot at the 99th."""
    data: list[dict[str, Any]] = []
    ends: list[float] = []
    names: list[str] = []
    for place, group in enumerate(answerers(bench)):
        names.append(f"{plain(group.row.label)}<br>{group.name}")
        ends += [group.p5, group.p99]
        colour = group.row.family.colour
        hover = (
            f"<b>{plain(group.row.label)}</b>, {group.name}<br>{percent(group.share)} of the samples "
            f"({group.count:,})<br>median {fixed(group.p50, 3)} ms, p95 {fixed(group.p95, 3)} ms, "
            f"p99 {fixed(group.p99, 3)} ms"
        )
        data.append({
            "type": "box", "orientation": "h", "y": [place], "q1": [group.p25], "median": [group.p50],
            "q3": [group.p75], "lowerfence": [group.p5], "upperfence": [group.p95], "width": 0.55,
            "fillcolor": f"{colour}66" if group.name == BY_CLOUD else "rgba(0,0,0,0)",
            "line": {"color": colour, "width": 1.6}, "hoverinfo": "skip", "showlegend": False,
        })  # fmt: skip
        data.append({
            "type": "scatter", "mode": "markers", "x": [group.p99, group.p50], "y": [place, place],
            "marker": {"size": [6, 14], "color": colour, "opacity": [1, 0]}, "showlegend": False,
            "hoverinfo": "text", "hovertext": [hover, hover],
        })  # fmt: skip
    if not data:
        return None
    return by_arm(data, names, {"title": {"text": "latency, ms"}, **_scale(ends)}, "overlay")


def cumulative(bench: Bench) -> Figure | None:
    """Share of the samples that were answered within a time: a line per arm, those of the representatives in front."""
    table = rows(bench)
    chosen = {id(row.arm) for row in representatives(table, bench)}
    data, ends = [], []
    for row in sorted(table, key=lambda row: id(row.arm) in chosen):
        if not has_whole_raw(row.arm):
            continue
        is_chosen = id(row.arm) in chosen
        points = min(_ECDF_POINTS if is_chosen else _ECDF_POINTS // 3, row.arm.samples)
        shares = np.linspace(0, 1, points + 1)  # from 0, at the fastest sample
        series = np.percentile(row.arm.raw.stages_ms["total"], shares * 100, method="inverted_cdf")
        ends += [float(series[0]), float(np.percentile(series, 99))]
        data.append({
            "type": "scatter", "mode": "lines", "name": plain(row.label), "showlegend": is_chosen,
            "x": [round(float(x), 6) for x in series], "y": [round(float(share) * 100, 3) for share in shares],
            "line": {"color": row.family.colour, "dash": row.family.dash, "width": 2 if is_chosen else 1,
                     "shape": "hv", "opacity": 1 if is_chosen else 0.4},
            "hovertemplate": f"<b>{plain(row.label)}</b><br>%{{y}} % within %{{x}} ms",
        })  # fmt: skip
    if not data:
        return None
    layout = {
        "xaxis": {"title": {"text": "latency, ms"}, **_scale(ends, is_cut=True)},
        "yaxis": {"title": {"text": "answered within, % of samples"}, "range": [0, 102]},
    }
    return {"data": data, "layout": layout, "labels": [], "kind": "lines"}


def two_lines(row: Row) -> str:
    """The arm's name for the axis: the codec below the family, so that a phone has room for the plot."""
    family, _, rest = row.label.partition(" · ")
    return f"{plain(family)}<br>{plain(rest)}" if rest else plain(family)


def _scale(ends: Sequence[float], *, is_cut: bool = False) -> dict[str, Any]:
    """Logarithmic above a span of ``LOG_ABOVE`` times; ``is_cut``: tails may run off the right."""
    low, high = min(ends), max(ends)
    if low > 0 and high / low > LOG_ABOVE:
        span = float(np.log10(high / low))
        start, end = float(np.log10(low)) - 0.03 * span, float(np.log10(high)) + 0.04 * span
        ticks = log_ticks(start, end)
        return {
            "type": "log",
            "range": [start, end],
            "tickvals": ticks,
            "ticktext": [tick_text(tick) for tick in ticks],
        }
    return {"range": [0, (high or 1) * 1.04]} if is_cut or low >= 0 else {}


def by_arm(
    data: list[dict[str, Any]], names: list[str], axis: dict[str, Any], barmode: str, height: int = 40
) -> Figure:
    """Rows are numbered, not named, on the axis: two equal names would become one row."""
    layout = {
        "barmode": barmode,
        "bargap": 0.35,
        "xaxis": axis,
        "yaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [len(names) - 0.5, -0.5],
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        "height": 70 + height * len(names),
    }
    return {"data": data, "layout": layout, "labels": [], "kind": "bars"}
