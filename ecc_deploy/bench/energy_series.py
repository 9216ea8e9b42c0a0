"""The energy series: each arm answers for some seconds while the machine's energy sensor is read."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from ecc_deploy.bench.energy import Meter
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.schema_series import Energy
from ecc_deploy.data import Samples
from ecc_deploy.progress import Progress

NOT_ASKED = "not asked for (--energy SECONDS)"
_ROUNDS = 2
"""Every arm has its share of each, in an order shuffled anew, so that heat meets all alike."""


@dataclass
class _Sum:
    samples: int = 0
    seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)


def energy_series(
    arms: Sequence[OpenArm],
    samples: Samples,
    chosen: np.ndarray,
    meter: Meter | str,
    *,
    seconds: float,
    seed: int,
    progress: Progress,
) -> list[Energy]:
    """One :class:`Energy` per arm; ``meter``: the sensor, or why there is none. ``seconds``: per arm, and once idle."""
    if isinstance(meter, str):
        return [Energy(not_measured=meter)] * len(arms)
    idle = _Sum()
    _timed(meter, idle, partial(time.sleep, seconds))
    shuffle = np.random.default_rng([seed, 4])
    sums = [_Sum() for _ in arms]
    for done in range(_ROUNDS):
        for position in shuffle.permutation(len(arms)):
            work = partial(_answer, arms[position], sums[position], samples, chosen, seconds / _ROUNDS)
            _timed(meter, sums[position], work)
        progress("Energy", done + 1, _ROUNDS, f"{len(arms)} arms")
    idle_watts = sum(idle.joules.values()) / idle.seconds
    return [
        Energy(
            sensor=meter.name,
            samples=own.samples,
            seconds=own.seconds,
            joules_per_sample=sum(own.joules.values()) / own.samples,
            mean_watts=sum(own.joules.values()) / own.seconds,
            idle_watts=idle_watts,
            joules=own.joules,
        )
        for own in sums
    ]


def _answer(arm: OpenArm, own: _Sum, samples: Samples, chosen: np.ndarray, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        arm.answer(samples.images[chosen[own.samples % len(chosen)]])
        own.samples += 1
        if time.monotonic() >= end:
            return


def _timed(meter: Meter, own: _Sum, work: Callable[[], None]) -> None:
    start = time.monotonic()
    meter.start()
    try:
        work()
    finally:
        used = meter.stop()
    own.seconds += time.monotonic() - start
    for domain, joules in used.items():
        own.joules[domain] = own.joules.get(domain, 0.0) + joules
