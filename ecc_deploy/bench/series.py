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
    second of the fixed rate; ``workers``: threads that answer queries of a fixed rate and offline.

    Raises :class:`UsageError` for values that make no sense.
    """

    cold: int = 0
    idle_s: Sequence[float] = ()
    idle_repetitions: int = 5
    energy_s: float = 0.0
    scenarios: Sequence[ScenarioName] = ()
    scenario_s: float = 10.0
    target_qps: float | None = None
    workers: int = 4

    def __post_init__(self) -> None:
        scenario_names(self.scenarios)
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
        for name, positive in (("scenario_s", self.scenario_s), ("target_qps", self.target_qps)):
            if positive is not None and not (math.isfinite(positive) and positive > 0):
                raise UsageError(f"{name} is {positive}; it must be above 0")


def gaps(text: str) -> list[float]:
    """``0.1,1,5`` as numbers; empty for an empty text. Raises :class:`UsageError`."""
    try:
        return [float(part) for part in text.split(",")] if text.strip() else []
    except ValueError:
        raise UsageError(
            f"the gaps {text!r} are not numbers with commas between", "For example --idle 0.1,1,5."
        ) from None


def scenario_names(names: Sequence[str]) -> list[ScenarioName]:
    """``names``, if they are scenarios. Raises :class:`UsageError`."""
    known: dict[str, ScenarioName] = {name: name for name in get_args(ScenarioName)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"there is no scenario {unknown[0]!r}", f"Known: {', '.join(known)}.")
    return [known[name] for name in names]


def repeated(values: Sequence[float]) -> Repeated:
    """All values, with their median and extremes."""
    return Repeated(values=list(values), p50=median(values), least=min(values), most=max(values))
