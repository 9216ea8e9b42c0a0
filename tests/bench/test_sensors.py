import os
import sys
from pathlib import Path

from ecc_deploy.bench.schema_setting import Conditions
from ecc_deploy.bench.sensors import conditions, firmware, remarks

NO_VCGENCMD = ("vcgencmd-that-is-nowhere",)


def put(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def fake_vcgencmd(tmp_path: Path, **answers: str) -> tuple[str, ...]:
    """A program that answers as ``vcgencmd`` does, and fails for what it does not know."""
    script = tmp_path / "vcgencmd.py"
    script.write_text(f"import sys\nanswers = {answers!r}\nprint(answers[sys.argv[1]])\n")
    return (sys.executable, "-S", str(script))


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    found = conditions(tmp_path, NO_VCGENCMD)
    assert found == Conditions(at=found.at)


def test_an_x86_machine(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu"
    files: dict[str, object] = {
        "proc/loadavg": "0.52 0.58 0.59 1/467 12345",
        "proc/stat": "cpu  100 0 100 5000 10 0 5 250 0 0\ncpu0 1 2 3",
        "sys/class/thermal/thermal_zone0/type": "acpitz",
        "sys/class/thermal/thermal_zone0/temp": 27800,
        "sys/class/thermal/thermal_zone1/type": "broken",
        "sys/class/thermal/thermal_zone1/temp": -273200,
        "sys/class/hwmon/hwmon3/name": "coretemp",
        "sys/class/hwmon/hwmon3/temp1_input": 61000,
        "sys/class/hwmon/hwmon3/temp2_input": 64500,
        "sys/class/hwmon/hwmon4/name": "nvme",
        "sys/class/hwmon/hwmon4/temp1_input": 80000,
    }
    for i, (clock, governor) in enumerate([(2_000_000, "performance"), (3_000_000, "powersave")]):
        files |= {
            f"{cpu}/cpu{i}/cpufreq/scaling_cur_freq": clock,
            f"{cpu}/cpu{i}/cpufreq/scaling_governor": governor,
            f"{cpu}/cpu{i}/thermal_throttle/core_throttle_count": 3 + i,
            f"{cpu}/cpu{i}/thermal_throttle/package_throttle_count": 20,
            f"{cpu}/cpu{i}/topology/physical_package_id": 0,
        }
    found = conditions(put(tmp_path, files), NO_VCGENCMD)
    assert found.cpu_governor == "performance, powersave"
    assert found.cpu_frequency_mhz == 2500
    assert found.temperatures_c == {"acpitz": 27.8, "coretemp": 64.5}
    assert found.temperature_c == 64.5
    assert found.throttle_events == 3 + 4 + 20  # each core its own, the package once
    assert found.throttle_sensor == "thermal event counts"
    assert found.load_average == 0.52
    assert found.cpu_steal_s is not None
    assert found.cpu_steal_s > 0


def test_a_raspberry_pi(tmp_path: Path) -> None:
    put(
        tmp_path, {"sys/class/thermal/thermal_zone0/type": "cpu-thermal", "sys/class/thermal/thermal_zone0/temp": 71200}
    )
    found = conditions(tmp_path, fake_vcgencmd(tmp_path, get_throttled="throttled=0xd0004"))
    assert found.throttling == [
        "throttled now", "under-voltage since start", "throttled since start", "soft temperature limit since start",
    ]  # fmt: skip
    assert found.throttle_sensor == "vcgencmd get_throttled"
    assert found.temperature_c == 71.2
    assert conditions(tmp_path, fake_vcgencmd(tmp_path, get_throttled="throttled=0x0")).throttling == []


def test_firmware_that_fails_or_talks_nonsense_says_nothing(tmp_path: Path) -> None:
    assert firmware(fake_vcgencmd(tmp_path), "get_throttled") == ""
    found = conditions(tmp_path, fake_vcgencmd(tmp_path, get_throttled="VCHI initialization failed"))
    assert (found.throttling, found.throttle_sensor) == ([], None)


def test_counts_of_a_jetson(tmp_path: Path) -> None:
    put(tmp_path, {"sys/class/hwmon/hwmon1/oc1_event_cnt": 2, "sys/class/hwmon/hwmon1/oc3_event_cnt": 5})
    assert conditions(tmp_path, NO_VCGENCMD).throttle_events == 7


def test_what_a_reader_must_know() -> None:
    now = "2026-11-22T06:00:00Z"
    calm = Conditions(at=now, cpu_governor="performance", throttle_events=4, throttling=["throttled since start"])
    assert remarks(calm, calm) == []
    hot = calm.model_copy(
        update={
            "throttle_events": 9, "cpu_governor": "powersave",
            "throttling": ["under-voltage now", "throttled since start", "clock capped since start"],
        }
    )  # fmt: skip
    assert remarks(calm, hot) == [
        "the machine throttled: under-voltage now, clock capped since start",
        "the CPU throttled: 5 thermal events meanwhile",
        "the CPU governor changed from performance to powersave meanwhile",
    ]


def test_time_that_a_hypervisor_gave_away_is_told() -> None:
    before = Conditions(at="2026-11-22T06:00:00Z", cpu_steal_s=10.0)
    seconds = 100 * (os.cpu_count() or 1)
    after = Conditions(at="2026-11-22T06:01:40Z", cpu_steal_s=10.0 + 0.25 * seconds)
    assert remarks(before, after) == ["the hypervisor gave 25% of the CPU time to others meanwhile"]
    assert remarks(before, after.model_copy(update={"cpu_steal_s": 10.0 + 0.01 * seconds})) == []
    assert remarks(before, after.model_copy(update={"at": "2026-11-22T06:00:01Z"})) == []
