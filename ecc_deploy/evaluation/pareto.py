"""The Pareto front over several criteria. numpy only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import numpy as np

Direction = Literal["up", "down"]
"""Which way is better."""

CRITERIA: Mapping[str, Direction] = {
    "accuracy": "up",
    "cloud_macs": "down",
    "edge_macs": "down",
    "payload_bytes": "down",
}
"""Those of the design, by the names that :class:`~ecc_deploy.evaluation.result.Row` gives them."""

_T = TypeVar("_T")


def pareto_front(points: np.ndarray, directions: Sequence[Direction]) -> np.ndarray:
    """Indices of the points ``[N, criteria]`` that no other point dominates, ascending.

    A point is dominated by one that is at least as good by every criterion and better by one. Equal points do not
    dominate each other: all of them are kept. Raises ValueError for a shape that does not match or a NaN.
    """
    values = np.asarray(points, np.float64)
    if values.ndim != 2 or values.shape[1] != len(directions):
        raise ValueError(f"points of shape {values.shape} do not have {len(directions)} criteria each")
    if np.isnan(values).any():
        raise ValueError("a point has a criterion that is not a number")
    costs = np.where([direction == "up" for direction in directions], -values, values)
    kept = [
        index
        for index, cost in enumerate(costs)
        if not ((costs <= cost).all(axis=1) & (costs < cost).any(axis=1)).any()
    ]
    return np.asarray(kept, np.int64)


def front_of(items: Sequence[_T], criteria: Mapping[str, Direction] = CRITERIA) -> list[_T]:
    """Those of ``items`` that no other dominates, in their order; ``criteria``: attributes, each with its direction."""
    if not items:
        return []
    points = np.asarray([[getattr(item, name) for name in criteria] for item in items], np.float64)
    return [items[index] for index in pareto_front(points, list(criteria.values()))]
