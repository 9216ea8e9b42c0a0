"""A link through a TCP proxy: without root, and without what TCP does on a real link."""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import threading
import time
from collections.abc import Iterator

from ecc_deploy.errors import LinkError
from ecc_deploy.links.check import calibrate_and_check
from ecc_deploy.links.helper import Helper
from ecc_deploy.links.link import Link
from ecc_deploy.links.probes import Burst
from ecc_deploy.links.profile import LinkProfile
from ecc_deploy.links.segments import HEADERS, PAYLOAD, with_headers

_HOST = "127.0.0.1"
_PINGS = 11


class ProxyLink(Link):
    """Between any two programs on this machine, by TCP. Bytes are not counted: there are no packets."""

    method = "proxy"

    def __init__(self, profile: LinkProfile, *, verify: bool) -> None:
        self.profile = profile
        self.far: list[str] = []
        self.far_host = _HOST
        self._ports: dict[int, int] = {}
        self._own_ms = 0.0
        self._helper = Helper("ecc_deploy.links.proxy", profile.model_dump_json())
        self.note = ", ".join(("TCP proxy: no TCP dynamics, no losses", *self._helper.facts["notes"]))
        if verify:
            try:
                self._verify()
            except BaseException:
                self.close()
                raise

    def url(self, port: int) -> str:
        if port not in self._ports:
            self._ports[port] = self._helper.ask("listen", port=port)["port"]
        return f"{_HOST}:{self._ports[port]}"

    def counts(self) -> None:
        return None

    def change(self, profile: LinkProfile) -> None:
        self._apply(profile, self._own_ms)
        self.profile = profile

    def cut(self) -> None:
        self._helper.ask("cut")

    def restore(self) -> None:
        self._helper.ask("restore")

    def close(self) -> None:
        self._helper.close()

    def _apply(self, profile: LinkProfile, own_ms: float) -> None:
        self._helper.ask("change", profile=profile.model_dump(mode="json"), own_ms=own_ms)

    def _verify(self) -> None:
        with ProxyProber(self) as prober:
            self.check, self._own_ms = calibrate_and_check(self.profile, prober, self._apply)
        self.note += f", own delay of {self._own_ms:.2f} ms taken off"


class ProxyProber:
    """Measures between two ends in this process."""

    ping_bytes = with_headers(1)

    def __init__(self, link: ProxyLink) -> None:
        self._listener = socket.create_server((_HOST, 0))
        self._host, port = link.url(self._listener.getsockname()[1]).split(":")
        self._port = int(port)

    def __enter__(self) -> ProxyProber:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def rtt_ms(self, timeout_s: float) -> float | None:
        """The median of one byte there and one back."""
        found = []
        with self._pair(timeout_s) as (near, far), contextlib.suppress(TimeoutError):
            threading.Thread(target=_echo, args=(far,), daemon=True).start()
            for _ in range(_PINGS):
                start = time.perf_counter_ns()
                near.sendall(b"?")
                if not near.recv(1):
                    break
                found.append((time.perf_counter_ns() - start) / 1e6)
        return statistics.median(found) if found else None

    def mbit(self, direction: str, burst: Burst, timeout_s: float) -> float | None:
        """The rate with headers, by regression of received bytes over time."""
        count = burst.packets * PAYLOAD
        with self._pair(timeout_s) as (near, far):
            sender, receiver = (near, far) if direction == "up" else (far, near)
            threading.Thread(target=_send, args=(sender, count), daemon=True).start()
            times, bits, received = [], [], 0
            with contextlib.suppress(TimeoutError):
                while received < count and (data := receiver.recv(1 << 16)):
                    received += len(data)
                    times.append(time.perf_counter_ns() / 1e3)
                    bits.append(received * 8 * (PAYLOAD + HEADERS) / PAYLOAD)
        return statistics.linear_regression(times, bits).slope if received == count and len(times) > 2 else None

    @contextlib.contextmanager
    def _pair(self, timeout_s: float) -> Iterator[tuple[socket.socket, socket.socket]]:
        self._listener.settimeout(timeout_s)
        with socket.create_connection((self._host, self._port), timeout=timeout_s) as near:
            try:
                far, _ = self._listener.accept()
            except TimeoutError:
                raise LinkError("the link's proxy passed no connection on") from None
            with far:
                for sock in (near, far):
                    sock.settimeout(timeout_s)
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                near.sendall(struct.pack("<I", 0))  # the first bytes wait for a round trip
                if len(far.recv(4, socket.MSG_WAITALL)) < 4:
                    raise LinkError("the link's proxy broke a connection")
                yield near, far


def _echo(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := sock.recv(1):
            sock.sendall(data)


def _send(sock: socket.socket, count: int) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(bytes(count))
