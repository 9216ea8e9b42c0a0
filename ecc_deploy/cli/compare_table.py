"""A comparison as a table for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ecc_deploy.comparison.result import Comparison, HalfRow, Row
from ecc_deploy.report import formats

DEPLOYMENTS = {
    "edge-only": "Edge\nonly %",
    "cloud-only": "Cloud\nonly %",
    "adaptive": "ECC-A\n%",
    "dynamic": "ECC-D\n%",
}
NOT_RUN = "not run here"
_UNBOUNDED = 10_000


@dataclass(frozen=True)
class _Column:
    title: str
    text: Callable[[Row], str]
    drop: int = 0
    """In a narrow terminal, columns with higher numbers go first; 0 never goes."""


def comparison_table(found: Comparison, width: int) -> Table:
    """One line per bundle. Columns that do not fit into ``width`` cells are left out, the lesser ones first."""
    shown, measuring = _columns(found), Console(width=_UNBOUNDED)
    while measuring.measure(_table(found, shown)).maximum > width and any(column.drop for column in shown):
        shown.remove(max(shown, key=lambda column: column.drop))
    return _table(found, shown)


def _columns(found: Comparison) -> list[_Column]:
    timed = found.settings["rounds"] > 0
    columns = [
        _Column("Cloud", lambda row: f"{row.targets['cloud']}, {row.precisions['cloud']}", 4),
        _Column("Edge\nKiB", lambda row: formats.significant(_edge(row).disk_bytes / 1024)),
        _Column("k\nweights", lambda row: _thousands(_edge(row)), 6),
        _Column("Cloud\nKiB", lambda row: formats.significant(_cloud(row).disk_bytes / 1024), 2),
        _Column("k\nweights", lambda row: _thousands(_cloud(row)), 6),
        *(_Column(title, _accuracy(name), int(name.endswith("only"))) for name, title in DEPLOYMENTS.items()),
    ]
    if found.run is None:
        columns.append(_Column("Drop on val,\npoints", _recorded_drop, 3))
    else:
        columns.append(_Column("As float, %\nedge/cloud/ECC-A", _agreement, 3))
    if timed:
        for side, half in (("Edge", _edge), ("Cloud", _cloud)):
            columns.append(_Column(f"{side}\nms", _p50(half)))
            columns.append(_Column("\np95", _p95(half), 5))
    return columns


def _table(found: Comparison, shown: Sequence[_Column]) -> Table:
    table = Table(
        title=f"{found.system['name']}: {found.system['dataset']} {found.part}, {found.samples:,} samples",
        caption=_caption(found),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    table.add_column("Bundle", no_wrap=True)
    for column in shown:
        table.add_column(column.title, no_wrap=True, justify="left" if column.title == "Cloud" else "right")
    for row in found.rows:
        table.add_row(Text(row.name), *(Text(column.text(row)) for column in shown))
    return table


def _caption(found: Comparison) -> str:
    lines = ["Edge, Cloud: the halves of ECC-D. Accuracy: top-1 of the compiled halves; *: of a stand-in."]
    if found.run is not None:
        known = {name: item.float_accuracy for name, item in found.rows[0].deployments.items()}
        shares = {name: known[name] for name in DEPLOYMENTS if known.get(name) is not None}
        text = ", ".join(f"{name} {100 * (share or 0):.2f} %" for name, share in shares.items())
        lines.append(f"As float: share of equal answers. The float system itself: {text}.")
    if found.settings["rounds"]:
        lines.append(
            f"ms: median of {found.settings['rounds']} interleaved rounds, batch 1, on this machine, not on the target."
        )
    return "\n".join(lines)


def _edge(row: Row) -> HalfRow:
    return row.halves[row.edge]


def _cloud(row: Row) -> HalfRow:
    return row.halves[row.cloud]


def _thousands(half: HalfRow) -> str:
    return formats.significant(None if half.weights is None else half.weights / 1000)


def _accuracy(name: str) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        item = row.deployments.get(name)
        if item is None or item.accuracy is None:
            return formats.ABSENT
        stands_in = any(row.halves[key].answered_by == "stand-in" for key in (item.edge, item.cloud) if key)
        return formats.fixed(100 * item.accuracy, 2) + "*" * stands_in

    return text


def _agreement(row: Row) -> str:
    """Of the edge model alone, of the cloud model alone, and of the chain that ends with the cloud tail."""
    ends = {name: item.cloud or item.edge for name, item in row.deployments.items()}
    keys = [ends.get(name) for name in ("edge-only", "cloud-only", "adaptive")]
    shares = [row.halves[key].agreement if key else None for key in keys]
    return " / ".join(formats.fixed(None if share is None else 100 * share, 1) for share in shares)


def _recorded_drop(row: Row) -> str:
    drops = [item.recorded_drop_points for item in row.deployments.values()]
    return formats.fixed(max((drop for drop in drops if drop is not None), default=None), 2)


def _p50(half: Callable[[Row], HalfRow]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        latency = half(row).latency
        return NOT_RUN if latency is None else formats.significant(latency.p50_ms)

    return text


def _p95(half: Callable[[Row], HalfRow]) -> Callable[[Row], str]:
    def text(row: Row) -> str:
        latency = half(row).latency
        return formats.ABSENT if latency is None else formats.significant(latency.p95_ms)

    return text
