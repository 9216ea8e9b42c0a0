"""Wire bytes, counted in three ways that know nothing of each other: the relay, a packet capture, and TCP_INFO."""

import socket
import time

import pytest

from ecc_deploy.bench.wirebytes import ServerSockets, WireCounter
from ecc_deploy.links import Link, load_link, open_link
from tests.links.capture import DeviceCapture
from tests.links.conformance import exchange, far_echo, needs

pytestmark = needs("tun")
WITHIN = 0.005
SIZES = (40, 143, 1_000, 1_449, 4_096, 16_384, 60_000)


def off(found: float, wanted: float) -> float:
    return abs(found / wanted - 1)


def settle(link: Link) -> None:
    """Wait for the last acknowledgements."""
    before = None
    while before != (before := link.counts()):
        time.sleep(0.1)


@pytest.mark.parametrize("text", ["rate=30mbit,delay=10ms", "up=2mbit,down=20mbit,delay=20ms,queue=500ms"])
def test_the_relay_counts_what_a_capture_and_tcp_info_say(text: str) -> None:
    with open_link(load_link(text), method="tun", verify=False) as link, far_echo(link) as address:
        capture = DeviceCapture(link.device)  # type: ignore[attr-defined]
        with ServerSockets([address]) as sockets, socket.create_connection(address, timeout=20) as sock:
            exchange(sock, b"hello")
            counter = WireCounter(sockets)
            counter.follow()
            settle(link)
            counter.start()
            at_start = link.counts()
            assert at_start is not None
            for size in SIZES:
                for _ in range(3):
                    assert len(exchange(sock, bytes(size))) == size
                    counter.follow()
            settle(link)
            by_tcp_info, counts = counter.total(), link.counts()
        settle(link)
        whole = link.counts()
        capture.finish()
    assert by_tcp_info is not None
    assert counts is not None
    assert whole is not None
    payload = 3 * sum(SIZES)
    for found, start, tcp_info in zip(counts, at_start, by_tcp_info, strict=True):
        assert found - start > payload
        assert off(found - start, tcp_info) < WITHIN
    assert off(whole.up, capture.up) < WITHIN
    assert off(whole.down, capture.down) < WITHIN
    assert capture.packets > 2 * payload / 1500


def test_what_is_lost_was_sent_and_did_not_arrive() -> None:
    with open_link(load_link("rate=50mbit,delay=2ms,loss=20%"), method="tun", verify=False) as link:
        capture = DeviceCapture(link.device)  # type: ignore[attr-defined]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for _ in range(500):
                sock.sendto(bytes(100), (link.far_host, 9))
                time.sleep(0.0005)
        settle(link)
        facts, counts = link._helper.ask("counts"), link.counts()  # type: ignore[attr-defined]
        capture.finish()
    assert counts is not None
    assert counts.up == capture.up == 500 * 128
    assert counts.down == capture.down  # "port unreachable", as often as the far kernel likes to say so
    assert 60 < facts["lost"] < 160  # of 500 and the answers; four standard deviations
