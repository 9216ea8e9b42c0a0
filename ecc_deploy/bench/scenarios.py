"""Scenarios of MLPerf LoadGen over the open arms: its load, its clock and its verdict beside our own closed loop.

LoadGen (V. J. Reddi et al., MLPerf Inference Benchmark, ISCA 2020) issues the queries: single-stream, the next when the
last is answered; fixed-rate, its Server scenario, at random times of a Poisson process of the given rate; offline, all
at once. What it calls valid holds for the settings recorded here. Nothing of this is a submission to MLPerf.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ecc_deploy.bench import bootstrap
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.queries import Queries
from ecc_deploy.bench.schema_series import Quantiles, Scenario
from ecc_deploy.bench.series import ScenarioName, Series
from ecc_deploy.data import Samples
from ecc_deploy.errors import BackendMissingError
from ecc_deploy.progress import Progress

_SCENARIO = {"single-stream": "SingleStream", "fixed-rate": "Server", "offline": "Offline"}
_MIN_QUERIES = 64
_MOST_IN_MEMORY = 1024
_SHARE_IN_TIME = 0.99
_HEADROOM = 1.4
"""Of the offline queries over what a short trial reached: with fewer, LoadGen ends before its least duration."""
_OFFLINE_ATTEMPTS = 3
_MARK = ":::MLLOG "
_MAX_LOG_BYTES = 64 << 20


def run_scenarios(
    arms: Sequence[OpenArm],
    samples: Samples,
    chosen: np.ndarray,
    series: Series,
    *,
    deadline_ms: float,
    seed: int,
    progress: Progress,
) -> list[Scenario]:
    """Run every scenario on every arm, in an order shuffled by ``seed``; the results in that of scenarios and arms.

    A fixed rate is valid where LoadGen is sure that 99 % of the answers come within ``deadline_ms``. Raises
    :class:`BackendMissingError` where LoadGen is not installed.
    """
    loadgen = load_generator()
    turns = [(name, arm) for name in dict.fromkeys(series.scenarios) for arm in arms]
    found: dict[int, Scenario] = {}
    for done, position in enumerate(np.random.default_rng([seed, 5]).permutation(len(turns)).tolist()):
        name, arm = turns[position]
        progress("Scenarios", done, len(turns), f"{name}, {arm.label}")
        workers = 0 if name == "single-stream" else series.workers
        expected = None
        if name == "offline":
            with Queries(arm, samples, chosen, workers) as queries:
                expected = queries.trial_qps() * _HEADROOM
        for _ in range(_OFFLINE_ATTEMPTS):
            with Queries(arm, samples, chosen, workers) as queries:
                result = _run(loadgen, name, queries, series, expected, deadline_ms, seed)
            if result.valid or expected is None:
                break
            expected *= 2
        found[position] = result
        progress("Scenarios", done + 1, len(turns), f"{name}, {arm.label}")
    return [found[position] for position in range(len(turns))]


def load_generator() -> Any:
    """MLPerf LoadGen's module. Raises :class:`BackendMissingError`."""
    try:
        import mlperf_loadgen
    except ModuleNotFoundError as error:
        raise BackendMissingError(
            "scenarios need MLPerf LoadGen, which is not installed", "Run: pip install 'ecc-deploy[bench]'"
        ) from error
    return mlperf_loadgen


