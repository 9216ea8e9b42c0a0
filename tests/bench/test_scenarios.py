import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bench import scenarios
from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.schema_series import Scenario
from ecc_deploy.bench.series import Series
from ecc_deploy.errors import BackendMissingError, UsageError
from ecc_deploy.progress import silent
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests import toy

pytest.importorskip("mlperf_loadgen", reason="MLPerf LoadGen is not installed: pip install 'ecc-deploy[bench]'")

COUNT = 40
TAKES_S = 0.004


class Slow:
    """Takes a few milliseconds, is right about every second sample, and falls back at every fourth."""

    def __init__(self, samples: toy.Samples) -> None:
        self._known = {image.tobytes(): i for i, image in enumerate(samples.images)}
        self._labels = samples.labels
        self.threads: set[int] = set()
        self.answers = 0

    def predict(self, image: np.ndarray) -> Prediction:
        time.sleep(TAKES_S)
        self.threads.add(threading.get_ident())
        self.answers += 1
        i = self._known[image.tobytes()]
        logits = np.eye(4, dtype=np.float32)[(self._labels[i] + i % 2) % 4]
        return Prediction(logits, Route.EDGE, Reason.DEADLINE if i % 4 == 0 else Reason.CONFIDENT)


def _arm(runtime: object, name: str = "dynamic") -> OpenArm:
    spec = ArmSpec(name, "dynamic", "dynamic", "int4")
    return OpenArm(spec, runtime, link="lte")  # type: ignore[arg-type]  # some of these fail on purpose


def _run(series: Series, *arms: OpenArm, deadline_ms: float = 1000.0) -> list[Scenario]:
    return scenarios.run_scenarios(
        arms, toy.samples(COUNT), np.arange(COUNT), series, deadline_ms=deadline_ms, seed=0, progress=silent
    )


def test_single_stream_under_loadgen() -> None:
    runtime = Slow(toy.samples(COUNT))
    (one,) = _run(Series(scenarios=["single-stream"], scenario_s=0.6), _arm(runtime))
    assert (one.name, one.arm, one.link) == ("single-stream", "dynamic", "lte")
    assert one.valid, one.why_not
    assert one.samples == len(one.values_ms) >= 64
    assert one.duration_s >= 0.6
    assert one.qps == pytest.approx(one.samples / one.duration_s, rel=0.25)
    assert one.latency_ms is not None
    assert TAKES_S * 1e3 < one.latency_ms.p50 <= one.latency_ms.p99
    assert min(one.values_ms) > TAKES_S * 1e3
    assert one.latency_ms.ci95.keys() == {"p50", "p90", "p95", "p99", "mean"}
    for name, (low, high) in one.latency_ms.ci95.items():
        assert low <= getattr(one.latency_ms, name) <= high
    assert one.accuracy == pytest.approx(0.5, abs=0.15)
    assert one.fallbacks == pytest.approx(one.samples / 4, rel=0.4)
    assert len(runtime.threads) == 1
    assert one.settings["scenario"] == "SingleStream"
    assert one.settings["loadgen"]


def test_a_fixed_rate_is_kept_and_judged_by_the_deadline() -> None:
    series = Series(scenarios=["fixed-rate"], scenario_s=0.5, target_qps=60, workers=3)
    (one,) = _run(series, _arm(Slow(toy.samples(COUNT))), deadline_ms=TAKES_S * 500)
    assert one.target_qps == 60
    assert one.qps is not None
    assert 20 < one.qps < 120
    assert not one.valid  # no answer can come within half of what it takes
    assert any("deadline" in why for why in one.why_not)
    assert one.settings["server_target_latency_ns"] == round(TAKES_S * 500 * 1e6)


def test_too_few_queries_to_be_sure_are_called_so() -> None:
    series = Series(scenarios=["fixed-rate"], scenario_s=0.5, target_qps=100)
    (one,) = _run(series, _arm(Slow(toy.samples(COUNT))))
    assert not one.valid
    assert one.why_not == ["there were too few queries to be sure of the percentile"]


def test_offline_finds_its_own_number_of_queries() -> None:
    runtime = Slow(toy.samples(COUNT))
    (one,) = _run(Series(scenarios=["offline"], scenario_s=0.4, workers=3), _arm(runtime))
    assert one.valid, one.why_not
    assert one.latency_ms is None
    assert one.qps is not None
    assert one.target_qps is not None
    assert one.qps < one.target_qps
    assert one.qps > 1.2 / TAKES_S * 0.5  # three threads, and half of their rate for a busy machine
    assert len(runtime.threads) >= 3


def test_every_scenario_runs_on_every_arm_in_their_order() -> None:
    arms = [_arm(Slow(toy.samples(COUNT)), name) for name in ("one", "two")]
    found = _run(Series(scenarios=["single-stream", "offline"], scenario_s=0.1), *arms)
    assert [(one.name, one.arm) for one in found] == [
        ("single-stream", "one"), ("single-stream", "two"), ("offline", "one"), ("offline", "two"),
    ]  # fmt: skip


def test_what_fails_while_loadgen_runs_is_raised_and_leaves_no_thread() -> None:
    class Broken:
        def predict(self, image: np.ndarray) -> Prediction:
            raise UsageError("broken")

    before = threading.active_count()
    with pytest.raises(UsageError, match="broken"):
        _run(Series(scenarios=["single-stream"], scenario_s=0.1), _arm(Broken()))
    assert threading.active_count() == before


def test_ctrl_c_ends_a_scenario_early_and_leaves_no_thread() -> None:
    before, runtime = threading.active_count(), Slow(toy.samples(COUNT))
    timer = threading.Timer(0.5, os.kill, [os.getpid(), signal.SIGINT])
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            _run(Series(scenarios=["single-stream"], scenario_s=2), _arm(runtime))
        timer.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert threading.active_count() == before
    assert runtime.answers < 0.7 * 2 / TAKES_S  # the rest was answered without work


def test_without_loadgen_there_is_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlperf_loadgen", None)
    with pytest.raises(BackendMissingError, match="LoadGen") as error:
        scenarios.load_generator()
    assert "ecc-deploy[bench]" in error.value.hint


def test_the_log_is_read_by_its_last_words(tmp_path: Path) -> None:
    path = tmp_path / "log"
    entries = [{"key": "a", "value": 1}, {"key": "a", "value": 2}]
    path.write_text("noise\n" + "".join(f":::MLLOG {json.dumps(entry)}\n" for entry in entries) + ":::MLLOG {cut")
    assert scenarios.read_log(path) == {"a": 2}
