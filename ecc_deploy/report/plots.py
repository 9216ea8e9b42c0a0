"""The plots, as figures in plain data that the page draws. Colours of text and paper are the page's business."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report.formats import NBSP, fixed, percent, significant, unit_of
from ecc_deploy.report.rows import Row, references, rows
from ecc_deploy.report.statistics import pareto_front

Figure = dict[str, Any]
"""In the part of plotly's vocabulary that ``assets/chart.js`` knows: ``data`` are traces, ``layout`` has the axes;
beside them ``labels``, texts that the page places where they cover nothing, and ``kind``."""

_VARIANTS = ("", "-open", "-dot", "-open-dot")
_DASHES = ("solid", "dash", "dot", "dashdot")
_LONGEST = 60
_SHORT = 0.7  # decades
LOG_ABOVE = 20
"""Latencies that span more than so many times are shown on a logarithmic axis."""


@dataclass(frozen=True)
class Cost:
    """What accuracy is plotted against."""

    key: str
    title: str
    of: Callable[[Row], float]
    text: Callable[[float], str]
    is_log: bool


def costs(benches: Sequence[Bench]) -> list[Cost]:
    """The three of them; MACs in the decimal unit that suits the largest."""
    largest = max(arm.cloud_macs_per_sample for bench in benches for arm in bench.arms)
    scale, unit = unit_of(largest) if isfinite(largest) else (1.0, "")
    latencies = [arm.latency_ms.p50 for bench in benches for arm in bench.arms]
    return [
        Cost(
            "bytes", "payload, bytes per sample", lambda row: row.arm.payload_bytes_per_sample,
            lambda x: f"{significant(x)}{NBSP}B", is_log=True,
        ),
        Cost(
            "macs", f"cloud computation, {unit}{NBSP if unit else ''}MACs per sample",
            lambda row: row.arm.cloud_macs_per_sample / scale,
            lambda x: f"{significant(x)}{NBSP}{unit}{NBSP if unit else ''}MACs", is_log=False,
        ),
        Cost(
            "latency", "median latency, ms", lambda row: row.arm.latency_ms.p50,
            lambda x: f"{significant(x)}{NBSP}ms", is_log=max(latencies) > LOG_ABOVE * min(latencies) > 0,
        ),
    ]  # fmt: skip


def plain(text: str) -> str:
    """``text`` for a figure, where ``<b>`` and ``<br>`` mean something: escaped, printable, not endless."""
    printable = "".join(c if c.isprintable() or c == NBSP else "�" for c in text)
    return html.escape(printable if len(printable) <= _LONGEST else f"{printable[: _LONGEST - 1]}…", quote=False)


def accuracy_against(cost: Cost, benches: Sequence[Bench]) -> Figure:
    """A scatter of accuracy in percent against ``cost``: Wilson's intervals, Pareto front of each benchmark."""
    tables = [[row for row in rows(bench) if _is_finite(cost, row)] for bench in benches]
    every = [cost.of(row) for table in tables for row in table]
    axis, place = _axis(cost, every)
    data: list[dict[str, Any]] = []
    labels: list[dict[str, Any]] = []
    for number, table in enumerate(tables):
        letter = chr(ord("A") + number % 26) if len(benches) > 1 else ""
        data.append(_front(cost, table, place, number, letter))
        data += _markers(cost, table, place, number, letter)
        labels += [
            {
                "x": place(cost.of(row)),
                "y": row.arm.accuracy * 100,
                "text": plain(f"{letter} {_short(row, table)}".strip()),
                "weight": _weight(row, number, benches),
            }
            for row in table
        ]
    layout = {
        "xaxis": axis,
        "yaxis": {"title": {"text": "accuracy, %"}, "range": _accuracy_range(tables)},
        "shapes": _break(axis, every) if cost.is_log else [],
    }
    return {"data": data, "layout": layout, "labels": labels, "kind": "scatter"}


def _short(row: Row, table: list[Row]) -> str:
    """Markers and legend tell families apart, so a label is as short as it can be: the codec, or the family."""
    if row.family.architecture == "cloud-only":
        return row.arm.codec or row.label
    return row.family.label if sum(other.family == row.family for other in table) == 1 else row.label


def _weight(row: Row, number: int, benches: Sequence[Bench]) -> int:
    """Which labels find a place first: the ECC arms (2), then what they are compared with (1)."""
    if not row.is_reference:
        return 2
    found = references(benches[number])
    return int(any(row.arm is arm for arm in (found.edge, found.image)))


def _is_finite(cost: Cost, row: Row) -> bool:
    return isfinite(cost.of(row)) and isfinite(row.arm.accuracy)


