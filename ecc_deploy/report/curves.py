"""The plots of an evaluation, as figures in plain data: accuracy against bytes and MACs, recall against rate.

Nothing is told by colour alone: every curve has its own dash and marker, so that the plots hold in black and white.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log10
from typing import Any

from ecc_deploy.evaluation.result import Curve, Evaluation, Row
from ecc_deploy.report.curve_styles import BY_ARCHITECTURE, GATES, UNKNOWN, style_of
from ecc_deploy.report.families import FAMILIES
from ecc_deploy.report.formats import NBSP, count_bytes, count_macs, percent, unit_of
from ecc_deploy.report.plots import Figure, log_ticks, plain, tick_text
from ecc_deploy.report.statistics import wilson

_HEIGHT = 560
_MARKED = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Wanted rates at which a curve carries a marker."""
_FIRST_RATE = 0.01
"""The logarithmic axis begins where the cheapest curve sends this share; what is left of it is next to edge-only."""


def against_bytes(evaluation: Evaluation) -> Figure:
    """Accuracy in percent against payload bytes per sample, on a logarithmic axis."""
    curves = _shown(evaluation)
    points = [row for row in evaluation.rows if row.architecture in ("cloud-only", "adaptive")]
    smallest = [
        size
        for curve in curves
        for size, rate in zip(curve.payload_bytes, curve.wanted_rate, strict=True)
        if rate >= _FIRST_RATE and size > 0
    ]
    sizes = [*smallest, *(row.payload_bytes for row in points if row.payload_bytes > 0)]
    low, high = min(sizes, default=1.0), max(sizes, default=10.0)
    ticks = log_ticks(log10(low), log10(high))
    span = [low / 1.15, high * 1.3]
    data = [
        *_lines(evaluation, span),
        *[one for curve in curves for one in _curve(curve, curves, lambda one: one.payload_bytes, count_bytes)],
        *_markers(points, lambda row: row.payload_bytes, count_bytes, evaluation.samples),
    ]
    axis = {
        "title": {"text": "payload, bytes per sample, mean over all samples (log scale)"}, "type": "log",
        "range": [log10(edge) for edge in span], "tickvals": ticks, "ticktext": [tick_text(tick) for tick in ticks],
        "zeroline": False,
    }  # fmt: skip
    return _figure(data, axis, evaluation, [_label(row, row.payload_bytes) for row in points])


def against_macs(evaluation: Evaluation) -> Figure:
    """Accuracy in percent against cloud MACs per sample. Codecs without loss share one curve."""
    curves = _shown(evaluation)
    merged: dict[tuple, Curve] = {}
    for curve in curves:
        merged.setdefault((curve.architecture, curve.accuracy, curve.cloud_macs), curve)
    points = [row for row in evaluation.rows if row.architecture == "adaptive"]
    largest = max((row.cloud_macs for row in evaluation.rows), default=0.0)
    scale, unit = unit_of(largest) if largest else (1.0, "")
    span = [-0.02 * largest / scale, 1.05 * largest / scale]

    def text(value: float) -> str:
        return count_macs(value * scale)

    data = [
        *_lines(evaluation, span),
        *[
            one
            for curve in merged.values()
            for one in _curve(curve, curves, lambda one: [macs / scale for macs in one.cloud_macs], text)
        ],
        *_markers(points, lambda row: row.cloud_macs / scale, text, evaluation.samples),
    ]  # fmt: skip
    title = f"cloud computation, {unit}{NBSP if unit else ''}MACs per sample, mean over all samples"
    axis = {"title": {"text": title}, "range": span, "zeroline": False}
    return _figure(data, axis, evaluation, [_label(row, row.cloud_macs / scale) for row in points])


def against_rate(evaluation: Evaluation) -> Figure | None:
    """Recall of what sending corrects, in percent, against offload rate, for every gate; None without a recall."""
    known = [recall.architecture for recall in evaluation.recalls]
    if not known:
        return None
    architecture = "dynamic" if "dynamic" in known else known[0]
    ends = [0, 100]
    data: list[dict[str, Any]] = [_line("at random (area 0.500)", ends, ends, "longdash", "muted", 1.2)]
    for recall in evaluation.recalls:
        if recall.architecture == architecture:
            dash, symbol, colour = GATES.get(recall.gate, UNKNOWN)
            x, y = ([100 * value for value in series] for series in (recall.offload_rate, recall.recall))
            data += _with_legend({
                "type": "scatter", "mode": "lines+markers", "name": f"{recall.gate} (area {recall.area:.3f})",
                "x": x, "y": y, "line": {"dash": dash, "color": colour, "width": 2},
                "marker": {"symbol": symbol, "color": colour, "size": _sizes(recall.offload_rate)},
                "hoverinfo": "text",
                "hovertext": [
                    f"<b>{plain(recall.gate)}</b><br>sends {percent(rate)}<br>of what sending corrects {percent(value)}"
                    for rate, value in zip(recall.offload_rate, recall.recall, strict=True)
                ],
            })  # fmt: skip
    layout = {
        "xaxis": {"title": {"text": "samples sent, % of all"}, "range": [-2, 102], "zeroline": False},
        "yaxis": {"title": {"text": "of those that sending corrects, % sent"}, "range": [-2, 103], "zeroline": False},
        "height": _HEIGHT,
    }
    return {"data": data, "layout": layout, "labels": [], "kind": "curves"}


