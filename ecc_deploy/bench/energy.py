"""Energy from a sensor, or the reason why there is none. Nothing is estimated from loads or data sheets.

Three kinds of sensor: Intel's and AMD's RAPL through the kernel's powercap files, the INA3221 of a Jetson through
hwmon, and the power chip of a Raspberry Pi 5 through its firmware. A discrete GPU is not covered.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from ecc_deploy.bench.sensors import VCGENCMD, firmware, number, text

# Rails that together are the whole module, by what NVIDIA calls them on its boards.
_WHOLE_MODULE = (
    {"VDD_IN"},
    {"POM_5V_IN"},
    {"VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"},
    {"GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"},
)


class Meter(ABC):
    """Measures energy between :meth:`start` and :meth:`stop`."""

    name: str
    """What is read, and what it covers."""

    @abstractmethod
    def start(self) -> None:
        """Count from here."""

    @abstractmethod
    def stop(self) -> dict[str, float]:
        """Joules since :meth:`start`, by domain; the domains do not overlap."""


class Rapl(Meter):
    """Counters of packages and memory. ``domains``: folders with ``energy_uj``, by name.

    A counter starts again at 0 beyond ``max_energy_range_uj``; one that does so twice in a measurement is not noticed
    (tens of minutes under full load).
    """

    def __init__(self, domains: dict[str, Path]) -> None:
        self.name = f"RAPL: {', '.join(domains)}; the processor without board, disk and power supply"
        self._domains = domains
        self._before: dict[str, int] = {}

    def start(self) -> None:
        self._before = self._read()

    def stop(self) -> dict[str, float]:
        found = {}
        for name, now in self._read().items():
            span = number(self._domains[name] / "max_energy_range_uj") or 0
            used = now - self._before[name]
            found[name] = (used + span if used < 0 else used) / 1e6
        return found

    def _read(self) -> dict[str, int]:
        return {name: int((folder / "energy_uj").read_text()) for name, folder in self._domains.items()}


class Sampled(Meter):
    """Integrates power that is read now and then, by the trapezoidal rule. ``watts``: by domain, at this moment.

    ``period_s``: between readings; a load that changes much faster is not followed.
    """

    def __init__(self, name: str, watts: Callable[[], dict[str, float]], period_s: float) -> None:
        self.name = f"{name}, read every {period_s:g} s"
        self._watts = watts
        self._period_s = period_s
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        self._readings: list[tuple[float, dict[str, float]]] = []

    def start(self) -> None:
        self._end.clear()
        self._readings = [self._reading()]
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, float]:
        self._end.set()
        if self._thread is not None:
            self._thread.join()
        self._readings.append(self._reading())
        joules = dict.fromkeys(self._readings[0][1], 0.0)
        for (earlier, one), (later, other) in zip(self._readings[:-1], self._readings[1:], strict=True):
            for domain in joules:
                joules[domain] += (later - earlier) * (one[domain] + other[domain]) / 2
        return joules

    def _sample(self) -> None:
        while not self._end.wait(self._period_s):
            self._readings.append(self._reading())

    def _reading(self) -> tuple[float, dict[str, float]]:
        watts = self._watts()
        return time.monotonic(), watts


def find_meter(root: Path = Path("/"), vcgencmd: Sequence[str] = VCGENCMD) -> Meter | str:
    """The sensor of this machine, or why there is none. ``root``: where ``sys`` is."""
    reasons = []
    for look in (_jetson, _rapl):
        found = look(root)
        if isinstance(found, Meter):
            return found
        reasons += [found] if found else []
    if pmic_watts(firmware(vcgencmd, "pmic_read_adc")):
        return Sampled(
            "Raspberry Pi 5 power chip (pmic_read_adc): its rails, without what the 5 V pins and USB take",
            lambda: pmic_watts(firmware(vcgencmd, "pmic_read_adc")),
            0.2,
        )
    return "; ".join(reasons) or "there is no sensor that is known here (RAPL, Jetson INA3221, Raspberry Pi 5 PMIC)"


def _rapl(root: Path) -> Meter | str:
    domains: dict[str, Path] = {}
    for folder in sorted(root.glob("sys/class/powercap/intel-rapl:*")):
        name = text(folder / "name")
        # Cores and graphics are parts of a package; "psys" is the platform, packages included.
        if name.startswith("package-") or name == "dram":
            zones = folder.name.count(":")
            parent = text(folder.parent / ":".join(folder.name.split(":")[:2]) / "name") if zones > 1 else ""
            domains[f"{parent} {name}".strip()] = folder
    if not domains:
        return ""
    try:
        meter = Rapl(domains)
        meter.start()
    except PermissionError:
        return "RAPL is there, and only root may read it (energy_uj)"
    except (OSError, ValueError):
        return "RAPL is there, and cannot be read"
    return meter


def _jetson(root: Path) -> Meter | str:
    rails: dict[str, tuple[Path, Path]] = {}
    for chip in sorted(root.glob("sys/class/hwmon/hwmon*")):
        if text(chip / "name") == "ina3221":
            for label in sorted(chip.glob("in[0-9]_label")):
                volts, amperes = chip / f"in{label.name[2]}_input", chip / f"curr{label.name[2]}_input"
                if number(volts) is not None and number(amperes) is not None:
                    rails[text(label)] = (volts, amperes)
    if not rails:
        return ""
    whole = next((names for names in _WHOLE_MODULE if names <= rails.keys()), None)
    if whole is None:
        return f"the rails of this board's INA3221 are not known ({', '.join(sorted(rails))})"

    def watts() -> dict[str, float]:
        return {name: (number(rails[name][0]) or 0) * (number(rails[name][1]) or 0) / 1e6 for name in sorted(whole)}

    return Sampled(f"INA3221: {', '.join(sorted(whole))}; the whole module", watts, 0.05)


def pmic_watts(answer: str) -> dict[str, float]:
    """Watts by rail from the answer of ``vcgencmd pmic_read_adc``: rails of which current and voltage are told."""
    values: dict[str, dict[str, float]] = {"current": {}, "volt": {}}
    for line in answer.splitlines():
        name, _, rest = line.strip().partition(" ")
        kind, _, value = rest.strip().partition("=")
        try:
            values[kind.partition("(")[0]][name[:-2]] = float(value[:-1])
        except (KeyError, ValueError):
            continue
    return {
        rail: values["current"][rail] * values["volt"][rail] for rail in values["current"] if rail in values["volt"]
    }
