import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bench.wirebytes import ServerSockets, WireBytes, WireCounter, why_not
from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from tests.bench.links import Capture, Echo, Relay, ask

SIZES = (1, 100, 1_000, 5_000, 20_000)


def _hosts() -> list[str]:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return ["127.0.0.1"]
    return ["127.0.0.1", "::1"]


def _measured(client: socket.socket, counter: WireCounter, rounds: int) -> WireBytes:
    counter.follow()
    ask(client, 1)
    time.sleep(0.1)  # the acknowledgement of what does not count
    counter.start()
    for _ in range(rounds):
        for size in SIZES:
            ask(client, size)
            counter.follow()
    time.sleep(0.1)
    total = counter.total()
    assert total is not None
    return total


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


def test_this_machine_can_count() -> None:
    assert why_not() is None


def test_payload_bytes_are_those_a_relay_saw_and_the_rest_is_whole_headers(echo: Echo) -> None:
    with (
        Relay(("127.0.0.1", echo.port)) as relay,
        ServerSockets({("127.0.0.1", relay.port)}) as sockets,
        socket.create_connection(("127.0.0.1", relay.port)) as client,
    ):
        total = _measured(client, WireCounter(sockets), rounds=10)
        up, down = relay.up - 5, relay.down - 40  # less the request before the start
    header = 20 + 20 + (12 if has_timestamps() else 0)
    for wire, payload in ((total.up, up), (total.down, down)):
        segments, rest = divmod(wire - payload, header)
        assert rest == 0
        assert len(SIZES) * 10 <= segments <= len(SIZES) * 10 * 4
    assert up == 10 * sum(4 + size for size in SIZES)


def has_timestamps() -> bool:
    return Path("/proc/sys/net/ipv4/tcp_timestamps").read_text().strip() != "0"


@pytest.mark.parametrize("host", _hosts())
def test_against_the_packets_themselves(host: str) -> None:
    """Where packets can be captured they are the reference; elsewhere the header size alone is checked."""
    with Echo(host) as echo, ServerSockets({(host, echo.port)}) as sockets:
        client = socket.create_connection((host, echo.port))
        with client:
            counter = WireCounter(sockets)
            counter.follow()
            ask(client, 1)
            time.sleep(0.1)
            counter.start()
            capture = Capture(echo.port) if Capture.is_possible() else None
            for size in SIZES * 40:
                ask(client, size)
            time.sleep(0.1)
            total = counter.total()
            assert total is not None
            if capture is not None:
                capture.finish()
                assert total.up == pytest.approx(capture.up, rel=0.005)
                assert total.down == pytest.approx(capture.down, rel=0.005)
            header = (40 if ":" in host else 20) + 20 + (12 if has_timestamps() else 0)
            assert (total.up - 40 * sum(4 + size for size in SIZES)) % header == 0


def test_each_client_has_its_own_count(echo: Echo) -> None:
    address = ("127.0.0.1", echo.port)
    with ServerSockets({address}) as sockets, socket.create_connection(address) as stranger:
        ask(stranger, 5000)
        sockets.pass_over()
        with socket.create_connection(address) as first:
            one = WireCounter(sockets)
            one.follow()
            with socket.create_connection(address) as second:
                other = WireCounter(sockets)
                other.follow()
                one.start(), other.start()
                ask(stranger, 100_000)
                ask(first, 30_000)
                ask(second, 10)
                a, b = one.total(), other.total()
    assert a is not None
    assert b is not None
    assert 30_004 < a.up < 33_000
    assert 14 < b.up < 500


def test_a_new_connection_is_followed_and_the_old_one_keeps_its_count(echo: Echo) -> None:
    with Relay(("127.0.0.1", echo.port)) as relay, ServerSockets({("127.0.0.1", relay.port)}) as sockets:
        counter = WireCounter(sockets)
        with socket.create_connection(("127.0.0.1", relay.port)) as client:
            counter.follow()
            counter.start()
            ask(client, 10_000)
            counter.follow()
            relay.drop()
            assert client.recv(1) == b""  # the end of the stream has arrived: a byte to the kernel, not to us
        with (
            socket.create_connection(("127.0.0.1", relay.port)) as idle,
            socket.create_connection(("127.0.0.1", relay.port)) as again,
        ):
            ask(again, 20_000)
            counter.follow()
            ask(again, 20_000)
            counter.follow()
            total = counter.total()
            assert idle.fileno() >= 0
    assert total is not None
    assert relay.up == 50_012
    assert 50_012 < total.up < 53_000
    assert 120 < total.down < 3_000


def test_an_answer_over_no_connection_leaves_nothing_counted(echo: Echo) -> None:
    with ServerSockets({("127.0.0.1", echo.port)}) as sockets:
        counter = WireCounter(sockets)
        counter.follow()
        assert not counter.is_complete
        assert counter.total() is None


def test_what_is_held_is_given_back(echo: Echo) -> None:
    address = ("127.0.0.1", echo.port)
    with socket.create_connection(address) as client:
        before = client.getblocking(), client.gettimeout()
        with ServerSockets({address}) as sockets:
            counter = WireCounter(sockets)
            counter.follow()
            ask(client, 10)
        assert (client.getblocking(), client.gettimeout()) == before
        ask(client, 10)  # still works: only the duplicate was closed


def test_wire_bytes_of_grpc_against_a_relay_s_count(toy_bundle: Bundle, server: ServerProcess) -> None:
    host, port = server.url.split(":")
    with (
        Relay((host, int(port))) as relay,
        ServerSockets({("127.0.0.1", relay.port)}) as sockets,
        CloudClient(relay.url, toy_bundle.manifest) as client,
    ):
        client.connect()
        counter = WireCounter(sockets)
        counter.follow()
        client.infer("full", bytes(64), "raw", 5.0)
        time.sleep(0.1)
        counter.start()
        before = relay.up, relay.down
        for _ in range(50):
            client.infer("full", bytes(64), "raw", 5.0)
            counter.follow()
        time.sleep(0.1)
        total = counter.total()
        payload = relay.up - before[0], relay.down - before[1]
    assert total is not None
    assert (total.up - payload[0]) % 4 == (total.down - payload[1]) % 4 == 0  # headers are whole words
    for wire, inside in zip(total, payload, strict=True):
        assert 40 * 50 <= wire - inside <= 52 * 50 * 4
