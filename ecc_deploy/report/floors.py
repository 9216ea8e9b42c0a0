"""What a sample that is sent takes, beside the least that it can take on its link: prediction and measurement."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

import numpy as np

from ecc_deploy.bench.schema import Arm, Bench
from ecc_deploy.bench.schema_series import Floor, Quantiles
from ecc_deploy.report.formats import NBSP, fixed, milliseconds, signed
from ecc_deploy.report.latency import STAGE_NAMES, by_arm, stage_name, stages_of, two_lines
from ecc_deploy.report.links import OverLink
from ecc_deploy.report.plots import Figure, log_ticks, plain, tick_text
from ecc_deploy.report.rows import Row, rows
from ecc_deploy.report.statistics import has_whole_raw
from ecc_deploy.runtime.result import Route

PARTS = (
    ("edge_ms", "edge", STAGE_NAMES["edge"][1]),
    ("serialization_ms", "bytes at line rate", "#5f6368"),
    ("rtt_ms", "round trip", STAGE_NAMES["network"][1]),
    ("cloud_ms", "cloud", STAGE_NAMES["cloud_compute"][1]),
)
"""Field of :class:`~ecc_deploy.bench.schema_series.Floor`, its name and colour."""
_WIDTH, _FLOOR_WIDTH = 0.34, 0.2
_FAINT = 0.5
_RATIOS = (0.5, 0.7, 0.8, 0.9, 1, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2, 3, 5, 10, 20, 50, 100)


def sent_stages(arm: Arm) -> dict[str, float]:
    """Mean milliseconds by stage over the samples that the cloud answered; empty where none was, or raw is missing."""
    by_cloud = [route == Route.CLOUD for route in arm.raw.route]
    if not has_whole_raw(arm) or not any(by_cloud):
        return {}
    return {name: float(np.mean(np.asarray(series)[by_cloud])) for name, series in arm.raw.stages_ms.items()}


def sent_breakdown(bench: Bench) -> Figure | None:
    """Two bars per arm: a sent sample's mean milliseconds by stage, and below it the floor with its parts."""
    table = [row for row in rows(bench) if sent_stages(row.arm)]
    if not table:
        return None
    means = [sent_stages(row.arm) for row in table]
    has_floor = any(row.arm.floor for row in table)
    data = [_stage(stage, table, means, has_floor) for stage in stages_of(bench)]
    if has_floor:
        data += [_part(field, name, colour, table) for field, name, colour in PARTS]
    data.append(_medians(table, has_floor))
    data += _notes(table)
    layout = {"title": {"text": "a sample that the cloud answered, ms"}, "rangemode": "tozero"}
    figure = by_arm(data, [two_lines(row) for row in table], layout, "stack", height=52 if has_floor else 40)
    figure["layout"]["headroom"] = 1.12 if has_floor else 1.05
    return figure


def _stage(stage: str, table: Sequence[Row], means: Sequence[dict[str, float]], has_floor: bool) -> dict[str, Any]:
    texts = [
        f"<b>{plain(row.label)}</b>, a sent sample<br>{plain(stage_name(stage))}: {fixed(mean.get(stage, 0), 3)} ms "
        f"of {fixed(mean['total'], 3)} ms, means"
        for row, mean in zip(table, means, strict=True)
    ]
    return {
        "type": "bar", "orientation": "h", "name": plain(stage_name(stage)), "hovertext": texts,
        "y": [_above(place, has_floor) for place in range(len(table))], "x": [mean.get(stage, 0) for mean in means],
        "width": _WIDTH if has_floor else 0.6,
        "marker": {"color": STAGE_NAMES.get(stage, ("", "#c9cccf"))[1]},
    }  # fmt: skip


def _part(field: str, name: str, colour: str, table: Sequence[Row]) -> dict[str, Any]:
    values = [getattr(row.arm.floor, field) if row.arm.floor else 0.0 for row in table]
    texts = [
        f"<b>{plain(row.label)}</b>, the floor<br>{name}: {fixed(value, 3)} ms"
        + (f" of {fixed(row.arm.floor.total_ms, 3)} ms" if row.arm.floor else "")
        for row, value in zip(table, values, strict=True)
    ]
    return {
        "type": "bar", "orientation": "h", "name": f"floor: {name}", "hovertext": texts, "x": values,
        "y": [place + 0.22 for place in range(len(table))], "width": _FLOOR_WIDTH,
        "marker": {"color": colour, "opacity": _FAINT},
    }  # fmt: skip


