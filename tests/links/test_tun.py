"""The user-space relay between two namespaces. Needs root and /dev/net/tun."""

import subprocess
import sys

from ecc_deploy.links import WireBytes
from tests.links.conformance import LinkConformance, exchange, far_echo, needs

pytestmark = needs("tun")


class TestTun(LinkConformance):
    method = "tun"

    def test_counting_begins_after_the_check(self) -> None:
        with self.open_checked("rate=20mbit,delay=4ms") as link:
            assert link.counts() == WireBytes(0, 0)

    def test_the_far_end_is_alone_there(self) -> None:
        with self.open("rate=20mbit,delay=4ms") as link:
            command = [*link.far, sys.executable, "-I", "-c", "import socket; print(socket.if_nameindex())"]
            found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert found.strip() == "[(1, 'lo'), (2, 'ecc')]"

    def test_a_far_end_that_has_gone_is_told(self) -> None:
        link = self.open("rate=20mbit,delay=4ms")
        link.close()
        done = subprocess.run([*link.far, "true"], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "the far end of the link is gone" in done.stderr


def test_what_was_counted_is_at_least_what_was_sent() -> None:
    import socket

    with TestTun().open("rate=20mbit,delay=4ms") as link, far_echo(link) as address:
        with socket.create_connection(address, timeout=20) as sock:
            exchange(sock, bytes(100_000))
        counts = link.counts()
    assert counts is not None
    for count in counts:
        assert 100_000 * 1500 / 1448 < count < 100_000 * 1.12
