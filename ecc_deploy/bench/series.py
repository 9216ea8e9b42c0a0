"""The series that a benchmark can measure beside its main one; each is off unless asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal, get_args

from ecc_deploy.bench.schema_series import Repeated
from ecc_deploy.errors import UsageError

ScenarioName = Literal["single-stream", "fixed-rate", "offline"]
MOST_IDLE_S = 600.0


@dataclass(frozen=True)
class Series:
    """``cold``: repetitions of process start, connection, engine load and first inference. ``idle_s``: gaps after which
    the first offload is timed, ``idle_repetitions`` times each. ``energy_s``: seconds per arm that the energy sensor is
    read. ``scenarios``: under MLPerf LoadGen, at least ``scenario_s`` seconds per arm; ``target_qps``: queries per
    second of the fixed rate; ``offline_qps``: more than what offline can reach; ``workers``: threads that answer
    queries of a fixed rate and offline.

    Raises :class:`UsageError` for values that make no sense.
    """

    cold: int = 0
    idle_s: Sequence[float] = ()
    idle_repetitions: int = 5
    energy_s: float = 0.0
    scenarios: Sequence[ScenarioName] = ()
    scenario_s: float = 10.0
    target_qps: float | None = None
    offline_qps: float = 1000.0
    workers: int = 4

    def __post_init__(self) -> None:
        unknown = sorted(set(self.scenarios) - set(get_args(ScenarioName)))
        if unknown:
            raise UsageError(
                f"there is no scenario {unknown[0]!r}", f"Known: {', '.join(get_args(ScenarioName))}."
            )
        if "fixed-rate" in self.scenarios and self.target_qps is None:
            raise UsageError("a fixed rate needs its queries per second", "Give --qps, for example --qps 20.")
        wrong = [gap for gap in self.idle_s if not 0 < gap <= MOST_IDLE_S]
        if wrong:
            raise UsageError(f"an idle gap of {wrong[0]:g} s; it is above 0 and at most {MOST_IDLE_S:g}")
        for name, value, least in (
            ("cold", self.cold, 0),
            ("idle_repetitions", self.idle_repetitions, 1),
            ("energy_s", self.energy_s, 0),
            ("workers", self.workers, 1),
        ):
            if not (math.isfinite(value) and value >= least):
                raise UsageError(f"{name} is {value}; the least is {least}")
        for name, seconds in (
            ("scenario_s", self.scenario_s),
            ("target_qps", self.target_qps),
            ("offline_qps", self.offline_qps),
        ):
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise UsageError(f"{name} is {seconds}; it must be above 0")


def repeated(values: Sequence[float]) -> Repeated:
    """All values, with their median and extremes."""
    return Repeated(values=list(values), p50=median(values), least=min(values), most=max(values))
