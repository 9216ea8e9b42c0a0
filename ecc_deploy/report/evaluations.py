"""An evaluation as a table for the terminal, and as one self-contained HTML file with its curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecc_deploy.evaluation.findings import findings
from ecc_deploy.evaluation.result import Evaluation, Row
from ecc_deploy.evaluation.seeds import Seeds
from ecc_deploy.report.curves import against_bytes, against_macs, against_rate
from ecc_deploy.report.formats import ABSENT, NBSP, count_bytes, count_macs, fixed, percent, unit_of
from ecc_deploy.report.html import render_page, write_page

if TYPE_CHECKING:
    from rich.table import Table

_UNBOUNDED = 10_000


@dataclass(frozen=True)
class Column:
    """One column: ``scale`` times the field ``key`` of a row, with ``digits`` behind the point."""

    key: str
    title: str
    unit: str
    help: str
    scale: float
    digits: int
    drop: int = 0
    """In a narrow terminal, columns with higher numbers go first; 0 never goes."""

    def value(self, row: Row) -> float | None:
        """In the unit of the column."""
        found = getattr(row, self.key)
        return None if found is None else self.scale * found

    def text(self, row: Row, std: Mapping[str, float | None] | None = None) -> str:
        """The cell; with ``std``, mean ± standard deviation."""
        text = fixed(self.value(row), self.digits)
        spread = None if std is None else std.get(self.key)
        return text if spread is None else f"{text} ± {fixed(self.scale * spread, self.digits)}"


def columns(rows: Sequence[Row]) -> list[Column]:
    """All columns; MACs in the decimal unit that suits the largest value."""

    scale, unit = unit_of(max(row.cloud_macs for row in rows) or 1.0)

    def macs(key: str, side: str, drop: int) -> Column:
        text = f"Multiply-accumulates on the {side}, mean over all samples."
        return Column(key, f"{side} MACs", unit, text, 1 / scale, 2, drop)

    return [
        Column("accuracy", "Top-1", "%", "Accuracy.", 100, 2),
        Column("of_cloud", "of cloud", "%", "Accuracy over that of cloud-only on untouched images.", 100, 1, 6),
        Column("gap_recovered", "gap", "%", "Share of the way from edge-only to cloud-only accuracy.", 100, 0, 3),
        Column("offload_rate", "sent", "%", "Share of the samples that the cloud answers.", 100, 1, 1),
        macs("edge_macs", "edge", 2),
        macs("cloud_macs", "cloud", 0),
        Column("payload_bytes", "payload", "B", "Encoded bytes, mean over all samples, sent or not.", 1, 1),
        Column("bytes_of_raw", "of raw", "%", "Payload bytes over those of the raw uint8 input.", 100, 1, 5),
        Column("bytes_of_best_image", "of image", "%", _BEST_IMAGE, 100, 0, 4),
    ]


_BEST_IMAGE = (
    "Payload bytes over those of cloud-only with the best image codec at equal accuracy: the one with the fewest bytes "
    "that is at most 0.5 points less accurate than the row."
)


def evaluation_table(result: Evaluation | Seeds, width: int | None = None) -> Table:
    """One line per row of the evaluation. Columns that do not fit into ``width`` cells go, the lesser ones first.

    ``width``: that of the terminal where it is ``None``.
    """
    from rich.console import Console

    mean, std = _mean(result)
    shown = columns(mean.rows)
    room, measuring = width or Console().width, Console(width=_UNBOUNDED)
    while measuring.measure(_table(mean, std, shown)).maximum > room and any(column.drop for column in shown):
        shown.remove(max(shown, key=lambda column: column.drop))
    return _table(mean, std, shown)


def _table(mean: Evaluation, std: Mapping[str, Any], shown: Sequence[Column]) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Architecture", no_wrap=True)
    for column in shown:
        table.add_column(Text(f"{column.title}\n{column.unit}"), justify="right", no_wrap=True)
    table.add_column("Gate", no_wrap=True)
    for row in mean.rows:
        cells = [Text(column.text(row, std.get(row.name))) for column in shown]
        table.add_row(Text(row.name), *cells, Text(row.gate or ""))
    return table


def heading(result: Evaluation | Seeds) -> str:
    """What was evaluated, in one line."""
    mean, _ = _mean(result)
    kind = "the float system" if mean.kind == "float" else "the compiled halves"
    text = f"{mean.system}, {kind}, split {mean.split or 'none'}: {mean.dataset} {mean.part}, {mean.samples:,} samples"
    return text + (f"; mean ± standard deviation of {len(result.runs)} seeds" if isinstance(result, Seeds) else "")


def _mean(result: Evaluation | Seeds) -> tuple[Evaluation, Mapping[str, Mapping[str, float | None]]]:
    return (result.mean, result.std) if isinstance(result, Seeds) else (result, {})


def write_curves(result: Evaluation | Seeds, out: str | Path) -> Path:
    """Write one self-contained HTML file with the table, the findings and the curves to ``out``, whole or not at all.

    As the report, it loads nothing and escapes what it shows. Raises :class:`UsageError` for a file that cannot be
    written, :class:`BackendMissingError` where the extra ``report`` is not installed.
    """
    return write_page(Path(out), render_curves(result))


def render_curves(result: Evaluation | Seeds) -> str:
    """The text of the file; the same evaluation gives the same text."""
    return render_page("curves.html.j2", _page(result))


def _page(result: Evaluation | Seeds) -> dict[str, Any]:
    mean, std = _mean(result)
    shown = columns(mean.rows)
    drawn = {"bytes": against_bytes(mean), "macs": against_macs(mean), "recall": against_rate(mean)}
    return {
        "title": mean.system,
        "heading": heading(result),
        "findings": findings(mean),
        "columns": shown,
        "table": [
            {
                "row": row,
                "cells": [
                    {
                        "key": column.key,
                        "text": column.text(row, std.get(row.name)),
                        "value": "" if (value := column.value(row)) is None else repr(float(value)),
                    }
                    for column in shown
                ],
            }
            for row in mean.rows
        ],
        "curves": [_points(mean, name) for name in ("dynamic", "independent") if _has(mean, name)],
        "absent": ABSENT,
        "gate": "the gate score that is best on the val part at each rate"
        if mean.gate == "auto"
        else f"the gate score {mean.gate}",
        "fusion": mean.fusion,
        "rate": percent(mean.offload_rate),
        "has_recall": drawn["recall"] is not None,
        "figures": {name: figure for name, figure in drawn.items() if figure is not None},
    }


def _has(mean: Evaluation, name: str) -> bool:
    return any((curve.name, curve.gate) == (name, mean.gate) for curve in mean.curves)


def _points(mean: Evaluation, name: str) -> dict[str, Any]:
    """A curve as a table."""
    curve = mean.curve(name)
    texts: list[tuple[Sequence[float], Callable[[float], str]]] = [
        (curve.offload_rate, lambda rate: percent(rate)),
        (curve.accuracy, lambda accuracy: percent(accuracy, 2)),
        (curve.payload_bytes, count_bytes),
        (curve.cloud_macs, count_macs),
    ]
    lines = zip(*[[text(value) for value in values] for values, text in texts], strict=True)
    label = "ECC-D" if name == "dynamic" else f"ECC-I{NBSP}·{NBSP}{curve.codec}"
    return {"label": label, "lines": list(zip(map(percent, curve.wanted_rate), lines, strict=True))}
