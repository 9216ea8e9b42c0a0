"""What a benchmark ran on. Facts about the machine's kind only: no host name, no user name, no path."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

UNKNOWN = "unknown"

CPU_FLAGS = (
    # x86: what integer and reduced-precision kernels are chosen by
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni"),
    *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    # Arm: `asimddp` are the 8-bit dot products, `asimdhp` half precision
    *("neon", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
PACKAGES = ("ecc-deploy", "numpy", "onnxruntime", "openvino", "ai-edge-litert", "tensorrt", "grpcio", "protobuf")
PACKAGES_OF_CODECS = ("pillow", "zstandard")

_ARM_CORES = {
    "0xd03": "Cortex-A53",
    "0xd05": "Cortex-A55",
    "0xd07": "Cortex-A57",
    "0xd08": "Cortex-A72",
    "0xd0b": "Cortex-A76",
    "0xd0c": "Neoverse-N1",
    "0xd40": "Neoverse-V1",
    "0xd41": "Cortex-A78",
    "0xd42": "Cortex-A78AE",
    "0xd49": "Neoverse-N2",
    "0xd4f": "Neoverse-V2",
}
"""Of implementer 0x41, Arm: the Raspberry Pi, Jetson and server cores that are likely to be met."""


def fingerprint(root: Path = Path("/")) -> dict[str, Any]:
    """CPU, memory, system and versions; ``"unknown"`` or ``None`` for what this system does not tell.

    ``root``: where ``proc``, ``sys`` and ``etc`` are.
    """
    cpuinfo = _text(root / "proc/cpuinfo")
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    return {
        "machine": _text(root / "proc/device-tree/model").strip("\0\n ") or UNKNOWN,
        "cpu": _cpu_model(cpuinfo),
        "architecture": platform.machine() or UNKNOWN,
        "cpu_flags": _flags(cpuinfo),
        "cores": os.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu_quota_cores": _cpu_quota(root),
        "cpu_governor": _text(cpufreq / "scaling_governor").strip() or UNKNOWN,
        "cpu_frequency_mhz": _frequency(cpuinfo, cpufreq / "scaling_cur_freq"),
        "cpu_max_frequency_mhz": _kilo(_text(cpufreq / "cpuinfo_max_freq")),
        "memory_mib": _kilo(_match(r"^MemTotal:\s*(\d+) kB", _text(root / "proc/meminfo")), 1024),
        "is_virtual": "hypervisor" in cpuinfo.split() if cpuinfo else None,
        "container": _container(root),
        "os": _match(r'^PRETTY_NAME="?([^"\n]+)', _text(root / "etc/os-release")) or platform.system() or UNKNOWN,
        "kernel": f"{platform.system()} {platform.release()}".strip() or UNKNOWN,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in PACKAGES + PACKAGES_OF_CODECS if (found := _version(name))},
    }


def load_average() -> float | None:
    """Processes running or waiting to run, mean over the last minute; ``None`` where the system does not tell."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return None


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[: 1 << 20].decode(errors="replace")
    except OSError:
        return ""


def _match(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found[1].strip() if found else ""


def _cpu_model(cpuinfo: str) -> str:
    """x86 names its model; Arm gives part numbers, one per core type."""
    name = _match(r"^model name\s*:\s*(.+)", cpuinfo)
    if name:
        return name
    parts = dict.fromkeys(re.findall(r"^CPU part\s*:\s*(\w+)", cpuinfo, re.MULTILINE))
    return " + ".join(_ARM_CORES.get(part, f"part {part}") for part in parts) or platform.processor() or UNKNOWN


def _flags(cpuinfo: str) -> list[str]:
    listed = set(_match(r"^(?:flags|Features)\s*:\s*(.+)", cpuinfo).split())
    return [flag for flag in CPU_FLAGS if flag in listed]


def _kilo(text: str, unit: int = 1000) -> int | None:
    return round(int(text) / unit) if text.strip().isdigit() else None


def _frequency(cpuinfo: str, current: Path) -> int | None:
    from_cpuinfo = _match(r"^cpu MHz\s*:\s*([\d.]+)", cpuinfo)
    return _kilo(_text(current)) or (round(float(from_cpuinfo)) if from_cpuinfo else None)


def _cpu_quota(root: Path) -> float | None:
    """Cores that the control group may use: ``cpu.max`` is "QUOTA PERIOD" in microseconds, or "max PERIOD"."""
    quota = re.match(r"(\d+) (\d+)", _text(root / "sys/fs/cgroup/cpu.max"))
    return round(int(quota[1]) / int(quota[2]), 2) if quota else None


def _container(root: Path) -> str:
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    kind = _match(r"(docker|kubepods|libpod|lxc)", _text(root / "proc/1/cgroup"))
    return kind or "none found"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