def _above(place: int, has_floor: bool) -> float:
    return place - 0.1 if has_floor else place


def _medians(table: Sequence[Row], has_floor: bool) -> dict[str, Any]:
    found = [(place, row, row.arm.latency_offloaded_ms) for place, row in enumerate(table)]
    known = [(place, row, cuts) for place, row, cuts in found if cuts is not None]
    return {
        "type": "scatter", "mode": "markers", "name": "measured median, with its 95 % interval",
        "x": [cuts.p50 for _, _, cuts in known], "y": [_above(place, has_floor) for place, _, _ in known],
        "error_x": error_bars([cuts for _, _, cuts in known], "p50", "ink"),
        "marker": {"symbol": "line-ns", "size": 17, "color": "ink", "line": {"width": 2.2, "color": "ink"}},
        "hovertext": [f"<b>{plain(row.label)}</b>, a sent sample<br>{interval_text(cuts)}" for _, row, cuts in known],
    }  # fmt: skip


def _notes(table: Sequence[Row]) -> list[dict[str, Any]]:
    """How far above its floor each arm is, behind the floor's bar."""
    known = [(place, row.arm.floor) for place, row in enumerate(table) if row.arm.floor]
    if not known:
        return []
    return [{
        "type": "scatter", "mode": "text", "showlegend": False,
        "x": [floor.total_ms for _, floor in known], "y": [place + 0.22 for place, _ in known],
        "text": [overhead_text(floor) for _, floor in known],
    }]  # fmt: skip


def overhead_text(floor: Floor) -> str:
    """``+3.1 %``."""
    return f"{signed(floor.overhead_ratio * 100)}{NBSP}%"


def interval_text(cuts: Quantiles, name: str = "p50") -> str:
    """``median 31.2 ms (30.9 to 31.6)``; without the bracket where no interval was computed."""
    title = {"p50": "median", "mean": "mean"}.get(name, name)
    ends = cuts.ci95.get(name)
    around = f" ({fixed(ends[0], 3)} to {fixed(ends[1], 3)})" if ends else ""
    return f"{title} {fixed(getattr(cuts, name), 3)}{NBSP}ms{around}"


def error_bars(series: Sequence[Quantiles], name: str, colour: str) -> dict[str, Any]:
    """Of one percentile of each series; ``None`` where there is no interval."""
    ends = [cuts.ci95.get(name) for cuts in series]
    values = [getattr(cuts, name) for cuts in series]
    return {
        "type": "data", "symmetric": False, "color": colour,
        "array": [end[1] - value if end else None for end, value in zip(ends, values, strict=True)],
        "arrayminus": [value - end[0] if end else None for end, value in zip(ends, values, strict=True)],
    }  # fmt: skip