def _run(
    loadgen: Any,
    name: ScenarioName,
    queries: Queries,
    series: Series,
    expected_qps: float | None,
    deadline_ms: float,
    seed: int,
) -> Scenario:
    numbers: dict[str, Any] = {
        "min_duration_ms": round(series.scenario_s * 1000),
        "min_query_count": 1 if name == "offline" else _MIN_QUERIES,
        "qsl_rng_seed": seed,
        "sample_index_rng_seed": seed,
        "schedule_rng_seed": seed,
    }
    target = {"fixed-rate": series.target_qps, "offline": expected_qps}.get(name)
    if name == "fixed-rate":
        numbers["server_target_qps"] = series.target_qps
        numbers["server_target_latency_ns"] = round(deadline_ms * 1e6)
        numbers["server_target_latency_percentile"] = _SHARE_IN_TIME
    if name == "offline":
        numbers["offline_expected_qps"] = expected_qps
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, _SCENARIO[name])
    settings.mode = loadgen.TestMode.PerformanceOnly
    for key, value in numbers.items():
        setattr(settings, key, value)
    with tempfile.TemporaryDirectory(prefix="ecc-loadgen-") as folder:
        log = loadgen.LogSettings()
        log.enable_trace = False
        log.log_output.outdir = folder
        log.log_output.copy_summary_to_stdout = False
        start = time.monotonic()
        queries.run(loadgen, settings, log, min(queries.count, _MOST_IN_MEMORY))
        seconds = time.monotonic() - start
        said = read_log(Path(folder) / "mlperf_log_detail.txt")
    arm = queries.arm
    return Scenario(
        name=name,
        arm=arm.spec.name,
        link=arm.link,
        valid=said.get("result_validity") == "VALID",
        why_not=_why_not(said),
        target_qps=target,
        qps=_qps(said),
        samples=len(queries.values_ms),
        fallbacks=queries.fallbacks,
        accuracy=queries.right / len(queries.values_ms) if queries.values_ms else 0.0,
        duration_s=seconds,
        latency_ms=None if name == "offline" else _latency(said, queries.values_ms, seed),
        values_ms=[] if name == "offline" else queries.values_ms,
        settings={
            "scenario": _SCENARIO[name],
            **numbers,
            "workers": max(queries.workers, 1),
            "loadgen": version("mlcommons-loadgen"),
        },
    )


def read_log(path: Path) -> dict[str, Any]:
    """What LoadGen logged, by key; the last word of each. Lines that are none of its entries are passed over."""
    found: dict[str, Any] = {}
    with path.open("rb") as file:
        for line in file.read(_MAX_LOG_BYTES).decode(errors="replace").splitlines():
            if line.startswith(_MARK):
                try:
                    entry = json.loads(line[len(_MARK) :])
                except ValueError:
                    continue
                found[entry["key"]] = entry["value"]
    return found


def _qps(said: dict[str, Any]) -> float | None:
    keys = ("result_completed_samples_per_sec", "result_samples_per_second", "result_qps_with_loadgen_overhead")
    return next((float(said[key]) for key in keys if key in said), None)


def _latency(said: dict[str, Any], values: Sequence[float], seed: int) -> Quantiles | None:
    keys = {
        **{f"p{percent}": f"result_{percent}.00_percentile_latency_ns" for percent in (50, 90, 95, 99)},
        "mean": "result_mean_latency_ns",
    }
    if not values or any(key not in said for key in keys.values()):
        return None
    found = {name: float(said[key]) / 1e6 for name, key in keys.items()}
    # As wide as those of our own series, around LoadGen's figures: its clock starts when a query is due, ours when it
    # is issued.
    own = dict(zip(bootstrap.STATISTICS, bootstrap.statistics(np.asarray(values)[np.newaxis])[0].tolist(), strict=True))
    ci95 = {
        name: (low + found[name] - own[name], high + found[name] - own[name])
        for name, (low, high) in bootstrap.intervals(values, seed).items()
    }
    return Quantiles(**found, ci95=ci95)


def _why_not(said: dict[str, Any]) -> list[str]:
    if said.get("result_validity") == "VALID":
        return []
    told = [
        words
        for key, words in (
            ("result_perf_constraints_met", "too many answers took longer than the deadline"),
            ("result_min_duration_met", "it ended before its least duration"),
            ("result_min_queries_met", "there were too few queries"),
            ("early_stopping_met", "there were too few queries to be sure of the percentile"),
        )
        if said.get(key) is False
    ]
    reason = str(said.get("result_invalid_reason") or "").strip()
    return [*told, *([f"LoadGen: {reason}"] if reason else [])] or ["LoadGen gave no reason"]
