"""The columns of the comparison table: what each shows, in which unit, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

from ecc_deploy.report.formats import ABSENT, fixed, signed, significant, unit_of
from ecc_deploy.report.rows import Row


@dataclass(frozen=True)
class Column:
    """One column. ``group`` is the heading above, ``help`` one sentence; units are in ``unit``, never in the cells."""

    key: str
    group: str
    title: str
    unit: str
    help: str
    value: Callable[[Row], float | None]
    """What the column sorts by, in the unit of the column."""
    text: Callable[[Row], str]
    note: Callable[[Row], str] = lambda row: ""
    """A second, smaller line: an interval."""
    drop: int = 0
    """In a narrow terminal, columns with higher numbers go first; 0 never goes."""
    short: str = ""
    """Heading in the terminal, where it differs."""


def columns(table: Sequence[Row]) -> list[Column]:
    """All columns of a table; digits and decimal units suit the largest value that each shows."""
    return [*_accuracy(), *_route(), *_latency(table), *_bytes(table), *_macs(table)]


def _number(
    table: Sequence[Row], value: Callable[[Row], float | None], digits: int | None = None
) -> Callable[[Row], str]:
    if digits is None:
        largest = max((abs(found) for row in table if (found := value(row)) is not None and isfinite(found)), default=0)
        digits = 2 if largest < 100 else 1 if largest < 10_000 else 0
    return lambda row: fixed(value(row), digits)


def _scaled(share: float | None) -> float | None:
    return None if share is None else share * 100


def _range(low: str, high: str, between: str = " to ") -> str:
    return ABSENT if ABSENT in (low, high) else f"{low}{between}{high}"


def _difference_interval(row: Row) -> str:
    found = row.vs_cloud_interval
    return "" if found is None else _range(signed(found.low * 100), signed(found.high * 100))


def _accuracy() -> list[Column]:
    group = "Accuracy"
    return [
        Column(
            "accuracy", group, "accuracy", "%", "Top-1 accuracy, with Wilson's 95 % interval.",
            lambda row: row.arm.accuracy * 100, lambda row: fixed(row.arm.accuracy * 100, 1),
            lambda row: _range(fixed(row.interval.low * 100, 1), fixed(row.interval.high * 100, 1), "–"),
        ),
        Column(
            "vs_cloud", group, "vs cloud-only", "points",
            "Accuracy less that of cloud-only, with the 95 % interval of the paired difference.",
            lambda row: _scaled(row.vs_cloud), lambda row: signed(_scaled(row.vs_cloud)), _difference_interval,
            drop=4, short="vs cloud",
        ),
        Column(
            "of_cloud", group, "of cloud-only", "%", "Accuracy over that of cloud-only.",
            lambda row: _scaled(row.of_cloud), lambda row: fixed(_scaled(row.of_cloud), 1), drop=17,
        ),
        Column(
            "gap_recovered", group, "gap recovered", "%",
            "Share of the gap between edge-only (0) and cloud-only (100) that is recovered.",
            lambda row: _scaled(row.gap_recovered), lambda row: fixed(_scaled(row.gap_recovered), 0),
            drop=7, short="gap",
        ),
        Column(
            "vs_random", group, "vs random", "points",
            "Accuracy less what offloading the same share of samples at random is expected to give.",
            lambda row: _scaled(row.vs_random), lambda row: signed(_scaled(row.vs_random)), drop=11,
        ),
    ]  # fmt: skip


def _route() -> list[Column]:
    return [
        Column(
            "offload_rate", "Route", "offloaded", "%", "Share of the samples that the cloud answered.",
            lambda row: row.arm.offload_rate * 100, lambda row: fixed(row.arm.offload_rate * 100, 1),
            drop=2, short="sent",
        ),
        Column(
            "fallbacks", "Route", "fell back", "count", "Samples that the cloud should have answered and the edge did.",
            lambda row: row.fallbacks, lambda row: fixed(row.fallbacks, 0), drop=6,
        ),
    ]  # fmt: skip


def _latency(table: Sequence[Row]) -> list[Column]:
    def offloaded(row: Row) -> float | None:
        return row.arm.latency_offloaded_ms.p50 if row.arm.latency_offloaded_ms else None

    def column(name: str, drop: int) -> Column:
        def value(row: Row) -> float:
            return float(getattr(row.arm.latency_ms, name))

        return Column(
            f"latency_{name}", "Latency", name, "ms", f"{name} of the end-to-end latency of all samples.",
            value, _number(table, value), _latency_interval(name), drop=drop,
        )  # fmt: skip

    return [
        *[column(name, drop) for name, drop in (("p50", 0), ("p90", 12), ("p95", 13), ("p99", 5))],
        Column(
            "latency_offloaded", "Latency", "p50, by cloud", "ms",
            "Median latency of the samples that the cloud answered.",
            offloaded, _number(table, offloaded), drop=14,
        ),
        *(_floor(table) if any(row.arm.floor for row in table) else []),
    ]  # fmt: skip


def _latency_interval(name: str) -> Callable[[Row], str]:
    """The 95 % interval of a percentile, where the benchmark computed one."""

    def text(row: Row) -> str:
        ends = row.arm.latency_ms.ci95.get(name)
        return _range(significant(ends[0]), significant(ends[1]), "–") if ends else ""

    return text


def _floor(table: Sequence[Row]) -> list[Column]:
    def floor(row: Row) -> float | None:
        return row.arm.floor.total_ms if row.arm.floor else None

    def overhead(row: Row) -> float | None:
        return row.arm.floor.overhead_ratio * 100 if row.arm.floor else None

    return [
        Column(
            "floor", "Latency", "floor", "ms",
            "The least that a sent sample takes on this link: edge, bytes at line rate, round trip, cloud.",
            floor, _number(table, floor), drop=9,
        ),
        Column(
            "overhead", "Latency", "above floor", "%", "Median of the sent samples over the floor, less 1.",
            overhead, lambda row: signed(overhead(row)), drop=3, short="> floor",
        ),
    ]  # fmt: skip


def _bytes(table: Sequence[Row]) -> list[Column]:
    group = "Bytes per sample"

    def column(key: str, title: str, helps: str, value: Callable[[Row], float | None], drop: int, short: str) -> Column:
        return Column(key, group, title, "B", helps, value, _number(table, value, 1), drop=drop, short=short)

    return [
        column(
            "payload", "payload", "Encoded bytes, mean over all samples, 0 where the edge answered.",
            lambda row: row.arm.payload_bytes_per_sample, 0, "payload",
        ),
        column(
            "wire_up", "wire up", "TCP/IP bytes from edge to cloud, headers included.",
            lambda row: row.arm.wire_up_bytes_per_sample, 8, "wire up",
        ),
        column(
            "wire_down", "wire down", "TCP/IP bytes from cloud to edge, headers included.",
            lambda row: row.arm.wire_down_bytes_per_sample, 10, "wire down",
        ),
        Column(
            "payload_of_image", group, "of best image", "%",
            "Payload bytes over those of cloud-only with its best image codec.",
            lambda row: _scaled(row.payload_of_image), lambda row: fixed(_scaled(row.payload_of_image), 0), drop=15,
        ),
        Column(
            "payload_of_raw", group, "of raw", "%", "Payload bytes over those of the raw uint8 input.",
            lambda row: _scaled(row.payload_of_raw), lambda row: fixed(_scaled(row.payload_of_raw), 0), drop=16,
        ),
    ]  # fmt: skip


def _macs(table: Sequence[Row]) -> list[Column]:
    def column(key: str, side: str, value: Callable[[Row], float], drop: int) -> Column:
        largest = max((value(row) for row in table if isfinite(value(row))), default=0)
        scale, name = unit_of(largest)
        return Column(
            key, "MACs per sample", side, name or "MACs", f"Multiply-accumulates on the {side}, mean over all samples.",
            lambda row: value(row) / scale, _number(table, lambda row: value(row) / scale),
            drop=drop, short=f"{side} MACs",
        )  # fmt: skip

    return [
        column("edge_macs", "edge", lambda row: row.arm.edge_macs_per_sample, 9),
        column("cloud_macs", "cloud", lambda row: row.arm.cloud_macs_per_sample, 1),
    ]
