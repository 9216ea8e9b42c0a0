"""What differs between two runs: per arm and link with its uncertainty, and in what they ran on.

The interval of a difference is that of the resampled differences, each run resampled by itself in blocks
(:mod:`ecc_deploy.bench.bootstrap`). It knows what varied within the two runs. What varies from one run to the next
(another host, heat, a restart) shows only in several runs of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ecc_deploy.bench.bootstrap import STATISTICS, interval, resampled, statistics
from ecc_deploy.bench.schema import Arm, Bench

Verdict = Literal["lower", "higher", "not shown"]
_SHOWN = ("p50", "p95", "p99", "mean")
_NOT_COMPARED = {"load_average_start", "load_average_end", "started", "ended", "self_test", "cpu_frequency_mhz"}
"""What is another in every run, and says nothing of what was measured."""
_SEED = 0


@dataclass(frozen=True)
class Difference:
    """One figure of one arm in both runs: ``change`` is ``after - before``, with its 95 % interval from ``low`` to
    ``high``; ``ratio`` is ``after / before``, ``None`` where that was 0.

    ``verdict``: "lower" or "higher" where the whole interval is; else a difference is not shown.
    """

    figure: str
    unit: str
    before: float
    after: float
    change: float
    low: float
    high: float
    ratio: float | None
    verdict: Verdict


@dataclass(frozen=True)
class ArmDifference:
    """One arm over one link, measured in both runs."""

    arm: str
    link: str | None
    figures: tuple[Difference, ...]


@dataclass(frozen=True)
class Changed:
    """One fact that is not the same; ``None`` where a run does not have it."""

    fact: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Differences:
    """All of two runs. ``only_before`` and ``only_after``: arms, with their links, that the other has not."""

    arms: tuple[ArmDifference, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    facts: tuple[Changed, ...]


def compare(before: Bench, after: Bench) -> Differences:
    """Compare two runs, arm by arm. Deterministic."""
    first = {(arm.name, arm.link): arm for arm in before.arms}
    second = {(arm.name, arm.link): arm for arm in after.arms}
    return Differences(
        arms=tuple(
            ArmDifference(name, link, tuple(_figures(arm, second[name, link])))
            for (name, link), arm in first.items()
            if (name, link) in second
        ),
        only_before=tuple(_label(key) for key in first if key not in second),
        only_after=tuple(_label(key) for key in second if key not in first),
        facts=tuple(_changed(before, after)),
    )


def _label(key: tuple[str, str | None]) -> str:
    return key[0] if key[1] is None else f"{key[0]} over {key[1]}"


def _figures(before: Arm, after: Arm) -> Iterator[Difference]:
    yield from _latencies("latency", before.raw.stages_ms["total"], after.raw.stages_ms["total"])
    sent = [_offloaded(arm) for arm in (before, after)]
    if all(sent) and any(arm.offload_rate < 1 for arm in (before, after)):
        yield from _latencies("latency of offloaded", *sent)
    yield _accuracy(before, after)
    bytes_of = [np.asarray(arm.raw.payload_bytes, np.float64) for arm in (before, after)]
    if any(series.any() for series in bytes_of):
        yield _mean("payload", "B/sample", *bytes_of)


def _offloaded(arm: Arm) -> list[float]:
    return [ms for ms, route in zip(arm.raw.stages_ms["total"], arm.raw.route, strict=True) if route == "cloud"]


def _latencies(name: str, before: Sequence[float], after: Sequence[float]) -> Iterator[Difference]:
    values = [statistics(np.asarray(series)[np.newaxis])[0] for series in (before, after)]
    draws = resampled(after, [_SEED, 1]) - resampled(before, [_SEED, 0])
    for i, statistic in enumerate(STATISTICS):
        if statistic in _SHOWN:
            yield _difference(f"{name} {statistic}", "ms", float(values[0][i]), float(values[1][i]), draws[:, i])


def _accuracy(before: Arm, after: Arm) -> Difference:
    """In points. Where both answered the same samples in the same order, the differences sample by sample are
    resampled: what makes a sample hard is common to both.
    """
    right = [np.asarray(arm.raw.predicted) == np.asarray(arm.raw.label) for arm in (before, after)]
    if before.raw.sample == after.raw.sample:
        paired = right[1].astype(np.float64) - right[0]
        draws = resampled(paired, _SEED, of=_row_means, length=1)
    else:
        each = [resampled(series, [_SEED, i], of=_row_means, length=1) for i, series in enumerate(right)]
        draws = each[1] - each[0]
    return _difference("accuracy", "%", 100 * float(right[0].mean()), 100 * float(right[1].mean()), 100 * draws)


def _mean(name: str, unit: str, before: np.ndarray, after: np.ndarray) -> Difference:
    each = [resampled(series, [_SEED, i], of=_row_means, length=1) for i, series in enumerate((before, after))]
    return _difference(name, unit, float(before.mean()), float(after.mean()), each[1] - each[0])


def _row_means(rows: np.ndarray) -> np.ndarray:
    means: np.ndarray = rows.mean(1)
    return means


def _difference(name: str, unit: str, before: float, after: float, draws: np.ndarray) -> Difference:
    low, high = interval(draws)
    verdict: Verdict = "lower" if high < 0 else "higher" if low > 0 else "not shown"
    return Difference(name, unit, before, after, after - before, low, high, after / before if before else None, verdict)


def _changed(before: Bench, after: Bench) -> Iterator[Changed]:
    for part in ("bundle", "settings", "environment", "links"):
        one, other = (dict(_flat(_part(bench, part), part)) for bench in (before, after))
        for fact in dict.fromkeys([*one, *other]):
            if fact.rpartition(".")[2] not in _NOT_COMPARED and one.get(fact) != other.get(fact):
                yield Changed(fact, one.get(fact), other.get(fact))


def _part(bench: Bench, part: str) -> Any:
    if part != "links":
        return getattr(bench, part)
    told = {"title", "method", "up_mbit", "down_mbit", "rtt_ms", "jitter_ms", "loss", "queue_ms"}
    return {link.name: link.model_dump(include=told) for link in bench.links}


def _flat(facts: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(facts, dict):
        for key, value in facts.items():
            yield from _flat(value, f"{name}.{key}")
    else:
        yield name, facts
