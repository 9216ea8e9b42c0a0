"""The machine's state at one moment: clocks, heat, throttling. From ``/sys``, ``/proc`` and, on a Raspberry Pi, its
firmware; what is not there is absent, nothing is assumed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from ecc_deploy.bench.schema_setting import Conditions

VCGENCMD = ("vcgencmd",)
_PI_FLAGS = {
    0: "under-voltage now",
    1: "clock capped now",
    2: "throttled now",
    3: "soft temperature limit now",
    16: "under-voltage since start",
    17: "clock capped since start",
    18: "throttled since start",
    19: "soft temperature limit since start",
}
"""Bits of ``vcgencmd get_throttled``, as documented by Raspberry Pi."""
_COUNTS = ("core_throttle_count", "package_throttle_count")
_MUCH_STOLEN = 0.05
_LEAST_S = 5.0
"""Below, what the clock of a second's resolution says is no share."""
_COLDEST, _HOTTEST = -40.0, 150.0
"""Celsius; a zone that says anything else has no sensor behind it."""


def text(path: Path) -> str:
    """What a small file of the kernel says, stripped; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(1 << 16).decode(errors="replace").strip("\0\n ")
    except OSError:
        return ""


def number(path: Path) -> int | None:
    found = text(path)
    return int(found) if re.fullmatch(r"-?\d{1,18}", found) else None


def firmware(command: Sequence[str], *arguments: str) -> str:
    """What ``vcgencmd`` answers; empty where there is none, or it fails."""
    try:
        done = subprocess.run(
            [*command, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace").strip()


def conditions(root: Path = Path("/"), vcgencmd: Sequence[str] = VCGENCMD) -> Conditions:
    """The state now. ``root``: where ``proc`` and ``sys`` are; ``vcgencmd``: how a Raspberry Pi's firmware is asked."""
    temperatures = _temperatures(root)
    throttling, sensor = _pi_throttling(vcgencmd)
    events = _throttle_events(root)
    frequencies = [
        found
        for path in sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
        if (found := number(path)) is not None
    ]
    return Conditions(
        at=datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
        cpu_governor=_governor(root),
        cpu_frequency_mhz=round(sum(frequencies) / len(frequencies) / 1000) if frequencies else None,
        temperature_c=max(temperatures.values(), default=None),
        temperatures_c=temperatures,
        throttling=throttling,
        throttle_sensor=sensor or ("thermal event counts" if events is not None else None),
        throttle_events=events,
        load_average=_load(root),
        cpu_steal_s=_steal(root),
    )


def _governor(root: Path) -> str | None:
    """All governors in use: big and little cores may differ."""
    paths = root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({found for path in paths if (found := text(path))})) or None


def _temperatures(root: Path) -> dict[str, float]:
    found: dict[str, float] = {}

    def note(name: str, path: Path) -> None:
        value = number(path)
        if value is not None and _COLDEST < value / 1000 < _HOTTEST:
            found[name] = max(value / 1000, found.get(name, _COLDEST))

    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        note(text(zone / "type") or zone.name, zone / "temp")
    for path in sorted(root.glob("sys/class/hwmon/hwmon*/temp*_input")):
        kind = text(path.parent / "name")
        if kind in ("coretemp", "k10temp", "cpu_thermal"):
            note(kind, path)
    return found


def _pi_throttling(vcgencmd: Sequence[str]) -> tuple[list[str], str | None]:
    match = re.fullmatch(r"throttled=0x([0-9a-fA-F]{1,8})", firmware(vcgencmd, "get_throttled"))
    if match is None:
        return [], None
    bits = int(match[1], 16)
    return [words for bit, words in _PI_FLAGS.items() if bits >> bit & 1], "vcgencmd get_throttled"


def _throttle_events(root: Path) -> int | None:
    """x86 counts per core and package (every core of a package repeats its count), a Jetson per over-current line."""
    cpus = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"))
    cores = [found for cpu in cpus if (found := number(cpu / _COUNTS[0])) is not None]
    packages: dict[str, int] = {}
    for cpu in cpus:
        found = number(cpu / _COUNTS[1])
        if found is not None:
            packages[text(cpu.parent / "topology/physical_package_id")] = found
    lines = [found for path in root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt") if (found := number(path)) is not None]
    counts = [*cores, *packages.values(), *lines]
    return sum(counts) if counts else None


def _load(root: Path) -> float | None:
    first = text(root / "proc/loadavg").partition(" ")[0]
    return float(first) if re.fullmatch(r"\d+\.\d+", first) else None


def _steal(root: Path) -> float | None:
    """The eighth figure of ``cpu`` in ``/proc/stat``, in clock ticks."""
    line = text(root / "proc/stat").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu" or not line[8].isdigit():
        return None
    return round(int(line[8]) / os.sysconf("SC_CLK_TCK"), 2)


def remarks(before: Conditions, after: Conditions) -> list[str]:
    """What a reader must know of the machine's state: sentences."""
    found = []
    now = [words for words in after.throttling if words.endswith("now")]
    new = [words for words in after.throttling if words not in before.throttling and words not in now]
    if now or new:
        found.append(f"the machine throttled: {', '.join([*now, *new])}")
    if after.throttle_events is not None and after.throttle_events > (before.throttle_events or 0):
        found.append(
            f"the CPU throttled: {after.throttle_events - (before.throttle_events or 0)} thermal events meanwhile"
        )
    if before.cpu_governor != after.cpu_governor:
        found.append(f"the CPU governor changed from {before.cpu_governor} to {after.cpu_governor} meanwhile")
    stolen = _stolen(before, after)
    if stolen is not None and stolen > _MUCH_STOLEN:
        found.append(f"the hypervisor gave {stolen:.0%} of the CPU time to others meanwhile")
    return found


def _stolen(before: Conditions, after: Conditions) -> float | None:
    """Share of the CPU time between, all cores together."""
    one, other = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in (before.at, after.at))
    available = (other - one).total_seconds() * (os.cpu_count() or 1)
    if before.cpu_steal_s is None or after.cpu_steal_s is None or available < _LEAST_S:
        return None
    return (after.cpu_steal_s - before.cpu_steal_s) / available
