import json
import platform
import socket
from pathlib import Path

from ecc_deploy.bench.environment import UNKNOWN, fingerprint, load_average

RASPBERRY_PI = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU part\t: 0xd0b

processor\t: 1
CPU part\t: 0xd0b
"""


def test_this_machine() -> None:
    facts = fingerprint()
    json.dumps(facts)
    assert facts["cpu"] != UNKNOWN
    assert facts["cpu_flags"]
    assert 1 <= facts["cores_usable"] <= facts["cores"]
    assert facts["memory_mib"] > 100
    assert facts["kernel"] == f"Linux {platform.release()}"
    assert {"ecc-deploy", "numpy", "onnxruntime", "grpcio"} <= facts["versions"].keys()
    load = load_average()
    assert load is not None
    assert load >= 0


def test_it_names_nobody() -> None:
    text = json.dumps(fingerprint())
    assert str(Path.home()) not in text
    assert "/" not in "".join(fingerprint()["versions"].values())
    name = socket.gethostname()
    values = [value for value in fingerprint().values() if isinstance(value, str)]
    assert name not in values


def test_a_raspberry_pi(tmp_path: Path) -> None:
    frequency = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    for folder in ("proc/device-tree", "etc", "sys/fs/cgroup", "run"):
        (tmp_path / folder).mkdir(parents=True)
    frequency.mkdir(parents=True)
    (tmp_path / "proc/cpuinfo").write_text(RASPBERRY_PI)
    (tmp_path / "proc/meminfo").write_text("MemTotal:        8245936 kB\nMemFree: 1 kB\n")
    (tmp_path / "proc/device-tree/model").write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    (tmp_path / "etc/os-release").write_text('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    (frequency / "scaling_governor").write_text("ondemand\n")
    (frequency / "scaling_cur_freq").write_text("1500000\n")
    (frequency / "cpuinfo_max_freq").write_text("2400000\n")
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("150000 100000\n")
    (tmp_path / "run/.containerenv").touch()
    facts = fingerprint(tmp_path)
    wanted = {
        "machine": "Raspberry Pi 5 Model B Rev 1.0",
        "cpu": "Cortex-A76",
        "cpu_flags": ["asimd", "asimdhp", "asimddp"],
        "cpu_governor": "ondemand",
        "cpu_frequency_mhz": 1500,
        "cpu_max_frequency_mhz": 2400,
        "cpu_quota_cores": 1.5,
        "memory_mib": 8053,
        "is_virtual": False,
        "container": "podman",
        "os": "Debian GNU/Linux 12 (bookworm)",
    }
    assert {key: facts[key] for key in wanted} == wanted


def test_a_system_that_tells_nothing(tmp_path: Path) -> None:
    facts = fingerprint(tmp_path)
    assert facts["machine"] == facts["cpu_governor"] == UNKNOWN
    assert facts["cpu_flags"] == []
    assert facts["memory_mib"] is None
    assert facts["cpu_frequency_mhz"] is None
    assert facts["is_virtual"] is None
