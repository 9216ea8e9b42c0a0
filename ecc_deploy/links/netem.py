"""Linux's own emulation, the queueing discipline netem, at both ends of a veth pair.

The near end holds back what goes up, the far end what goes down. netem counts in packets what it holds, so its limit
is the queue and what is under way, in packets of full size. Its jitter is even, as ours; with a rate, packets keep
their order.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import socket
import struct
from array import array
from typing import Any

from ecc_deploy.errors import LinkError
from ecc_deploy.links import network
from ecc_deploy.links.helper import Facts, LinkUnavailableError
from ecc_deploy.links.line import Shape
from ecc_deploy.links.profile import LinkProfile
from ecc_deploy.links.tun import MTU

KIND = "netem"
MIN_LIMIT, UNLIMITED = 10, 10_000
_ROOT, _HANDLE = 0xFFFFFFFF, 0x10000
_ETHERNET_HEADER = 14
_SIOCETHTOOL = 0x8946
_OFFLOADS = (0x1F, 0x24, 0x2C)
"""ethtool's commands that set TSO, GSO and GRO: packets larger than the MTU would pass as one."""


def options(profile: LinkProfile, direction: str, own_ms: float = 0.0, *, is_cut: bool = False) -> dict[str, Any]:
    """What netem is told for one direction: ``struct tc_netem_qopt`` of ``linux/pkt_sched.h``, and its rate."""
    from pyroute2.netlink.rtnl.tcmsg.common import percent2u32, time2tick

    shape = Shape.of(profile, direction, own_ms)
    found: dict[str, Any] = {
        "delay": int(time2tick(round(shape.delay_ns / 1e3))),
        "jitter": int(time2tick(round(shape.jitter_ns / 1e3))),
        "loss": percent2u32(100 if is_cut else shape.loss * 100),
        "limit": UNLIMITED,
        "gap": 0,
        "duplicate": 0,
    }
    if shape.ns_per_byte:
        held_ns = shape.queue_ns + shape.delay_ns + shape.jitter_ns
        found["limit"] = max(MIN_LIMIT, math.ceil(held_ns / shape.ns_per_byte / MTU))
        # A rate of IP packets: the header of Ethernet is part of a packet here, and not of the profile.
        rate = {"rate": round(1e9 / shape.ns_per_byte), "packet_overhead": -_ETHERNET_HEADER}
        found["attrs"] = [["TCA_NETEM_RATE", {**rate, "cell_size": 0, "cell_overhead": 0}]]
    return found


class Netem:
    """A veth pair with netem at both ends. ``near`` and ``far``: an ``IPRoute`` of each namespace."""

    def __init__(self, near: Any, far: Any, indices: dict[str, int], profile: LinkProfile) -> None:
        self._ends = {"up": (near, indices["up"]), "down": (far, indices["down"])}
        self._profile = profile
        self._own_ms = 0.0
        self._is_cut = False
        self._tell_both(is_new=True)

    def handlers(self) -> dict[str, Any]:
        """What the parent may ask."""
        return {"change": self.change, "cut": self.cut, "restore": self.restore, "counts": self.counts}

    def change(self, profile: Facts, own_ms: float) -> None:
        self._profile, self._own_ms = LinkProfile.model_validate(profile), own_ms
        self._tell_both()

    def cut(self) -> None:
        """Drop everything from here on; what is under way still arrives."""
        self._is_cut = True
        self._tell_both()

    def restore(self) -> None:
        self._is_cut = False
        self._tell_both()

    def counts(self) -> Facts:
        """IP bytes of the near device. What netem dropped never left it."""
        near, index = self._ends["up"]
        stats = near.get_links(index)[0].get_attr("IFLA_STATS64")
        return {
            "up": stats["tx_bytes"] - _ETHERNET_HEADER * stats["tx_packets"],
            "down": stats["rx_bytes"] - _ETHERNET_HEADER * stats["rx_packets"],
        }

    def _tell_both(self, *, is_new: bool = False) -> None:
        # Not by IPRoute.tc(): it would send the rate once more, as an attribute of another meaning.
        from pyroute2.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST
        from pyroute2.netlink.exceptions import NetlinkError
        from pyroute2.netlink.rtnl import RTM_NEWQDISC
        from pyroute2.netlink.rtnl.tcmsg import tcmsg

        flags = NLM_F_REQUEST | NLM_F_ACK | (NLM_F_CREATE | NLM_F_EXCL if is_new else 0)
        for direction, (end, index) in self._ends.items():
            message = tcmsg()
            message["index"], message["parent"], message["handle"] = index, _ROOT, _HANDLE
            told = options(self._profile, direction, self._own_ms, is_cut=self._is_cut)
            message["attrs"] = [("TCA_KIND", KIND), ("TCA_OPTIONS", told)]
            message["header"]["type"], message["header"]["flags"] = RTM_NEWQDISC, flags
            try:
                end.nlm_request_batch([message])
            except NetlinkError as error:
                reason = f"has no {KIND}" if error.code == errno.ENOENT else f"does not take {KIND}: {error.args[1]}"
                raise LinkUnavailableError(f"this kernel {reason}") from error


def make_pair(ip: Any) -> tuple[str, str]:
    """Make a veth pair under the first number that is free; returns the names of its ends, both still here."""
    from pyroute2.netlink.exceptions import NetlinkError

    taken = {link.get_attr("IFLA_IFNAME") for link in ip.get_links()}
    for number in range(10_000):
        name = network.NAME % number
        if name in taken:
            continue
        try:
            ip.link("add", ifname=name, kind="veth", peer={"ifname": f"{name}-far"})
        except NetlinkError as error:
            if error.code != errno.EEXIST:  # else somebody took it meanwhile
                raise
        else:
            return name, f"{name}-far"
    raise LinkError("there are too many links")


def move_away(ip: Any, name: str) -> None:
    """Put a device from the namespace of ``ip`` into that of this process."""
    (index,) = ip.link_lookup(ifname=name)
    ip.link("set", index=index, net_ns_pid=os.getpid())


def rename(ip: Any, name: str, wanted: str) -> None:
    (index,) = ip.link_lookup(ifname=name)
    ip.link("set", index=index, ifname=wanted)


def hardware_address(ip: Any, index: int) -> str:
    return str(ip.get_links(index)[0].get_attr("IFLA_ADDRESS"))


def know_neighbour(ip: Any, index: int, address: str, hardware: str) -> None:
    """Save the two ends from asking each other for it, through the link, again and again."""
    ip.neigh("add", dst=address, lladdr=hardware, ifindex=index, state="permanent")


def switch_off_offloads(name: str) -> None:
    """So that every packet is one on the link, as its rate and its counts need. In this process's namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in _OFFLOADS:
            value = array("I", [command, 0])
            request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, _SIOCETHTOOL, request)
