import pytest

from ecc_deploy.bench.endpoint import Endpoint, plain, resolve
from ecc_deploy.errors import ServerError, UsageError


def test_addresses() -> None:
    assert resolve("127.0.0.1:8001").addresses == {("127.0.0.1", 8001)}
    assert resolve("[::1]:8001").addresses == {("::1", 8001)}
    assert resolve("127.0.0.1:8001").names == {"127.0.0.1"}
    assert ("127.0.0.1", 80) in resolve("localhost:80").addresses


@pytest.mark.parametrize("url", ["", "127.0.0.1", "127.0.0.1:", ":8001", "host:0", "host:70000", "host:http", "host:²"])
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(UsageError, match="not the address") as caught:
        resolve(url)
    assert "HOST:PORT" in caught.value.hint


@pytest.mark.parametrize("host", ["nowhere.invalid", "a" * 300])
def test_a_host_that_is_not_there(host: str) -> None:
    with pytest.raises(ServerError, match="cannot be found"):
        resolve(f"{host}:8001")


def test_the_link_is_named_by_its_kind() -> None:
    def link(*ips: str) -> str:
        return Endpoint(ips[0], frozenset((ip, 1) for ip in ips)).link

    assert link("127.0.0.1", "::1") == "loopback"
    assert link("192.168.1.4") == "private network"
    assert link("8.8.8.8") == "public network"
    assert link("8.8.8.8", "127.0.0.1") == "public network"


def test_ipv4_in_an_ipv6_socket_is_ipv4() -> None:
    assert plain(("::ffff:127.0.0.1", 80, 0, 0)) == ("127.0.0.1", 80)
    assert plain(("fe80::1%eth0", 80, 0, 2)) == ("fe80::1", 80)
