"""TUN devices: packets that the kernel routes to one are read from its file, and what is written comes in there."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

from ecc_deploy.errors import LinkError

DEVICE = Path("/dev/net/tun")
MTU = 1500
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000


def open_tun(name: str) -> tuple[int, str]:
    """Make a device, which is gone when its file is closed: a non-blocking descriptor, and its name.

    ``name``: as ``ecc%d``, for the first number that is free. Raises :class:`LinkError`.
    """
    try:
        descriptor = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        answer = fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    except OSError as error:
        raise LinkError(
            f"a TUN device cannot be made: {error.strerror}", "It needs root, or the capability NET_ADMIN."
        ) from error
    return descriptor, answer[:16].rstrip(b"\0").decode()
