"""The series beside the main one, over real arms: cold, idle, energy."""

from pathlib import Path

import numpy as np
import pytest

from ecc_deploy.bench import beside
from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.cold import cold_series
from ecc_deploy.bench.energy import Meter
from ecc_deploy.bench.idle import idle_series
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.run import bench
from ecc_deploy.bench.schema import Bench, load_bench, save_bench
from ecc_deploy.bench.series import Series, gaps, repeated, scenario_names
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.progress import silent
from ecc_deploy.runtime.result import Prediction, Reason, Route, Timings
from tests import toy
from tests.bench.conftest import ToyDataset

PATIENT_MS = 20_000.0


@pytest.fixture(scope="module")
def found(toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess) -> Bench:
    return bench(
        toy_bundle,
        cloud=server.url,
        arms=["edge-only", "dynamic"],
        samples=20,
        warmup=1,
        deadline_ms=PATIENT_MS,
        dataset=dataset,
        series=Series(cold=2, idle_s=(0.02, 0.01), idle_repetitions=3),
    )


def test_cold_starts_are_timed_in_new_processes(found: Bench) -> None:
    edge, dynamic = (found.arm(name).cold for name in ("edge-only", "dynamic"))
    assert edge is not None
    assert dynamic is not None
    assert edge.connection_ms is None
    assert dynamic.connection_ms is not None
    for cold in (edge, dynamic):
        for series in (cold.process_start_ms, cold.engine_load_ms, cold.first_inference_ms):
            assert len(series.values) == 2
            assert 0 < series.least <= series.p50 <= series.most
        # An interpreter that imports numpy and grpc is never as quick as a toy model's inference.
        assert cold.process_start_ms.least > cold.first_inference_ms.least


def test_gaps_are_measured_where_something_is_sent(found: Bench) -> None:
    assert found.arm("edge-only").idle == []
    points = found.arm("dynamic").idle
    assert [point.gap_s for point in points] == [0.01, 0.02]
    for point in points:
        assert point.samples == len(point.values_ms) == 3
        assert point.fallbacks == 0
        assert point.latency_ms.p50 == np.median(point.values_ms)


def test_what_was_not_asked_for_says_so(found: Bench) -> None:
    for arm in found.arms:
        assert arm.energy is not None
        assert arm.energy.joules_per_sample is None
        assert "--energy" in (arm.energy.not_measured or "")


def test_every_percentile_has_its_interval(found: Bench) -> None:
    for arm in found.arms:
        for quantiles in (arm.latency_ms, arm.latency_offloaded_ms):
            if quantiles is not None:
                assert quantiles.ci95.keys() == {"p50", "p90", "p95", "p99", "mean"}
                assert quantiles.ci95["p50"][0] <= quantiles.p50 <= quantiles.ci95["p50"][1]
    assert "bootstrap" in found.settings["intervals"]


def test_the_machine_s_state_is_there_before_and_after(found: Bench) -> None:
    assert found.conditions is not None
    assert found.conditions.before.at <= found.conditions.after.at
    assert found.settings["started"] <= found.conditions.after.at


def test_all_of_it_survives_the_file(found: Bench, tmp_path: Path) -> None:
    save_bench(found, tmp_path / "bench.json")
    assert load_bench(tmp_path / "bench.json") == found


def test_energy_is_that_of_both_sides_where_the_server_is_here(
    toy_bundle: Bundle, dataset: ToyDataset, server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Steady(Meter):
        name = "ten joules each time"

        def start(self) -> None: ...

        def stop(self) -> dict[str, float]:
            return {"all": 10.0}

    monkeypatch.setattr(beside, "find_meter", Steady)

    def measure(cloud: str | None) -> Bench:
        return bench(
            toy_bundle, cloud=cloud, arms=["edge-only", "adaptive"], samples=4, warmup=0, deadline_ms=PATIENT_MS,
            dataset=dataset, series={"energy_s": 0.05},
        )  # fmt: skip

    own, given = measure(None), measure(server.url)
    for arm in own.arms:
        assert arm.energy is not None
        assert arm.energy.sensor == "ten joules each time"
        assert sum(arm.energy.joules.values()) == 20.0  # in two rounds
        assert arm.energy.joules_per_sample == 20.0 / arm.energy.samples
    assert [warning for warning in own.warnings if "edge and cloud together" in warning]
    assert not [warning for warning in given.warnings if "edge and cloud together" in warning]


class Recorded:
    """Answers at once, and knows what it was asked."""

    def __init__(self, images: np.ndarray) -> None:
        self._images = images
        self.asked: list[int] = []

    def predict(self, image: np.ndarray) -> Prediction:
        (index,) = np.flatnonzero([np.array_equal(image, known) for known in self._images])
        self.asked.append(int(index))
        return Prediction(toy.GATE, Route.CLOUD, Reason.OFFLOADED, 8, Timings(total=1.0))


def test_only_samples_that_were_sent_are_sent_after_a_gap() -> None:
    samples, slept = toy.samples(12), []
    arm = OpenArm(ArmSpec("dynamic", "dynamic", "dynamic", "int4"), runtime := Recorded(samples.images))
    for i in range(12):
        route = Route.CLOUD if i in (4, 9) else Route.EDGE
        arm.record(i, 0, Prediction(toy.GATE, route, Reason.OFFLOADED))
    (points,) = idle_series([arm], samples, [5.0, 0.5], repetitions=4, seed=0, progress=silent, sleep=slept.append)
    assert set(runtime.asked) == {4, 9}
    assert sorted(slept) == [0.5] * 4 + [5.0] * 4
    assert slept != sorted(slept)  # gaps come in turn
    assert [point.gap_s for point in points] == [0.5, 5.0]


def test_a_cold_start_that_fails_says_why(toy_bundle: Bundle) -> None:
    samples = toy.samples(4)
    arm = OpenArm(ArmSpec("dynamic", "no-such", "dynamic", "int4"), Recorded(samples.images))
    arm.record(0, 0, Prediction(toy.GATE, Route.EDGE, Reason.CONFIDENT))
    with pytest.raises(ServerError, match="failed with exit code 2") as error:
        cold_series(
            [arm], toy_bundle, samples, repetitions=1, threads=1, deadline_ms=1000, seed=0, progress=silent
        )  # fmt: skip
    assert "no deployment 'no-such'" in error.value.hint


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"idle_s": [0]}, "idle gap"),
        ({"idle_s": [1e9]}, "idle gap"),
        ({"cold": -1}, "cold is -1"),
        ({"energy_s": float("nan")}, "energy_s"),
        ({"scenarios": ["fixed-rate"]}, "queries per second"),
        ({"scenarios": ["nonsense"]}, "no scenario 'nonsense'"),
        ({"scenarios": ["fixed-rate"], "target_qps": 0}, "target_qps"),
        ({"workers": 0}, "workers"),
    ],
)
def test_series_that_make_no_sense_are_refused(options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Series(**options)


def test_gaps_and_scenarios_as_text() -> None:
    assert gaps("0.1, 1,5") == [0.1, 1.0, 5.0]
    assert gaps("") == []
    with pytest.raises(UsageError, match="not numbers"):
        gaps("1s")
    assert scenario_names(["offline"]) == ["offline"]


def test_few_values_are_kept_whole() -> None:
    assert repeated([3.0, 1.0, 2.5]).model_dump() == {"values": [3.0, 1.0, 2.5], "p50": 2.5, "least": 1.0, "most": 3.0}
