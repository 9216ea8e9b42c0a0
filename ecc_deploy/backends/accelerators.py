"""Whether a machine has the accelerator that a target is for, told from what its drivers put under ``/dev``.

No driver is called, so that looking costs nothing and works where no toolchain is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Accelerator = Literal["NVIDIA GPU", "Intel GPU", "Intel NPU"]

ROOT = Path("/")
_NVIDIA = ("dev/nvidia[0-9]*", "dev/nvhost-ctrl-gpu", "dev/nvhost-gpu", "dev/dxg")
"""Of a graphics card, of a Jetson's built-in GPU with older and newer drivers, of Windows' Linux."""
_INTEL = "0x8086"


def is_here(accelerator: Accelerator) -> bool:
    """Whether the system shows a device of this kind."""
    match accelerator:
        case "NVIDIA GPU":
            return any(True for pattern in _NVIDIA for _ in ROOT.glob(pattern))
        case "Intel GPU":
            return _any_of_intel("sys/class/drm/renderD*/device/vendor")
        case "Intel NPU":
            return _any_of_intel("sys/class/accel/accel*/device/vendor")


def _any_of_intel(pattern: str) -> bool:
    return any(path.read_text().strip() == _INTEL for path in ROOT.glob(pattern))