def _shown(evaluation: Evaluation) -> list[Curve]:
    """ECC-D last, so that it is drawn on top."""
    chosen = [curve for curve in evaluation.curves if curve.gate == evaluation.gate]
    return sorted(chosen, key=lambda curve: curve.architecture == "dynamic")


def _lines(evaluation: Evaluation, span: Sequence[float]) -> list[dict[str, Any]]:
    """Edge-only and cloud-only on untouched images, across the plot."""
    edge = evaluation.row("edge-only")
    lines = [(BY_ARCHITECTURE["edge-only"], edge.accuracy)]
    lines += [(BY_ARCHITECTURE["cloud-only"], edge.accuracy / edge.of_cloud)] if edge.of_cloud else []
    return [
        _line(f"{family.label}, {percent(value, 2)}", span, [100 * value] * 2, family.dash, family.colour, 1.6)
        for family, value in lines
    ]


def _line(name: str, x: Sequence[float], y: Sequence[float], dash: str, colour: str, width: float) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": name, "x": list(x), "y": list(y), "hoverinfo": "skip",
        "line": {"dash": dash, "color": colour, "width": width},
    }  # fmt: skip


def _curve(
    curve: Curve, every: Sequence[Curve], of: Callable[[Curve], Sequence[float]], text: Callable[[float], str]
) -> list[dict[str, Any]]:
    dash, symbol, colour, width = style_of(curve, every)
    family = BY_ARCHITECTURE[curve.architecture]
    same = [
        other.codec
        for other in every
        if (other.architecture, other.accuracy, of(other)) == (curve.architecture, curve.accuracy, of(curve))
    ]
    codecs = f" · {', '.join(dict.fromkeys(same))}" if curve.architecture != "dynamic" else ""
    name = plain(f"{family.label}{codecs}")
    points = zip(curve.accuracy, of(curve), curve.offload_rate, strict=True)
    return _with_legend({
        "type": "scatter", "mode": "lines+markers", "name": name,
        "x": list(of(curve)), "y": [100 * value for value in curve.accuracy],
        "line": {"dash": dash, "color": colour, "width": width},
        "marker": {"symbol": symbol, "color": colour, "size": _sizes(curve.wanted_rate, 11 if width > 2 else 8)},
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{name}</b><br>{percent(accuracy, 2)}<br>{text(cost)}<br>sends {percent(rate)}"
            for accuracy, cost, rate in points
        ],
    })  # fmt: skip


def _with_legend(trace: dict[str, Any]) -> list[dict[str, Any]]:
    """The trace, and one without points for the legend, which else shows markers in the mean of their sizes."""
    key = {name: trace[name] for name in ("type", "mode", "name", "line")}
    key |= {"x": [None], "y": [None], "marker": {**trace["marker"], "size": max(trace["marker"]["size"])}}
    return [{**trace, "showlegend": False, "legendgroup": trace["name"]}, {**key, "legendgroup": trace["name"]}]


def _sizes(rates: Sequence[float], size: int = 8) -> list[int]:
    return [size if rate in _MARKED else 0 for rate in rates]


def _markers(
    rows: Sequence[Row], of: Callable[[Row], float], text: Callable[[float], str], samples: int
) -> list[dict[str, Any]]:
    """What sends every sample, with Wilson's 95 % intervals."""
    traces = []
    for family in FAMILIES:
        members = [row for row in rows if row.architecture == family.architecture]
        if not members:
            continue
        spans = [wilson(row.accuracy * samples, samples) for row in members]
        traces.append({
            "type": "scatter", "mode": "markers", "name": f"{family.label}, every sample sent",
            "x": [of(row) for row in members], "y": [100 * row.accuracy for row in members],
            "error_y": {
                "type": "data", "symmetric": False, "color": f"{family.colour}99", "thickness": 1.3, "width": 3,
                "array": [100 * (span.high - row.accuracy) for row, span in zip(members, spans, strict=True)],
                "arrayminus": [100 * (row.accuracy - span.low) for row, span in zip(members, spans, strict=True)],
            },
            "marker": {"symbol": family.marker, "color": family.colour, "size": 9},
            "hoverinfo": "text",
            "hovertext": [
                f"<b>{plain(row.name)}</b><br>{percent(row.accuracy, 2)}<br>{text(of(row))}" for row in members
            ],
        })  # fmt: skip
    return traces


def _label(row: Row, x: float) -> dict[str, Any]:
    """Its codec for cloud-only, its name for the others, where there is room."""
    text = row.codec if row.architecture == "cloud-only" else row.name.replace("adaptive", "ECC-A")
    return {
        "x": x,
        "y": 100 * row.accuracy,
        "text": plain(text or row.name),
        "weight": int(row.architecture != "cloud-only"),
    }


def _figure(
    data: list[dict[str, Any]], axis: dict[str, Any], evaluation: Evaluation, labels: list[dict[str, Any]]
) -> Figure:
    """From a little below edge-only to the best; what falls far below edge-only is of no use to anybody."""
    best = 100 * max(max(curve.accuracy) for curve in evaluation.curves)
    best = max([best, *(100 * row.accuracy for row in evaluation.rows)])
    edge = 100 * evaluation.row("edge-only").accuracy
    gap = max(best - edge, 0.5)
    low, high = edge - 0.4 * gap, best + 0.15 * gap
    layout = {"xaxis": axis, "yaxis": {"title": {"text": "accuracy, %"}, "range": [low, high]}, "height": _HEIGHT}
    return {
        "data": data,
        "layout": layout,
        "labels": [one for one in labels if low < one["y"] < high],
        "kind": "curves",
    }
