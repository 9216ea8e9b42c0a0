"""netem: what it is told, byte by byte; a real veth pair; and where the kernel has netem, the real thing."""

import contextlib
import socket
import struct
from typing import Any

import pytest

from ecc_deploy.errors import LinkError
from ecc_deploy.links import Link, load_link, namespaced, netem, open_link
from ecc_deploy.links.helper import Helper, LinkUnavailableError
from ecc_deploy.links.opening import why_not
from tests.links.capture import DeviceCapture
from tests.links.conformance import LinkConformance, exchange, far_echo, needs

pyroute2 = pytest.importorskip("pyroute2", reason="netem is NOT TESTED here: pyroute2 is not installed")
TICKS = 15.625  # per µs, on every kernel: /proc/net/psched
LTE = "up=6mbit,down=13mbit,delay=70ms,jitter=10ms,loss=0.2%,queue=200ms"


class FakeNetlink:
    """Encodes what it is asked to send, as the real one does, and answers nothing."""

    def __init__(self, links: list[Any] | None = None, error: Exception | None = None) -> None:
        self.sent: list[bytes] = []
        self.made: list[dict[str, Any]] = []
        self._links = links or []
        self._errors = [error] if error else []

    def nlm_request_batch(self, messages: list[Any]) -> list[Any]:
        if self._errors:
            raise self._errors.pop()
        for message in messages:
            message.reset()
            message.encode()
            self.sent.append(bytes(message.data))
        return []

    def get_links(self, *_: int) -> list[Any]:
        return self._links

    def link(self, command: str, **facts: Any) -> None:
        if self._errors:
            raise self._errors.pop()
        self.made.append({"command": command, **facts})


class FakeLink(dict[str, Any]):
    def get_attr(self, name: str) -> Any:
        return self[name]


def attributes(data: bytes) -> dict[int, bytes]:
    """By the rules of rtnetlink(7): length, type, value, padded to four bytes."""
    found = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def decoded(message: bytes) -> dict[str, Any]:
    """A message that sets a queueing discipline, read with the layouts of ``linux/rtnetlink.h`` and ``pkt_sched.h``."""
    length, kind, flags = struct.unpack_from("=IHH", message)
    assert length == len(message)
    assert kind == 36  # RTM_NEWQDISC
    index, handle, parent = struct.unpack_from("=iII", message, 16 + 4)
    attrs = attributes(message[16 + 20 :])
    assert set(attrs) == {1, 2}  # TCA_KIND, TCA_OPTIONS
    latency, limit, loss, gap, duplicate, jitter = struct.unpack_from("=6I", attrs[2])
    found = {
        "flags": flags,
        "index": index,
        "handle": handle,
        "parent": parent,
        "kind": attrs[1].rstrip(b"\0"),
        "latency_us": latency / TICKS,
        "limit": limit,
        "loss": loss / (2**32 - 1),
        "jitter_us": jitter / TICKS,
    }
    assert gap == duplicate == 0
    nested = attributes(attrs[2][24:])
    if nested:
        assert set(nested) == {6}  # TCA_NETEM_RATE
        found["rate"], found["overhead"], cell_size, cell_overhead = struct.unpack("=IiIi", nested[6])
        assert cell_size == cell_overhead == 0
    return found


def pair(text: str) -> tuple[netem.Netem, FakeNetlink, FakeNetlink]:
    near, far = FakeNetlink(), FakeNetlink()
    return netem.Netem(near, far, {"up": 7, "down": 2}, load_link(text)), near, far


def test_the_kernel_is_told_what_the_profile_says() -> None:
    _, near, far = pair(LTE)
    (up,), (down,) = map(decoded, near.sent), map(decoded, far.sent)
    assert (up["index"], down["index"]) == (7, 2)
    for told in (up, down):
        assert told["kind"] == b"netem"
        assert (told["parent"], told["handle"]) == (0xFFFFFFFF, 0x10000)
        assert told["flags"] == 0x605  # request, acknowledge, create, exclusive
        assert told["latency_us"] == pytest.approx(35_000, abs=1)
        assert told["jitter_us"] == pytest.approx(10_000, abs=1)
        assert told["loss"] == pytest.approx(0.002, abs=1e-9)
        assert told["overhead"] == -14
    assert (up["rate"], down["rate"]) == (750_000, 1_625_000)  # bytes per second
    assert up["limit"] == 123  # 245 ms of 6 Mbit/s, in packets of 1500 bytes
    assert down["limit"] == 266


