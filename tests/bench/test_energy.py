import time
from pathlib import Path

import pytest

from ecc_deploy.bench import energy_series as series_module
from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.energy import Meter, Rapl, Sampled, find_meter, pmic_watts
from ecc_deploy.bench.energy_series import energy_series
from ecc_deploy.bench.loop import OpenArm, choose_samples
from ecc_deploy.progress import silent
from ecc_deploy.runtime.result import Prediction, Reason, Route
from tests import toy
from tests.bench.test_sensors import NO_VCGENCMD, fake_vcgencmd, put

RAPL = "sys/class/powercap"
PMIC = """   3V7_WL_SW_A current(0)=0.10000000A
   VDD_CORE_A current(7)=2.00000000A
   VDD_CORE_V volt(15)=0.75000000V
   3V7_WL_SW_V volt(8)=3.50000000V
      EXT5V_V volt(24)=5.10000000V
        BATT_V volt(25)=0.00146483V
"""


def _rapl(tmp_path: Path) -> Path:
    zones = {"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:0:1": "dram", "intel-rapl:1": "psys"}
    files: dict[str, object] = {}
    for zone, name in zones.items():
        files |= {
            f"{RAPL}/{zone}/name": name,
            f"{RAPL}/{zone}/energy_uj": 1_000_000,
            f"{RAPL}/{zone}/max_energy_range_uj": 10_000_000,
        }
    return put(tmp_path, files)


def test_rapl_counts_packages_and_memory_once(tmp_path: Path) -> None:
    meter = find_meter(_rapl(tmp_path), NO_VCGENCMD)
    assert isinstance(meter, Rapl)
    assert "board" in meter.name
    meter.start()
    put(tmp_path, {f"{RAPL}/intel-rapl:0/energy_uj": 3_500_000, f"{RAPL}/intel-rapl:0:1/energy_uj": 500_000})
    # The memory's counter went over its end: 10 J range, from 1 J to 0.5 J.
    assert meter.stop() == {"package-0": 2.5, "package-0 dram": 9.5}


def test_rapl_that_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Rapl) -> dict[str, int]:
        raise PermissionError

    monkeypatch.setattr(Rapl, "_read", refuse)  # root may read anything
    found = find_meter(_rapl(tmp_path), NO_VCGENCMD)
    assert isinstance(found, str)
    assert "only root" in found


def _ina(tmp_path: Path, rails: dict[str, tuple[int, int]]) -> Path:
    files: dict[str, object] = {"sys/class/hwmon/hwmon2/name": "ina3221"}
    for i, (label, (millivolts, milliamperes)) in enumerate(rails.items(), 1):
        files |= {
            f"sys/class/hwmon/hwmon2/in{i}_label": label,
            f"sys/class/hwmon/hwmon2/in{i}_input": millivolts,
            f"sys/class/hwmon/hwmon2/curr{i}_input": milliamperes,
        }
    return put(tmp_path, files)


def test_a_jetson_s_module_rail(tmp_path: Path) -> None:
    root = _ina(tmp_path, {"VDD_IN": (5000, 1200), "VDD_CPU_GPU_CV": (5000, 400), "VDD_SOC": (5000, 300)})
    meter = find_meter(root, NO_VCGENCMD)
    assert isinstance(meter, Sampled)
    assert "VDD_IN" in meter.name
    start = time.monotonic()
    meter.start()
    joules = meter.stop()
    assert joules.keys() == {"VDD_IN"}
    assert 0 < joules["VDD_IN"] <= 6.0 * (time.monotonic() - start)


def test_rails_that_are_not_known_are_not_added_up(tmp_path: Path) -> None:
    found = find_meter(_ina(tmp_path, {"SOME_RAIL": (5000, 1000)}), NO_VCGENCMD)
    assert isinstance(found, str)
    assert "SOME_RAIL" in found


def test_a_raspberry_pi_5(tmp_path: Path) -> None:
    assert pmic_watts(PMIC) == pytest.approx({"VDD_CORE": 1.5, "3V7_WL_SW": 0.35})
    meter = find_meter(tmp_path, fake_vcgencmd(tmp_path, pmic_read_adc=PMIC))
    assert isinstance(meter, Sampled)
    meter.start()
    assert meter.stop().keys() == {"VDD_CORE", "3V7_WL_SW"}


def test_a_raspberry_pi_4_has_no_sensor(tmp_path: Path) -> None:
    found = find_meter(tmp_path, fake_vcgencmd(tmp_path, pmic_read_adc="Command not registered"))
    assert isinstance(found, str)
    assert "no sensor" in found


def test_power_is_integrated_by_trapezoids(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 14.0])
    power = iter([{"rail": 2.0}, {"rail": 4.0}])
    meter = Sampled("fake", lambda: next(power), period_s=1000)
    monkeypatch.setattr("ecc_deploy.bench.energy.time.monotonic", lambda: next(clock))
    meter.start()
    assert meter.stop() == {"rail": 12.0}


class Runtime:
    """Answers at once."""

    answers = 0

    def predict(self, image: object) -> Prediction:
        self.answers += 1
        return Prediction(toy.GATE, Route.EDGE, Reason.EDGE_ONLY)


class Counted(Meter):
    """One joule per answer and four that are always there."""

    name = "fake"

    def __init__(self, runtimes: list[Runtime]) -> None:
        self._runtimes = runtimes
        self._before = 0

    def _count(self) -> int:
        return sum(runtime.answers for runtime in self._runtimes)

    def start(self) -> None:
        self._before = self._count()

    def stop(self) -> dict[str, float]:
        return {"all": 4.0 + self._count() - self._before}


def _arms(count: int) -> list[OpenArm]:
    return [OpenArm(ArmSpec(f"arm {i}", "edge-only", "edge-only", None), Runtime()) for i in range(count)]


def test_every_arm_has_its_energy() -> None:
    arms, samples = _arms(2), toy.samples(8)
    meter = Counted([arm.runtime for arm in arms])  # type: ignore[misc]  # the runtimes of _arms
    found = energy_series(arms, samples, choose_samples(8, 8, 0), meter, seconds=0.02, seed=0, progress=silent)
    for arm, energy in zip(arms, found, strict=True):
        assert energy.samples == arm.runtime.answers  # type: ignore[attr-defined]  # as above
        spent = energy.samples + 4.0 * series_module._ROUNDS
        assert energy.joules == {"all": spent}
        assert energy.joules_per_sample == spent / energy.samples
        assert energy.mean_watts == spent / energy.seconds
        assert energy.idle_watts is not None
        assert energy.not_measured is None
        assert energy.sensor == "fake"


def test_without_a_sensor_there_is_a_reason_and_no_number() -> None:
    arms = _arms(2)
    found = energy_series(
        arms, toy.samples(4), choose_samples(4, 4, 0), "no sensor", seconds=5, seed=0, progress=silent
    )
    assert [energy.not_measured for energy in found] == ["no sensor"] * 2
    assert found[0].joules_per_sample is None
    assert [arm.runtime.answers for arm in arms] == [0, 0]  # type: ignore[attr-defined]  # as above
