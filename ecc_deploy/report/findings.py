"""What a benchmark says, in sentences computed from it: the lead, what speaks for it, and where it loses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report.formats import count_bytes, fewer, milliseconds, percent, points, signed
from ecc_deploy.report.rows import EQUAL_POINTS, References, Row, is_as_accurate, references, representatives, rows

LARGE_LOSS_POINTS = 1.0
_SAME_RATE = 0.02  # offload rates this close are compared as equal
_SAME = 0.01  # ratios this close to 1 are no difference worth a sentence


@dataclass(frozen=True)
class Finding:
    """One sentence. ``loss`` is what speaks against the arm of the headline, ``win`` what speaks for it."""

    kind: Literal["win", "loss", "note"]
    text: str


@dataclass(frozen=True)
class Summary:
    """``headline`` begins with the name of ``row``'s arm."""

    row: Row
    headline: str
    findings: list[Finding]


def summarise(bench: Bench) -> Summary:
    """The summary of a benchmark. Its subject is ECC-D, else ECC-A, ECC-I, cloud-only, edge-only."""
    table, found = rows(bench), references(bench)
    by_family = {row.family.architecture: row for row in representatives(table, bench)}
    order = ("dynamic", "adaptive", "independent", "cloud-only", "edge-only", *by_family)
    lead = next(by_family[architecture] for architecture in order if architecture in by_family)
    findings = [Finding("note", "No cloud-only arm was measured, so nothing here is compared with the cloud model.")]
    if found.cloud is not None:
        findings = list(_findings(lead, table, found))
    return Summary(lead, _headline(lead, found, table), findings)


def _headline(lead: Row, found: References, table: list[Row]) -> str:
    arm = lead.arm
    text = f"{lead.label}: {percent(arm.accuracy)}"
    if lead.vs_cloud is not None:
        text += f" ({_versus(lead.vs_cloud)} cloud-only)"
    text += f" at a median latency of {milliseconds(arm.latency_ms.p50)}"
    if arm.architecture == "edge-only":
        return f"{text}, nothing sent."
    image = found.image
    parts = [f"{count_bytes(arm.payload_bytes_per_sample)} of payload per sample"]
    if image is not None and image is not arm and lead.payload_of_image is not None:
        # Raw input is the best "codec" where none makes the images smaller at equal accuracy.
        rival = "raw input, which no image codec beat" if image.codec == "raw" else f"best image codec ({image.codec})"
        than = "as" if fewer(lead.payload_of_image).startswith("as") or lead.payload_of_image > 2 else "than"
        parts[0] += f", {fewer(lead.payload_of_image)} {than} cloud-only’s {rival}"
    if found.cloud is not None and found.cloud is not arm and found.cloud.cloud_macs_per_sample > 0:
        share = arm.cloud_macs_per_sample / found.cloud.cloud_macs_per_sample
        parts.append(f"{fewer(share)} cloud MACs")
    return f"{text}, with {', and '.join(parts)}."


def _versus(difference: float) -> str:
    if round(abs(difference) * 100, 1) == 0:
        return "equal to"
    return f"{points(difference)} {'above' if difference > 0 else 'below'}"


def _findings(lead: Row, table: list[Row], found: References) -> Iterator[Finding]:
    yield from _against_cloud(lead)
    yield from _against_edge(lead, found)
    yield from _against_cascade(lead, table)
    if lead.vs_random is not None:
        kind: Literal["win", "loss"] = "win" if round(lead.vs_random * 100, 1) > 0 else "loss"
        yield Finding(
            kind, f"Its gate gives {signed(lead.vs_random * 100)} points over offloading the same share at random."
        )
    if lead.is_reference:
        return
    yield from _rivals(lead, table)


def _against_cloud(lead: Row) -> Iterator[Finding]:
    if lead.vs_cloud is None:
        return
    if lead.vs_cloud < -LARGE_LOSS_POINTS / 100 - 1e-9:
        yield Finding("loss", f"It is {points(lead.vs_cloud)} less accurate than cloud-only.")
    span = lead.vs_cloud_interval
    if span is None:
        yield Finding("note", "It and cloud-only answered different samples; their difference has no paired interval.")
        return
    count = "one sample" if lead.arm.samples == 1 else f"these {lead.arm.samples:,} samples"
    includes = "includes" if span.low <= 0 <= span.high else "does not include"
    yield Finding(
        "note",
        f"On {count} its difference to cloud-only has a 95 % interval of "
        f"{signed(span.low * 100)} to {signed(span.high * 100)} points, which {includes} zero.",
    )


