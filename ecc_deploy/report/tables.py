"""The comparison table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ecc_deploy.bench.schema import Bench
from ecc_deploy.report.columns import Column, columns
from ecc_deploy.report.links import OverLink, by_link
from ecc_deploy.report.rows import Row, rows

_UNBOUNDED = 10_000
_INTERVALS = {"accuracy": 3, "latency_p50": 5}
"""Columns whose intervals are columns here, and what these count for, in the sense of Column.drop."""


def comparison_table(bench: Bench, width: int | None = None) -> Table:
    """One line per arm and link. Columns that do not fit into ``width`` cells are left out, the lesser ones first.

    ``width``: that of the terminal where it is ``None``. Values are plain text, never markup.
    """
    parts = [(part, rows(part.bench)) for part in by_link(bench)]
    room = width or Console().width
    measuring = Console(width=_UNBOUNDED)
    shown = _with_intervals(columns([row for _, table in parts for row in table]))
    while measuring.measure(_build(parts, shown)).maximum > room and any(column.drop for column in shown):
        shown.remove(max(shown, key=lambda column: column.drop))
    return _build(parts, shown)


def _with_intervals(all_columns: Sequence[Column]) -> list[Column]:
    """The intervals of accuracy and median as columns of their own: a terminal has no second line in smaller type."""
    result = []
    for column in all_columns:
        result.append(column)
        if column.key in _INTERVALS:
            result.append(
                replace(
                    column,
                    key=f"{column.key}_interval",
                    short="95 % interval",
                    text=column.note,
                    drop=_INTERVALS[column.key],
                )
            )
    return result


def _build(parts: Sequence[tuple[OverLink, list[Row]]], shown: Sequence[Column]) -> Table:
    """A section per link; the link is named where there is one, or more than one."""
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    has_links = any(part.link for part, _ in parts)
    if has_links:
        out.add_column("Link", no_wrap=True)
    out.add_column("Arm", no_wrap=True, overflow="ellipsis")
    # Without any interval of a median the column would be empty.
    kept = [one for one in shown if one.key != "latency_p50_interval" or any(one.text(r) for _, t in parts for r in t)]
    for column in kept:
        out.add_column(Text(f"{column.short or column.title}\n{column.unit}"), justify="right", no_wrap=True)
    for part, table in parts:
        for number, row in enumerate(table):
            name = Text(_plain(row.label), style="" if row.is_reference else "bold")
            link = [Text(_plain(part.name or "as it is") if number == 0 else "")] if has_links else []
            out.add_row(*link, name, *[Text(column.text(row)) for column in kept])
        out.add_section()
    return out


def _plain(text: str) -> str:
    """Without control characters: a name must not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)
