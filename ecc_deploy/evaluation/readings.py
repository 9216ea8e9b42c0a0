"""What can be read off the curves of one evaluation: costs at equal accuracy, accuracy at equal cost.

Only measured points count: nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ecc_deploy.evaluation.result import Architecture, Evaluation

CostName = Literal["payload_bytes", "cloud_macs"]
_EPSILON = 1e-9  # accuracies are counts over counts


@dataclass(frozen=True)
class Option:
    """One way to answer, with every point at which it can run; float64 ``[points]``, as in the rows."""

    name: str
    architecture: Architecture
    codec: str | None
    accuracy: np.ndarray
    payload_bytes: np.ndarray
    cloud_macs: np.ndarray
    offload_rate: np.ndarray

    @property
    def label(self) -> str:
        """As a reader knows it: ``ECC-I · webp:50``."""
        known = {"independent": "ECC-I", "adaptive": "ECC-A", "dynamic": "ECC-D"}
        title = known.get(self.architecture, self.architecture)
        return f"{title} · {self.codec}" if self.architecture in ("independent", "cloud-only") else title

    def cost(self, of: CostName) -> np.ndarray:
        """One cost of every point."""
        found: np.ndarray = getattr(self, of)
        return found


@dataclass(frozen=True)
class Reading:
    """One point of one option."""

    option: Option
    index: int

    @property
    def accuracy(self) -> float:
        return float(self.option.accuracy[self.index])

    @property
    def payload_bytes(self) -> float:
        return float(self.option.payload_bytes[self.index])

    @property
    def cloud_macs(self) -> float:
        return float(self.option.cloud_macs[self.index])

    @property
    def offload_rate(self) -> float:
        return float(self.option.offload_rate[self.index])


def options(evaluation: Evaluation) -> list[Option]:
    """ECC-D and ECC-I with every codec by their curves, with the gate that was asked for; the others by their rows."""
    found = []
    for row in evaluation.rows:
        if row.architecture in ("edge-only", "cloud-only", "adaptive"):
            values = ([row.accuracy], [row.payload_bytes], [row.cloud_macs], [row.offload_rate])
            found.append(Option(row.name, row.architecture, row.codec, *map(np.asarray, values)))
    for curve in evaluation.curves:
        if curve.gate == evaluation.gate:
            series = (curve.accuracy, curve.payload_bytes, curve.cloud_macs, curve.offload_rate)
            found.append(Option(curve.name, curve.architecture, curve.codec, *map(np.asarray, series)))
    return found


def cheapest(among: Sequence[Option], accuracy: float, cost: CostName) -> Reading | None:
    """The point with the smallest cost that reaches ``accuracy``; None where none does."""
    best: Reading | None = None
    for option in among:
        reaching = np.flatnonzero(option.accuracy >= accuracy - _EPSILON)
        if len(reaching):
            index = int(reaching[option.cost(cost)[reaching].argmin()])
            if best is None or option.cost(cost)[index] < best.option.cost(cost)[best.index]:
                best = Reading(option, index)
    return best


def most_accurate(among: Sequence[Option], budget: float, cost: CostName) -> Reading | None:
    """The point with the highest accuracy whose cost is within ``budget``, the cheapest of equals."""
    best: Reading | None = None
    for option in among:
        within = np.flatnonzero(option.cost(cost) <= budget + _EPSILON)
        for index in within[np.lexsort((option.cost(cost)[within], -option.accuracy[within]))][:1]:
            if best is None or option.accuracy[index] > best.accuracy + _EPSILON:
                best = Reading(option, int(index))
    return best


@dataclass(frozen=True)
class Span:
    """A range of budgets, or of accuracies, in which one side is ahead throughout; ``high`` inf: without end."""

    ahead: bool
    """Whether the subject is, and not a rival."""
    low: float
    high: float
    own: Reading
    """The subject at the place where the lead is largest, with the rival there."""
    rival: Reading

    @property
    def lead(self) -> float:
        """In accuracy, 0 to 1, the largest."""
        return abs(self.own.accuracy - self.rival.accuracy)


def budgets(subject: Option, rivals: Sequence[Option], cost: CostName) -> list[Span]:
    """Where ``subject`` has the highest accuracy within a budget, and where a rival has, by rising budget.

    Budgets at which both are equal are in no span.
    """
    marks = np.unique(np.concatenate([option.cost(cost) for option in (subject, *rivals)]))
    found: list[Span] = []
    previous = 0.0
    for place, mark in enumerate(marks):
        own, rival = most_accurate([subject], mark, cost), most_accurate(rivals, mark, cost)
        if own is None or rival is None or abs(own.accuracy - rival.accuracy) <= _EPSILON:
            previous = 0.0
            continue
        end = float(marks[place + 1]) if place + 1 < len(marks) else float("inf")
        here = Span(own.accuracy > rival.accuracy, float(mark), end, own, rival)
        sign = 1.0 if here.ahead else -1.0
        if previous == sign:
            last = found.pop()
            leader = here if here.lead > last.lead else last
            here = Span(here.ahead, last.low, end, leader.own, leader.rival)
        found.append(here)
        previous = sign
    return found


@dataclass(frozen=True)
class Ratio:
    """The subject's cost over that of the cheapest rival, at accuracies ``low`` to ``high`` (0 to 1)."""

    low: float
    high: float
    least: float
    most: float


def ratios(subject: Option, rivals: Sequence[Option], cost: CostName, above: float) -> list[Ratio]:
    """What equal accuracy costs, at every accuracy over ``above`` that both reach, by rising accuracy.

    One item per range in which the subject is the cheaper one (below 1) throughout, or is not.
    """
    found: list[Ratio] = []
    for level in np.unique(np.concatenate([option.accuracy for option in (subject, *rivals)])):
        own, rival = cheapest([subject], level, cost), cheapest(rivals, level, cost)
        if level <= above + _EPSILON or own is None or rival is None:
            continue
        costs = [float(reading.option.cost(cost)[reading.index]) for reading in (own, rival)]
        if costs[1] <= 0:
            continue
        here = costs[0] / costs[1]
        if found and (found[-1].most < 1) == (here < 1):
            last = found.pop()
            found.append(Ratio(last.low, float(level), min(last.least, here), max(last.most, here)))
        else:
            found.append(Ratio(float(level), float(level), here, here))
    return found