def _against_edge(lead: Row, found: References) -> Iterator[Finding]:
    edge, cloud, gap = found.edge, found.cloud, found.gap
    if edge is None or edge is lead.arm or cloud is None or gap is None:
        return
    if gap <= 1e-9:
        word = "as accurate as" if abs(gap) <= 1e-9 else f"{points(gap)} more accurate than"
        yield Finding(
            "loss", f"Edge-only, {percent(edge.accuracy)}, is {word} cloud-only: there is no gap to recover here."
        )
    elif lead.gap_recovered is not None and lead.arm is not cloud:
        if lead.gap_recovered <= 0:
            yield Finding("loss", f"Edge-only is no less accurate, {percent(edge.accuracy)}: offloading gains nothing.")
        else:
            yield Finding(
                "win",
                f"It recovers {percent(lead.gap_recovered, 0)} of the {points(gap)} between edge-only "
                f"({percent(edge.accuracy)}) and cloud-only ({percent(cloud.accuracy)}).",
            )


def _against_cascade(lead: Row, table: list[Row]) -> Iterator[Finding]:
    """ECC-I at equal offload rate is the comparator that is hard to beat."""
    if lead.arm.architecture != "dynamic":
        return
    equal = [
        row
        for row in table
        if row.arm.architecture == "independent" and abs(row.arm.offload_rate - lead.arm.offload_rate) <= _SAME_RATE
    ]
    if not equal:
        return
    rival = max(equal, key=lambda row: (row.arm.accuracy, -row.arm.payload_bytes_per_sample))
    difference = lead.arm.accuracy - rival.arm.accuracy
    parts, shares = [_more_accurate(difference)], []
    for what, of in (("bytes", _payload), ("cloud MACs", _cloud_macs)):
        if of(rival) > 0:
            shares.append(of(lead) / of(rival))
            parts.append(f"{fewer(shares[-1])} {what}")
    worse = not is_as_accurate(lead.arm.accuracy, rival.arm.accuracy) or any(share > 1 + _SAME for share in shares)
    yield Finding(
        "loss" if worse else "note" if difference < 0 else "win",
        f"Against {rival.label} at the same offload rate ({percent(rival.arm.offload_rate, 0)}): {', '.join(parts)}.",
    )


def _more_accurate(difference: float) -> str:
    if round(abs(difference) * 100, 1) == 0:
        return "equal in accuracy"
    return f"{points(difference)} {'more' if difference > 0 else 'less'} accurate"


def _payload(row: Row) -> float:
    return row.arm.payload_bytes_per_sample


def _cloud_macs(row: Row) -> float:
    return row.arm.cloud_macs_per_sample


def _rivals(lead: Row, table: list[Row]) -> Iterator[Finding]:
    """For each cost, the cheapest arm of another family at equal accuracy."""
    costs: tuple[tuple[str, Callable[[Row], float], Callable[[float], str]], ...] = (
        ("payload", _payload, lambda size: f"{count_bytes(size)} against {count_bytes(_payload(lead))}"),
        ("cloud computation", _cloud_macs, lambda macs: f"{fewer(macs / _cloud_macs(lead))} cloud MACs"),
        ("median latency", lambda row: row.arm.latency_ms.p50, _against(lead.arm.latency_ms.p50)),
        ("95th percentile of latency", lambda row: row.arm.latency_ms.p95, _against(lead.arm.latency_ms.p95)),
    )
    equal = [row for row in table if row.family != lead.family and is_as_accurate(row.arm.accuracy, lead.arm.accuracy)]
    if not equal:
        yield Finding("win", f"No other architecture measured here is within {EQUAL_POINTS:g} points of it or above.")
        return
    unbeaten: list[str] = []
    beaten_by: dict[str, list[str]] = {}
    for cost, of, text in costs:
        better = [row for row in equal if of(row) < of(lead) * (1 - _SAME)]
        if not better:
            unbeaten.append(cost)
            continue
        rival = min(better, key=of)
        name = f"{rival.label}, {percent(rival.arm.accuracy)}"
        beaten_by.setdefault(name, []).append(f"{cost} ({text(of(rival))})")
    for name, where in beaten_by.items():
        yield Finding("loss", f"At equal accuracy {name}, is better in {_listed(where, 'and')}.")
    if unbeaten:
        yield Finding(
            "win",
            f"At equal accuracy (at most {EQUAL_POINTS:g} points lower) no other architecture measured here is better "
            f"in {_listed(unbeaten)}.",
        )


def _listed(names: list[str], last: str = "or") -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def _against(own: float) -> Callable[[float], str]:
    return lambda value: f"{milliseconds(value)} against {milliseconds(own)}"
