"""The TCP proxy, which needs no privileges."""

import socket

import pytest

from ecc_deploy.links.segments import PAYLOAD, with_headers
from tests.links.conformance import LinkConformance, exchange, far_echo, needs

pytestmark = needs("proxy")


class TestProxy(LinkConformance):
    method = "proxy"

    def test_it_says_what_it_cannot_do(self) -> None:
        with self.open("rate=20mbit,delay=4ms,loss=1%") as link:
            assert "no TCP dynamics" in link.note
            assert "no losses" in link.note
            assert link.counts() is None
            assert link.far == []

    def test_one_port_has_one_address(self) -> None:
        with self.open("rate=20mbit,delay=4ms") as link:
            assert link.url(4000) == link.url(4000) != link.url(4001)

    def test_the_end_of_a_stream_comes_after_all_of_it(self) -> None:
        with self.open("rate=20mbit,delay=20ms") as link, socket.create_server(("127.0.0.1", 0)) as server:
            host, port = link.url(server.getsockname()[1]).split(":")
            with socket.create_connection((host, int(port)), timeout=20) as sock:
                far, _ = server.accept()
                with far:
                    far.settimeout(20)
                    sock.sendall(bytes(50_000))
                    sock.shutdown(socket.SHUT_WR)
                    got = 0
                    while data := far.recv(1 << 16):
                        got += len(data)
                    assert got == 50_000
                    far.sendall(b"thanks")  # the other direction is still open
                assert sock.recv(100) == b"thanks"
                assert sock.recv(100) == b""

    def test_a_port_where_nobody_listens_ends_the_connection(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with self.open("rate=20mbit,delay=4ms") as link, far_echo(link) as address:
            host, nobody = link.url(port).split(":")
            with socket.create_connection((host, int(nobody)), timeout=20) as sock:
                assert sock.recv(1) == b""
            with socket.create_connection(address, timeout=20) as sock:
                assert exchange(sock, b"still there") == b"still there"


@pytest.mark.parametrize(("count", "wanted"), [(0, 52), (1, 53), (PAYLOAD, 1500), (PAYLOAD + 1, 1553)])
def test_segments(count: int, wanted: int) -> None:
    assert with_headers(count) == wanted
