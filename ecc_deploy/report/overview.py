"""One device over all its links: which arm answers how fast where, as plots and as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from typing import Any

from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.schema_series import Quantiles
from ecc_deploy.report.families import FAMILIES
from ecc_deploy.report.findings import summarise
from ecc_deploy.report.floors import error_bars, interval_text
from ecc_deploy.report.formats import count_bytes, milliseconds, percent
from ecc_deploy.report.links import OverLink, short
from ecc_deploy.report.plots import Figure, log_ticks, plain, tick_text
from ecc_deploy.report.rows import Row, references, representatives, rows

_ROW = 62
_SPREAD = 0.13  # between the markers of one link, of the distance between two links


def sentence(part: OverLink) -> str:
    """What the link's arms do, with the figures that speak against the first one as well.

    ``On lte, ECC-D · int2+ans answers in 31.2 ms (median; 95 %: 30.9 ms to 31.6 ms), with 24.1 B of payload per
    sample, 93.2 % right; Cloud-only · webp:50 takes 58.4 ms and 215 B for 91.7 %; Edge-only takes 0.49 ms for 87.7 %.``
    """
    lead = summarise(part.bench).row
    text = f"On {part.title}, {_answers(lead)}"
    rivals = [row for row in _rivals(part) if row.arm is not lead.arm]
    return f"{text}; {'; '.join(_compared(row, lead) for row in rivals)}." if rivals else f"{text}."


def _rivals(part: OverLink) -> list[Row]:
    """Cloud-only with its best image codec, and edge-only."""
    found = references(part.bench)
    return [row for row in rows(part.bench) if any(row.arm is arm for arm in (found.image, found.edge))][::-1]


def _answers(row: Row) -> str:
    text = f"{row.label} answers in {milliseconds(row.arm.latency_ms.p50)} (median{_between(row.arm.latency_ms)})"
    sent = row.arm.latency_offloaded_ms
    if sent is not None and row.arm.offload_rate < 1:
        text += f", {milliseconds(sent.p50)} for the {percent(row.arm.offload_rate, 0)} that it sends"
    payload = count_bytes(row.arm.payload_bytes_per_sample)
    return f"{text}, with {payload} of payload per sample, {percent(row.arm.accuracy)} right"


def _between(cuts: Quantiles) -> str:
    ends = cuts.ci95.get("p50")
    return f"; 95 %: {milliseconds(ends[0])} to {milliseconds(ends[1])}" if ends else ""


def _compared(row: Row, lead: Row) -> str:
    text = f"{row.label} takes {milliseconds(row.arm.latency_ms.p50)}"
    if row.arm.codec is not None:
        text += f" and {count_bytes(row.arm.payload_bytes_per_sample)}"
    text += f" for {percent(row.arm.accuracy)}"
    return f"{text}, which is no clear difference in time" if _overlap(row, lead) else text


def _overlap(row: Row, lead: Row) -> bool:
    first, second = (one.arm.latency_ms.ci95.get("p50") for one in (row, lead))
    return first is not None and second is not None and first[0] <= second[1] and second[0] <= first[1]


def latency_by_link(parts: Sequence[OverLink], name: str) -> Figure | None:
    """A row per link, a marker per family: the percentile ``name`` of its representative, with its interval."""
    return latency_by([(_named(part), part.bench) for part in parts], name)


def latency_by(lines: Sequence[tuple[str, Bench]], name: str) -> Figure | None:
    """A row per benchmark, by its name for a figure, a marker per family; ``None`` for fewer than two."""
    numbered = enumerate(lines)
    chosen = [(at, named, row) for at, (named, bench) in numbered for row in representatives(rows(bench), bench)]
    values = [value for _, _, row in chosen if (value := getattr(row.arm.latency_ms, name)) > 0]
    if len(lines) < 2 or not values:
        return None
    families = [family for family in FAMILIES if any(row.family == family for _, _, row in chosen)]
    data: list[dict[str, Any]] = []
    for number, family in enumerate(families):
        own = [(place, named, row) for place, named, row in chosen if row.family == family]
        shift = (number - (len(families) - 1) / 2) * _SPREAD
        data.append({
            "type": "scatter", "mode": "lines+markers", "name": family.label,
            "x": [getattr(row.arm.latency_ms, name) for _, _, row in own], "y": [place + shift for place, _, _ in own],
            "line": {"color": family.colour, "dash": family.dash, "width": 1, "opacity": 0.55},
            "error_x": error_bars([row.arm.latency_ms for _, _, row in own], name, family.colour),
            "marker": {"symbol": family.marker, "color": family.colour, "size": 12 if family.marker == "star" else 9},
            "hovertext": [
                f"<b>{named.partition('<br>')[0]}</b>, {plain(row.label)}<br>{interval_text(row.arm.latency_ms, name)}"
                for _, named, row in own
            ],
        })  # fmt: skip
    low, high = log10(min(values)), log10(max(values))
    pad = max(0.05 * (high - low), 0.05)
    ticks = log_ticks(low - pad, high + pad)
    title = "median" if name == "p50" else f"{name[1:]}th percentile"
    layout = {
        "xaxis": {
            "title": {"text": f"{title} of the latency of all samples, ms (log scale)"}, "type": "log",
            "range": [low - pad, high + pad], "tickvals": ticks, "ticktext": [tick_text(tick) for tick in ticks],
        },
        "yaxis": {
            "tickvals": list(range(len(lines))), "ticktext": [named for named, _ in lines], "automargin": True,
            "range": [len(lines) - 0.4, -0.6], "zeroline": False,
        },
        "height": 70 + _ROW * len(lines),
    }  # fmt: skip
    return {"data": data, "layout": layout, "labels": [], "kind": "lines"}


def _named(part: OverLink) -> str:
    if part.link is None:
        return "as it is"
    return f"{plain(part.link.name)}<br>{plain(short(part.link))}"
