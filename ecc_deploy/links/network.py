"""Addresses and devices of a link's two ends, set through netlink."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ecc_deploy.errors import LinkError

NAME = "ecc%d"
"""Of devices at the near end: the kernel puts the first number that is free."""
FAR_NAME = "ecc"
QUEUE_PACKETS = 5_000
"""In a device, on its way to the link: the link's own queue shall be the one that is full first."""
_BLOCK = ipaddress.ip_network("198.19.0.0/16")  # half of what RFC 2544 sets apart for benchmarks of network devices


def addresses(name: str) -> tuple[str, str]:
    """The near and the far address of the link whose near device is ``name``; each device has its own four."""
    number = int(name.removeprefix(NAME.partition("%")[0]))
    if not 0 <= number < _BLOCK.num_addresses // 4:
        raise LinkError(f"there are too many links: the device {name} has no addresses")
    return str(_BLOCK[4 * number + 1]), str(_BLOCK[4 * number + 2])


@contextmanager
def netlink() -> Iterator[Any]:
    """A pyroute2 ``IPRoute`` that stays in the namespace in which it was opened; its errors become LinkErrors."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with contextlib.closing(IPRoute()) as ip:
            yield ip
    except NetlinkError as error:
        raise LinkError(f"the kernel refused to set the link up: {error}") from error


def bring_up(ip: Any, name: str, address: str, **settings: Any) -> int:
    """Give the device its address and switch it on; returns its index."""
    with contextlib.suppress(OSError):  # /proc/sys may be read-only; or there may be no IPv6
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    (index,) = ip.link_lookup(ifname=name)
    ip.addr("add", index=index, address=address, prefixlen=30)
    ip.link("set", index=index, txqlen=QUEUE_PACKETS, state="up", **settings)
    return int(index)


def bring_up_loopback(ip: Any) -> None:
    """In a new namespace even this is down."""
    (index,) = ip.link_lookup(ifname="lo")
    ip.link("set", index=index, state="up")
