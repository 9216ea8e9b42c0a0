"""What every kind of link has to do, whichever way it is emulated."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecc_deploy.errors import LinkError
from ecc_deploy.links import Link, Method, load_link, open_link
from ecc_deploy.links.check import TOLERANCE
from ecc_deploy.links.opening import why_not

ECHO = """
import socket, sys, threading
listener = socket.create_server((sys.argv[1], 0))
print(listener.getsockname()[1], flush=True)
def answer(sock):
    with sock:
        while data := sock.recv(1 << 16):
            sock.sendall(data)
while True:
    threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""
HOLDER = """
import sys, time
from ecc_deploy.links import load_link, open_link
link = open_link(load_link("rate=20mbit,delay=4ms"), method=sys.argv[1], verify=False)
print(link._helper.pid, getattr(link, "device", "-"), flush=True)
time.sleep(600)
"""


def needs(method: Method) -> pytest.MarkDecorator:
    """Skips, and says why, where this machine cannot emulate by ``method``."""
    reason = why_not(method)
    return pytest.mark.skipif(reason is not None, reason=f"a link by {method} is NOT TESTED here: {reason}")


@contextlib.contextmanager
def far_echo(link: Link) -> Iterator[tuple[str, int]]:
    """A server at the far end that sends back what it gets: where a client here reaches it."""
    process = subprocess.Popen(
        [*link.far, sys.executable, "-I", "-c", ECHO, link.far_host], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        host, port = link.url(int(process.stdout.readline())).split(":")
        yield host, int(port)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def exchange(sock: socket.socket, data: bytes) -> bytes:
    """Send, and read as much as was sent."""
    sock.sendall(data)
    got = b""
    while len(got) < len(data) and (more := sock.recv(1 << 16)):
        got += more
    return got


def device_index(name: str) -> int | None:
    """The number that the kernel never gives again, unlike the name; ``None`` where a link has no device."""
    return None if name == "-" else socket.if_nametoindex(name)


def device_indices() -> set[int]:
    return {index for index, _ in socket.if_nameindex()}


def children() -> set[str]:
    """Processes that this one has started and that are still there."""
    return {pid for path in Path("/proc/self/task").glob("*/children") for pid in path.read_text().split()}


def wait_until(is_so: object, seconds: float = 10.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if is_so():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


class LinkConformance:
    """Inherit, and set ``method``."""

    method: Method

    def open(self, text: str, *, verify: bool = False) -> Link:
        return open_link(load_link(text), method=self.method, verify=verify)

    def open_checked(self, text: str) -> Link:
        """As a user would on a busy machine, where the check may refuse at first: try again."""
        for _ in range(3):
            with contextlib.suppress(LinkError):
                return self.open(text, verify=True)
        return self.open(text, verify=True)

    def test_it_is_what_its_profile_says(self) -> None:
        with self.open_checked("up=5mbit,down=20mbit,delay=20ms") as link:
            assert link.method == self.method
            assert link.check is not None
            assert set(link.check.off) == {"up_mbit", "down_mbit", "rtt_ms"}
            assert max(abs(share) for share in link.check.off.values()) <= TOLERANCE
            assert link.check.up_mbit == pytest.approx(5, rel=TOLERANCE)
            assert link.check.down_mbit == pytest.approx(20, rel=TOLERANCE)
            assert link.check.rtt_ms == pytest.approx(20, rel=TOLERANCE)
            assert "own delay" in link.note

    def test_what_it_cannot_do_is_refused(self) -> None:
        before = children()
        with pytest.raises(LinkError, match=r"not what its profile says: rate up .* instead of 30000 Mbit/s"):
            self.open("up=30gbit,down=1mbit,delay=20ms", verify=True)
        assert children() == before

    def test_a_program_at_the_far_end_is_reached_through_it(self) -> None:
        with self.open("rate=20mbit,delay=30ms") as link, far_echo(link) as address:
            with socket.create_connection(address, timeout=20) as sock:
                exchange(sock, b"first")
                start = time.perf_counter()
                assert exchange(sock, b"x" * 5000) == b"x" * 5000
                assert time.perf_counter() - start > 0.03  # it cannot have been quicker; by how much is checked above
            with socket.create_connection(address, timeout=20) as sock:
                data = os.urandom(200_000)
                assert exchange(sock, data) == data

    def test_it_can_become_another_link(self) -> None:
        with self.open("rate=50mbit,delay=2ms") as link, far_echo(link) as address:
            slower = load_link("rate=1mbit,delay=100ms,queue=2s")
            with socket.create_connection(address, timeout=20) as sock:
                exchange(sock, bytes(25_000))
                link.change(slower)
                assert link.profile == slower
                start = time.perf_counter()
                exchange(sock, bytes(12_500))
                assert time.perf_counter() - start > 0.2  # 0.1 s at least on the line, and the round trip
                link.change(load_link("rate=50mbit,delay=2ms"))
                assert exchange(sock, b"again") == b"again"

    def test_a_cut_link_passes_nothing_until_it_is_restored(self) -> None:
        with (
            self.open("rate=20mbit,delay=4ms") as link,
            far_echo(link) as address,
            socket.create_connection(address, timeout=20) as sock,
        ):
            assert exchange(sock, b"before") == b"before"
            link.cut()
            sock.sendall(b"during")
            sock.settimeout(0.5)
            with pytest.raises(TimeoutError):
                sock.recv(100)
            link.restore()
            sock.settimeout(30)
            got = exchange(sock, b"+after")
            while len(got) < len("during+after"):
                got += sock.recv(100)
            assert got == b"during+after"

    def test_two_at_once(self) -> None:
        one, other = self.open("rate=20mbit,delay=4ms"), self.open("rate=20mbit,delay=8ms")
        with one, other, far_echo(one) as first, far_echo(other) as second:
            assert first != second
            for address in (first, second):
                with socket.create_connection(address, timeout=20) as sock:
                    assert exchange(sock, b"hello") == b"hello"

    def test_closing_twice_leaves_nothing(self) -> None:
        before = children()
        link = self.open("rate=20mbit,delay=4ms")
        index = device_index(getattr(link, "device", "-"))
        assert len(children()) == len(before) + 1
        link.close()
        link.close()
        assert children() == before
        assert index not in device_indices()
        with pytest.raises(LinkError, match="has ended"):
            link.cut()

    def test_it_goes_when_its_process_is_killed(self) -> None:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, self.method], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert holder.stdout is not None
        with holder.stdout as out:
            pid, device = out.readline().split()
        index = device_index(device)
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert wait_until(lambda: not Path(f"/proc/{pid}").exists())
        assert wait_until(lambda: index not in device_indices())

    def test_a_helper_that_dies_is_told(self) -> None:
        with self.open("rate=20mbit,delay=4ms") as link:
            os.kill(link._helper.pid, signal.SIGKILL)  # type: ignore[attr-defined]
            for _ in range(2):
                with pytest.raises(LinkError, match="has ended"):
                    link.restore()
