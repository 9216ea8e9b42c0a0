"""Whether int8 pays: its time against that of float halves of the same target, and what it loses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from ecc_deploy.comparison.noise import median_ratio, paired_loss
from ecc_deploy.comparison.result import HalfRow, Row, Verdict
from ecc_deploy.report.formats import fixed
from ecc_deploy.report.statistics import Interval

SAME_TIME = 0.05
"""Times that differ by less than this share are called the same, however sure the difference is."""
LIMIT = 0.005
"""Accuracy, 0 to 1, that int8 may lose without a word."""
INT8 = "int8"
FLOAT_SYSTEM = "the float system"

Right = Mapping[str, np.ndarray]
"""By deployment: which of the samples it answers right, bool ``[N]``."""


@dataclass(frozen=True)
class _Loss:
    """What int8 loses in its worst deployment."""

    deployment: str
    value: float
    interval: Interval
    reference: str


def verdicts(rows: Sequence[Row], right: Mapping[str, Right], floats: Mapping[str, Right]) -> list[Verdict]:
    """All of them. ``right``, ``floats``: what is right of the bundle and of the float system with the bundle's gates,
    by the row's name; ``floats`` is empty where there is no run.
    """
    found: dict[tuple[object, ...], Verdict] = {}
    for row in rows:
        for side in ("edge", "cloud"):
            if row.precisions[side] != INT8:
                continue
            for other in _others(row, rows, side):
                verdict = _verdict(row, other, side, right, floats)
                # Of the same files nothing new can be said, but that it holds for one more target.
                place = side, row.same_as or row.name, other and (other.same_as or other.name)
                if side == "cloud":
                    place = side, row.targets[side], other and other.precisions[side]
                if verdict is not None:
                    earlier = found.get(place)
                    found[place] = _also(earlier, verdict) if earlier else verdict
    return list(found.values())


def _others(row: Row, rows: Sequence[Row], side: str) -> Iterator[Row | None]:
    """The rows to compare with: of the same targets, with a float half on ``side``; ``None`` where there is none."""
    others = [other for other in rows if other.targets == row.targets and other.precisions[side] != INT8]
    yield from others
    if not others:
        yield None


def _also(earlier: Verdict, later: Verdict) -> Verdict:
    return replace(earlier, targets=tuple(dict.fromkeys((*earlier.targets, *later.targets))))


def _verdict(
    row: Row,
    other: Row | None,
    side: Literal["edge", "cloud"],
    right: Mapping[str, Right],
    floats: Mapping[str, Right],
) -> Verdict | None:
    against = other.precisions[side] if other else None
    timed = _ratio(_half(row, side), _half(other, side)) if other else None
    loss = None
    if row.name in floats:
        loss = _worst(row, side, right[row.name], floats[row.name], FLOAT_SYSTEM)
    elif other is not None:
        loss = _worst(row, side, right[row.name], right[other.name], str(against))
    loses = loss is not None and loss.value > LIMIT and loss.interval.low > 0
    speed = _speed(timed)
    if timed is None and not loses:
        return None
    take = None
    if loses or speed == "slower":
        take = against
    elif speed == "faster":
        take = INT8
    said = [_speed_text(speed, timed, str(against))] if timed else []
    if loss is not None and loss.interval.low > 0:
        said.append(_loss_text(loss))
    elif loss is not None and speed == "faster":
        said.append("loses no accuracy that shows")
    advice = f": take {take}" if take else ""
    if take is None and loses:
        advice = ": try another calibration, or a float precision"
    return Verdict(
        side=side,
        targets=(row.targets[side],),
        precision=INT8,
        against=against,
        time_ratio=timed[0] if timed else None,
        time_ratio_interval=(timed[1].low, timed[1].high) if timed else None,
        lost=loss.value if loss else None,
        lost_interval=(loss.interval.low, loss.interval.high) if loss else None,
        deployment=loss.deployment if loss else None,
        take=take,
        text=f"{'as the cloud, ' if side == 'cloud' else ''}int8 {' and '.join(said)}{advice}",
    )


def _half(row: Row, side: Literal["edge", "cloud"]) -> HalfRow:
    return row.halves[row.edge if side == "edge" else row.cloud]


def _ratio(half: HalfRow, other: HalfRow) -> tuple[float, Interval] | None:
    if half.latency is None or other.latency is None:
        return None
    return median_ratio(half.latency.raw_ms, other.latency.raw_ms)


def _speed(timed: tuple[float, Interval] | None) -> Literal["slower", "faster", "same", "unclear", ""]:
    if timed is None:
        return ""
    _, interval = timed
    if interval.low > 1 + SAME_TIME:
        return "slower"
    if interval.high < 1 / (1 + SAME_TIME):
        return "faster"
    within = interval.low >= 1 / (1 + SAME_TIME) and interval.high <= 1 + SAME_TIME
    return "same" if within else "unclear"


def _speed_text(speed: str, timed: tuple[float, Interval], against: str) -> str:
    ratio, interval = timed
    low, high = interval
    if speed == "faster":
        ratio, low, high = 1 / ratio, 1 / high, 1 / low
    span = f"{fixed(low, 2)}x to {fixed(high, 2)}x"
    match speed:
        case "slower" | "faster":
            return f"is {fixed(ratio, 2)}x {speed} than {against} here ({span})"
        case "same":
            return f"takes as long as {against} here ({span} of its time)"
        case _:
            return f"is not clearly faster or slower than {against} here ({span} of its time)"


def _worst(row: Row, side: str, right: Right, reference: Right, title: str) -> _Loss | None:
    """Of the deployments that the ``side`` answers for: for the cloud, those that have no edge half."""
    of_edge = {name: item.edge is not None for name, item in row.deployments.items()}
    shared = [name for name in right if name in reference and of_edge[name] == (side == "edge")]
    losses = [_Loss(name, *paired_loss(right[name], reference[name]), title) for name in shared]
    return max(losses, key=lambda loss: loss.value, default=None)


def _loss_text(loss: _Loss) -> str:
    low, high = (fixed(100 * end, 1) for end in loss.interval)
    return f"loses {fixed(100 * loss.value, 1)} points ({low} to {high}) of {loss.deployment} against {loss.reference}"
