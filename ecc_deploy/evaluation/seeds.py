"""Several evaluations of one recipe with different seeds: means, and how far they scatter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, stdev
from typing import Any, TypeVar

import numpy as np

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.result import Curve, Evaluation, Recall, Row

SEVERAL = "several"
"""Of a codec or a gate that is not the same in all."""
FIGURES = (
    *("accuracy", "of_cloud", "gap_recovered", "offload_rate", "edge_macs", "cloud_macs", "payload_bytes"),
    *("bytes_of_raw", "bytes_of_best_image"),
)
"""The fields of a row that are numbers."""
_SAME = ("system", "kind", "split", "dataset", "part", "samples", "gate", "fusion", "offload_rate", "raw_bytes")
_T = TypeVar("_T", Curve, Recall)


@dataclass(frozen=True)
class Seeds:
    """``mean``: each figure's mean over ``runs``; ``std``: the sample standard deviation, by row and field.

    A figure that one of the runs does not have has neither.
    """

    mean: Evaluation
    std: Mapping[str, Mapping[str, float | None]]
    runs: tuple[Evaluation, ...]

    def to_json(self) -> dict:
        """As plain data: rows with ``FIELD`` and ``FIELD_std``, mean curves, and every run by itself."""
        facts = self.mean.to_json()
        for row in facts["rows"]:
            row |= {f"{name}_std": value for name, value in self.std[row["name"]].items()}
        return {"seeds": len(self.runs), **facts, "runs": [run.to_json() for run in self.runs]}


def over_seeds(runs: Sequence[Evaluation]) -> Seeds:
    """Mean and scatter of two or more evaluations. Raises :class:`UsageError` where they are not of one recipe."""
    first = runs[0]
    for other in runs[1:]:
        differing = [name for name in _SAME if getattr(other, name) != getattr(first, name)]
        if not differing and _structure(other) != _structure(first):
            differing = ["what they are built of"]
        if differing:
            raise UsageError(
                f"{first.system} and {other.system} are not one recipe with two seeds: they differ in "
                f"{', '.join(differing)}",
                "Evaluate them one at a time.",
            )
    rows = [[run.rows[place] for run in runs] for place in range(len(first.rows))]
    mean = replace(
        first,
        rows=tuple(map(_mean_row, rows)),
        curves=_mean_series(runs, lambda run: run.curves, ("offload_rate", "accuracy", "payload_bytes", "cloud_macs")),
        recalls=_mean_series(runs, lambda run: run.recalls, ("recall", "area", "correctable")),
    )
    std = {same[0].name: {name: _over(stdev, same, name) for name in FIGURES} for same in rows}
    return Seeds(mean, std, tuple(runs))


def _structure(run: Evaluation) -> object:
    """What seeds do not change: the rows there are, and what one sample costs."""
    return [(row.name, row.edge_macs, row.cloud_macs if row.gate is None else None) for row in run.rows]


def _over(what: Callable[[list[float]], float], rows: Sequence[Row], name: str) -> float | None:
    values = [getattr(row, name) for row in rows]
    return None if any(value is None for value in values) else float(what(values))


def _mean_row(rows: Sequence[Row]) -> Row:
    same = {
        name: getattr(rows[0], name) if len({getattr(row, name) for row in rows}) == 1 else SEVERAL
        for name in ("codec", "gate", "best_image")
    }
    facts: dict[str, Any] = {**asdict(rows[0]), **same, **{name: _over(fmean, rows, name) for name in FIGURES}}
    return Row(**facts)


def _mean_series(
    runs: Sequence[Evaluation], of: Callable[[Evaluation], Sequence[_T]], figures: Sequence[str]
) -> tuple[_T, ...]:
    """Of curves, or of recalls: those that every run has, their ``figures`` averaged place by place."""
    known = [{(getattr(item, "name", ""), item.architecture, item.gate): item for item in of(run)} for run in runs]
    found = []
    for key, item in known[0].items():
        same = [items[key] for items in known if key in items]
        if len(same) == len(runs):
            means: dict[str, Any] = {}
            for name in figures:
                value = np.mean([getattr(one, name) for one in same], axis=0).tolist()
                means[name] = tuple(value) if isinstance(value, list) else value
            found.append(replace(item, **means))
    return tuple(found)
