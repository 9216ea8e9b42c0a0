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
from ecc_deploy.report.rows import Row, rows

_UNBOUNDED = 10_000
_LAST_TO_GO = 3  # what the interval of the accuracy counts for, in the sense of Column.drop


def comparison_table(bench: Bench, width: int | None = None) -> Table:
    """One line per arm. Columns that do not fit into ``width`` cells are left out, the lesser ones first.

    ``width``: that of the terminal where it is ``None``. Values are plain text, never markup.
    """
    table = rows(bench)
    room = width or Console().width
    measuring = Console(width=_UNBOUNDED)
    shown = _with_interval(columns(table))
    while measuring.measure(_build(table, shown)).maximum > room and any(column.drop for column in shown):
        shown.remove(max(shown, key=lambda column: column.drop))
    return _build(table, shown)


def _with_interval(all_columns: Sequence[Column]) -> list[Column]:
    """The interval as a column of its own: a terminal has no second line in smaller type."""
    accuracy = all_columns[0]
    interval = replace(
        accuracy,
        key="accuracy_interval",
        short="95 % interval",
        text=accuracy.note,
        drop=_LAST_TO_GO,
    )
    return [accuracy, interval, *all_columns[1:]]


def _build(table: Sequence[Row], shown: Sequence[Column]) -> Table:
    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    out.add_column("Arm", no_wrap=True, overflow="ellipsis")
    for column in shown:
        out.add_column(Text(f"{column.short or column.title}\n{column.unit}"), justify="right", no_wrap=True)
    for row in table:
        name = Text(_plain(row.label), style="" if row.is_reference else "bold")
        out.add_row(name, *[Text(column.text(row)) for column in shown])
    return out


def _plain(text: str) -> str:
    """Without control characters: a name must not steer the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)
