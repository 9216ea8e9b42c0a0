"""Where the cloud server is: its addresses, and what kind of link leads there."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from ecc_deploy.errors import ServerError, UsageError

Address = tuple[str, int]
"""IP address as text, port."""


@dataclass(frozen=True)
class Endpoint:
    """The host of a URL, and the addresses that it leads to."""

    host: str
    addresses: frozenset[Address]

    @property
    def names(self) -> set[str]:
        """Every text that says where the server is."""
        return {self.host, *(ip for ip, _ in self.addresses)}

    @property
    def link(self) -> str:
        """The kind of link, with nothing that names the server."""
        ips = [ipaddress.ip_address(ip) for ip, _ in self.addresses]
        if all(ip.is_loopback for ip in ips):
            return "loopback"
        return "private network" if all(ip.is_private for ip in ips) else "public network"


def resolve(url: str) -> Endpoint:
    """Resolve ``host:port``; IPv6 as ``[::1]:8001``.

    Raises :class:`UsageError` for another form, :class:`ServerError` for a host that is not known.
    """
    host, _, port = url.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{url!r} is not the address of a server", "It is HOST:PORT, for example 192.168.1.20:8001.")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(
            f"the host {host!r} cannot be found ({error})", "Check its name, or give its IP address."
        ) from error
    return Endpoint(host, frozenset(plain(entry[4]) for entry in found))


def plain(address: tuple) -> Address:
    """A socket address as text and port: IPv4 within an IPv6 socket is IPv4 on the wire; no scope."""
    ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip), int(address[1])