def test_a_change_a_cut_and_its_end() -> None:
    link, near, _ = pair(LTE)
    changed = load_link("rate=1mbit,delay=20ms")
    link.cut()
    link.change(changed.model_dump(mode="json"), own_ms=1.0)
    link.restore()
    _, cut, cut_still, restored = map(decoded, near.sent)
    assert cut["flags"] == 0x5  # request, acknowledge: what is not there is not made
    assert cut["loss"] == cut_still["loss"] == 1.0
    assert cut_still["rate"] == restored["rate"] == 125_000
    assert restored["loss"] == 0
    assert restored["latency_us"] == pytest.approx(9_500, abs=1)
    assert restored["limit"] == netem.MIN_LIMIT


def test_without_a_rate_there_is_none() -> None:
    profile = load_link("rate=1mbit,delay=20ms").model_copy(update={"up_mbit": None})
    near, far = FakeNetlink(), FakeNetlink()
    netem.Netem(near, far, {"up": 7, "down": 2}, profile)
    assert "rate" not in decoded(near.sent[0])
    assert decoded(near.sent[0])["limit"] == netem.UNLIMITED
    assert decoded(far.sent[0])["rate"] == 125_000


def test_a_kernel_without_it_is_told_apart() -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    for code, told in ((2, "this kernel has no netem"), (1, "does not take netem: not permitted")):
        with pytest.raises(LinkUnavailableError, match=told):
            netem.Netem(
                FakeNetlink(error=NetlinkError(code, "not permitted")), FakeNetlink(), {"up": 7, "down": 2},
                load_link(LTE),
            )  # fmt: skip


def test_bytes_are_counted_without_the_headers_of_ethernet() -> None:
    link, near, _ = pair(LTE)
    near._links = [
        FakeLink(IFLA_STATS64={"tx_bytes": 15_140, "tx_packets": 10, "rx_bytes": 132, "rx_packets": 2}),
    ]
    assert link.counts() == {"up": 15_000, "down": 104}


def test_a_name_that_is_taken_is_passed_over() -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    taken = [FakeLink(IFLA_IFNAME="lo"), FakeLink(IFLA_IFNAME="ecc0")]
    ip = FakeNetlink(taken, error=NetlinkError(17, "exists"))  # and ecc1 is taken just now
    assert netem.make_pair(ip) == ("ecc2", "ecc2-far")
    assert ip.made == [{"command": "add", "ifname": "ecc2", "kind": "veth", "peer": {"ifname": "ecc2-far"}}]
    with pytest.raises(NetlinkError):
        netem.make_pair(FakeNetlink(error=NetlinkError(1, "not permitted")))


@needs("netem")
def test_a_real_veth_pair_with_tbf_in_the_place_of_netem(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(module: str, *arguments: str, **options: Any) -> Helper:
        return Helper("tests.links.tbf_end" if module.endswith(".far") else module, *arguments, **options)

    monkeypatch.setattr(namespaced, "Helper", start)
    link = _open_checked("rate=10mbit,delay=0ms")
    with link, far_echo(link) as address:
        assert link.check is not None
        assert set(link.check.off) == {"up_mbit", "down_mbit"}  # there is no delay to measure
        capture = DeviceCapture(link.device)  # type: ignore[attr-defined]
        with socket.create_connection(address, timeout=20) as sock:
            for size in (100, 5_000, 60_000):
                assert len(exchange(sock, bytes(size))) == size
        capture.finish()
        assert link.counts() == (capture.up, capture.down)


def _open_checked(text: str) -> Link:
    for _ in range(3):
        with contextlib.suppress(LinkError):
            return open_link(load_link(text), method="netem")
    return open_link(load_link(text), method="netem")


@pytest.fixture(scope="class")
def _kernel_has_netem() -> None:
    try:
        open_link(load_link("rate=10mbit,delay=20ms"), method="netem", verify=False).close()
    except LinkUnavailableError as error:
        pytest.skip(f"a link by netem is NOT TESTED here: {error.message}")


@pytest.mark.usefixtures("_kernel_has_netem")
@needs("netem")
class TestNetem(LinkConformance):
    method = "netem"


def test_auto_says_why_not() -> None:
    with open_link(load_link("rate=10mbit,delay=20ms"), verify=False) as link:
        passed_over = {"netem": (), "tun": ("netem",), "proxy": ("netem", "tun")}[link.method]
        assert all(f"not {method}: " in link.note for method in passed_over)
        assert why_not(link.method) is None
