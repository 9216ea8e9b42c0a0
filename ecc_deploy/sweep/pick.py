"""Takes a point of a sweep by constraint: ``bytes<=64, top1>=93``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from ecc_deploy.errors import UsageError
from ecc_deploy.sweep.result import Point, Sweep

METRICS: dict[str, tuple[str, float]] = {
    "top1": ("accuracy", 100.0),
    "bytes": ("payload_bytes", 1.0),
    "cloud_macs": ("cloud_macs", 1.0),
    "edge_macs": ("edge_macs", 1.0),
    "offload_rate": ("offload_rate", 1.0),
}
"""By the name that a constraint uses: the field of a point, and what it is multiplied by (``top1`` is in percent)."""
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_TERM = re.compile(r"\s*([A-Za-z0-9_]+)\s*(<=|>=|<|>)\s*([0-9.eE+-]+)\s*")
_NEAREST = 3
_EPSILON = 1e-9  # 93 means 93, whatever 100 · 0.93 is in floating point


@dataclass(frozen=True)
class Constraint:
    """One condition on a point."""

    metric: str
    operator: str
    bound: float

    def value(self, point: Point) -> float:
        """The metric of ``point``, in the constraint's unit."""
        field, scale = METRICS[self.metric]
        return round(scale * float(getattr(point, field)), 9)

    def holds(self, point: Point) -> bool:
        """Whether ``point`` satisfies it."""
        return OPERATORS[self.operator](self.value(point), self.bound)

    def miss(self, point: Point) -> float:
        """How far ``point`` is from it, as a share of the bound; 0 where it holds."""
        away = abs(self.value(point) - self.bound) / max(abs(self.bound), _EPSILON)
        return 0.0 if self.holds(point) else max(away, _EPSILON)


def parse_constraints(text: str) -> list[Constraint]:
    """Parse ``METRIC OPERATOR NUMBER``, several joined by commas. Raises :class:`UsageError`."""
    found = []
    for term in text.split(","):
        match = _TERM.fullmatch(term)
        try:
            if match is None:
                raise ValueError
            name, comparison, bound = match[1], match[2], float(match[3])
        except ValueError as error:
            raise UsageError(
                f"{term.strip()!r} is not a constraint",
                "Write METRIC<=NUMBER or METRIC>=NUMBER, several joined by commas: bytes<=64, top1>=93.",
            ) from error
        if name not in METRICS:
            raise UsageError(f"there is no metric {name!r}", f"There are: {', '.join(METRICS)} (top1 in percent).")
        found.append(Constraint(name, comparison, bound))
    return found


def pick(sweep: Sweep, constraints: str) -> Point:
    """The point with the highest accuracy among those that satisfy all constraints; of equals that with fewest bytes.

    Metrics: ``top1`` in percent, ``bytes``, ``cloud_macs`` and ``edge_macs`` per sample, ``offload_rate`` from 0 to 1.
    Raises :class:`UsageError` for a constraint that cannot be read, or that no point satisfies.
    """
    wanted = parse_constraints(constraints)
    if not sweep.points:
        raise UsageError("no trial of the sweep is finished yet, so there is no point to pick")
    within = [point for point in sweep.points if all(constraint.holds(point) for constraint in wanted)]
    if within:
        return min(within, key=lambda point: (-point.accuracy, point.payload_bytes, point.cloud_macs, point.edge_macs))
    near = sorted(sweep.points, key=lambda point: sum(constraint.miss(point) for constraint in wanted))
    raise UsageError(
        f"no point of the sweep satisfies {constraints!r}; the nearest:\n"
        + "\n".join(f"  {sweep.describe(point)}" for point in near[:_NEAREST]),
        "Ask for less, or sweep further.",
    )