def predicted(parts: Sequence[OverLink]) -> Figure | None:
    """Measured median of a sent sample over its floor, against the floor, for every arm on every link."""
    known = [
        (part, row, floor)
        for part in parts
        for row in rows(part.bench)
        if (floor := row.arm.floor) is not None and floor.total_ms > 0 and floor.measured_p50_ms > 0
    ]
    if not known:
        return None
    axis = _log_axis([floor.total_ms for _, _, floor in known])
    ratios = [floor.measured_p50_ms / floor.total_ms for _, _, floor in known]
    ends = [10**end for end in axis["range"]]
    data: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "name": name, "x": ends, "y": [ratio, ratio],
            "line": {"color": "muted", "dash": dash, "width": 1.3},
        }
        for name, ratio, dash in (("as predicted", 1.0, "solid"), ("5 % above", 1.05, "dash"))
    ]  # fmt: skip
    for family in dict.fromkeys(row.family for _, row, _ in known):
        own = [found for found in known if found[1].family == family]
        data.append({
            "type": "scatter", "mode": "markers", "name": plain(family.label),
            "x": [floor.total_ms for _, _, floor in own],
            "y": [floor.measured_p50_ms / floor.total_ms for _, _, floor in own],
            "marker": {
                "symbol": family.marker, "color": family.colour, "size": 13 if family.marker == "star" else 10,
                "line": {"width": 1.2, "color": "paper"},
            },
            "error_y": _ratio_bars([(row.arm.latency_offloaded_ms, floor) for _, row, floor in own], family.colour),
            "hovertext": [
                f"<b>{plain(row.label)}</b>, {plain(part.title)}<br>predicted at least {milliseconds(floor.total_ms)}"
                f"<br>measured {milliseconds(floor.measured_p50_ms)}: {signed(floor.overhead_ratio * 100)} %"
                for part, row, floor in own
            ],
        })  # fmt: skip
    tops = [
        cuts.ci95.get("p50", (0.0, 0.0))[1] / floor.total_ms
        for _, row, floor in known
        if (cuts := row.arm.latency_offloaded_ms) is not None
    ]
    span = [log10(min(0.97, *ratios)) - 0.01, log10(max(1.1, *ratios, *tops)) * 1.1]
    ticks = [ratio for ratio in _RATIOS if span[0] <= log10(ratio) <= span[1]]
    layout = {
        "xaxis": {**axis, "title": {"text": "predicted: the floor of a sent sample, ms (log scale)"}},
        "yaxis": {
            "type": "log", "range": span, "tickvals": ticks, "ticktext": [_over(ratio) for ratio in ticks],
            "title": {"text": "measured median over the floor (log scale)"},
        },
        "height": 400,
    }  # fmt: skip
    return {"data": data, "layout": layout, "labels": _link_labels(parts, known), "kind": "lines"}


def _over(ratio: float) -> str:
    return f"×{ratio:g}" if ratio >= 2 else f"{signed((ratio - 1) * 100, 0)}{NBSP}%"


def _log_axis(values: Sequence[float]) -> dict[str, Any]:
    low, high = log10(min(values)), log10(max(values))
    pad = max(0.08 * (high - low), 0.05)
    ticks = log_ticks(low - pad, high + pad)
    return {
        "type": "log", "range": [low - pad, high + pad], "tickvals": ticks,
        "ticktext": [tick_text(tick) for tick in ticks],
    }  # fmt: skip


def _ratio_bars(found: Sequence[tuple[Quantiles | None, Floor]], colour: str) -> dict[str, Any]:
    ends = [(cuts.ci95.get("p50") if cuts else None, floor) for cuts, floor in found]
    return {
        "type": "data", "symmetric": False, "color": colour,
        "array": [(end[1] - floor.measured_p50_ms) / floor.total_ms if end else None for end, floor in ends],
        "arrayminus": [(floor.measured_p50_ms - end[0]) / floor.total_ms if end else None for end, floor in ends],
    }  # fmt: skip


def _link_labels(parts: Sequence[OverLink], known: Sequence[tuple[OverLink, Row, Floor]]) -> list[dict[str, Any]]:
    """The name of each link beside its arm that is furthest above its floor."""
    labels = []
    for part in parts:
        own = [floor for found, _, floor in known if found is part]
        if own and len(parts) > 1:
            top = max(own, key=lambda floor: floor.overhead_ratio)
            y = top.measured_p50_ms / top.total_ms
            labels.append({"x": top.total_ms, "y": y, "text": plain(part.title), "weight": 2})
    return labels


def lines(bench: Bench) -> list[tuple[Row, list[str], str, str]]:
    """Per arm with a floor: its parts and sum, what was measured with its interval, and the overhead, as text."""
    found = []
    for row in rows(bench):
        floor, cuts = row.arm.floor, row.arm.latency_offloaded_ms
        if floor is None:
            continue
        parts = [fixed(getattr(floor, field), 3) for field, _, _ in PARTS]
        ends = cuts.ci95.get("p50") if cuts else None
        measured = fixed(floor.measured_p50_ms, 3) + (f" ({fixed(ends[0], 3)} to {fixed(ends[1], 3)})" if ends else "")
        found.append((row, [*parts, fixed(floor.total_ms, 3)], measured, overhead_text(floor)))
    return found
