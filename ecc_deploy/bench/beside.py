"""What is measured beside the main series, after it and over the same open arms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ecc_deploy.bench.cold import cold_series
from ecc_deploy.bench.energy import find_meter
from ecc_deploy.bench.energy_series import NOT_ASKED, energy_series
from ecc_deploy.bench.idle import idle_series
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.scenarios import run_scenarios
from ecc_deploy.bench.schema import Arm
from ecc_deploy.bench.schema_series import Energy, Scenario
from ecc_deploy.bench.series import Series
from ecc_deploy.bundle import Bundle
from ecc_deploy.data import Samples
from ecc_deploy.progress import Progress


@dataclass
class Beside:
    """What belongs to no single arm."""

    scenarios: list[Scenario] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def measure_beside(
    opened: Sequence[OpenArm],
    results: Sequence[Arm],
    bundle: Bundle,
    samples: Samples,
    chosen: np.ndarray,
    series: Series,
    *,
    threads: int,
    deadline_ms: float,
    is_server_here: bool,
    seed: int,
    progress: Progress,
) -> Beside:
    """Measure the series that were asked for, and put what belongs to an arm into its result."""
    found = Beside()
    if series.idle_s:
        points = idle_series(
            opened, samples, series.idle_s, repetitions=series.idle_repetitions, seed=seed, progress=progress
        )
        for result, own in zip(results, points, strict=True):
            result.idle = own
    energies = [Energy(not_measured=NOT_ASKED)] * len(opened)
    if series.energy_s:
        meter = find_meter()
        energies = energy_series(opened, samples, chosen, meter, seconds=series.energy_s, seed=seed, progress=progress)
        if is_server_here and not isinstance(meter, str):
            found.remarks.append("the energy is that of edge and cloud together: the server ran on the same machine")
    for result, energy in zip(results, energies, strict=True):
        result.energy = energy
    if series.cold:
        colds, remarks = cold_series(
            opened, bundle, samples,
            repetitions=series.cold, threads=threads, deadline_ms=deadline_ms, seed=seed, progress=progress,
        )  # fmt: skip
        for result, cold in zip(results, colds, strict=True):
            result.cold = cold
        found.remarks += remarks
    if series.scenarios:
        found.scenarios = run_scenarios(
            opened, samples, chosen, series, deadline_ms=deadline_ms, seed=seed, progress=progress
        )
    return found