def _front(cost: Cost, table: list[Row], place: Callable[[float], float], number: int, letter: str) -> dict[str, Any]:
    front = [table[i] for i in pareto_front([(cost.of(row), row.arm.accuracy) for row in table])]
    return {
        "type": "scatter", "mode": "lines", "hoverinfo": "skip", "name": f"Pareto front {letter}".strip(),
        "x": [place(cost.of(row)) for row in front], "y": [row.arm.accuracy * 100 for row in front],
        "line": {"shape": "hv", "width": 1.5, "dash": _DASHES[number % len(_DASHES)], "color": "muted"},
        "legendrank": 2000,
    }  # fmt: skip


def _markers(
    cost: Cost, table: list[Row], place: Callable[[float], float], number: int, letter: str
) -> list[dict[str, Any]]:
    traces = []
    variant = _VARIANTS[number % len(_VARIANTS)]
    for family in dict.fromkeys(row.family for row in table):
        members = [row for row in table if row.family == family]
        y = [row.arm.accuracy * 100 for row in members]
        traces.append({
            "type": "scatter", "mode": "markers", "name": plain(f"{letter} {family.label}".strip()),
            "x": [place(cost.of(row)) for row in members], "y": y,
            "error_y": {
                "type": "data", "symmetric": False, "color": f"{family.colour}99", "thickness": 1.3, "width": 3,
                "array": [row.interval.high * 100 - value for row, value in zip(members, y, strict=True)],
                "arrayminus": [value - row.interval.low * 100 for row, value in zip(members, y, strict=True)],
            },
            "marker": {
                "symbol": family.marker + variant, "color": family.colour,
                "size": 13 if family.marker == "star" else 11,
                "line": {"width": 1.5, "color": family.colour if variant.startswith("-open") else "paper"},
            },
            "hoverinfo": "text",
            "hovertext": [
                f"<b>{plain(f'{letter} {row.label}'.strip())}</b><br>{percent(row.arm.accuracy)} "
                f"({fixed(row.interval.low * 100, 1)} to {fixed(row.interval.high * 100, 1)})<br>"
                f"{cost.text(cost.of(row))}"
                for row in members
            ],
        })  # fmt: skip
    return traces


def _accuracy_range(tables: list[list[Row]]) -> list[float]:
    low = min((row.interval.low for table in tables for row in table), default=0.0) * 100
    high = max((row.interval.high for table in tables for row in table), default=1.0) * 100
    pad = max(0.5, (high - low) * 0.08)
    return [low - pad, high + pad]


def _axis(cost: Cost, values: list[float]) -> tuple[dict[str, Any], Callable[[float], float]]:
    """The x axis, and where a value lies on it. On a logarithmic axis zero has a place of its own, on the left."""
    title = {"text": cost.title}
    positive = [value for value in values if value > 0]
    if not cost.is_log or not positive:
        top = max(positive, default=1.0)
        return {"title": title, "range": [-0.06 * top, 1.1 * top], "zeroline": False}, lambda value: value
    low, high = log10(min(positive)), log10(max(positive))
    span = max(high - low, 0.5)
    zero = low - 0.22 * span
    has_zero = len(positive) < len(values)
    ticks = log_ticks(low - 0.06 * span, high + 0.08 * span)
    if has_zero:
        title["text"] += " (log scale; 0 stands apart)"
    else:
        title["text"] += " (log scale)"
    return {
        "title": title,
        "type": "log",
        "range": [(zero if has_zero else low) - 0.1 * span, high + 0.12 * span],
        "tickvals": ([10**zero] if has_zero else []) + ticks,
        "ticktext": (["0"] if has_zero else []) + [tick_text(tick) for tick in ticks],
        "zeroline": False,
    }, lambda value: value if value > 0 else 10**zero


def log_ticks(low: float, high: float) -> list[float]:
    """Where a logarithmic axis from ``10**low`` to ``10**high`` is marked: few and round."""
    marks = ((_SHORT, (1, 1.5, 2, 3, 4, 5, 6, 8)), (2.2, (1, 2, 5)), (3.2, (1, 3)))
    steps: Sequence[float] = next((steps for most, steps in marks if high - low < most), (1,))
    ticks = [step * 10.0**decade for decade in range(floor(low), floor(high) + 1) for step in steps]
    return [tick for tick in ticks if low <= log10(tick) <= high]


def tick_text(tick: float) -> str:
    return f"{tick:,.12g}"


def _break(axis: dict[str, Any], values: list[float]) -> list[dict[str, Any]]:
    """A line between zero and the logarithmic part."""
    positive = [value for value in values if value > 0]
    if not positive or len(positive) == len(values):
        return []
    low, high = log10(min(positive)), log10(max(positive))
    at = 10 ** (low - 0.12 * max(high - low, 0.5))
    return [{
        "type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
        "line": {"width": 1, "dash": "dot", "color": "grid"}, "layer": "below",
    }]  # fmt: skip
