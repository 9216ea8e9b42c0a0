"""Tokens, rates and warnings, without a network; and over one, what they let in."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.serving import Server, access
from ecc_deploy.serving.access import RateLimit, ServerTls, Tokens, exposure, peer_address, server_tls
from tests.certificates import TOKENS, token_file
from tests.serving.requests import payload_request, png, stub


def bearer(token: str) -> list[tuple[str, str | bytes]]:
    return [("user-agent", "x"), ("authorization", f"Bearer {token}")]


def test_a_token_says_whose_it_is(tmp_path: Path) -> None:
    tokens = Tokens(token_file(tmp_path))
    assert {tokens.name_of(bearer(token)) for token in TOKENS.values()} == {"kitchen", "garage"}
    kitchen = TOKENS["kitchen"]
    for metadata in (
        [],
        bearer(kitchen[:-1]),
        bearer(kitchen + "x"),
        bearer(""),
        bearer("é" * 20),
        bearer("\udcff" * 20),
        [("authorization", kitchen)],
        [("authorization", f"Basic {kitchen}")],
        [("authorization-bin", f"Bearer {kitchen}".encode())],
    ):
        assert tokens.name_of(metadata) is None, metadata


def test_tokens_are_read_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access, "RELOAD_S", 0.0)
    path = token_file(tmp_path)
    tokens = Tokens(path)
    assert tokens.name_of(bearer(TOKENS["garage"])) == "garage"
    token_file(tmp_path, kitchen=TOKENS["kitchen"])
    assert tokens.name_of(bearer(TOKENS["garage"])) is None
    path.write_text("spoiled by somebodys-own-token-012345\n")
    with caplog.at_level(logging.WARNING, "ecc_deploy.serving"):
        assert tokens.name_of(bearer(TOKENS["kitchen"])) == "kitchen"
    assert "the changed tokens are not used" in caplog.text
    assert "somebody" not in caplog.text, "no token is ever written to the log"


def test_no_token_is_ever_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture, toy_bundle: Bundle) -> None:
    path = token_file(tmp_path)
    channels: list[grpc.Channel] = []
    with caplog.at_level(logging.DEBUG), Server([toy_bundle], token_file=path) as server:
        infer = stub(server, channels).ModelInfer
        infer(payload_request("full", png()), metadata=bearer(TOKENS["kitchen"]), timeout=10)
        with pytest.raises(grpc.RpcError) as refused:
            infer(payload_request("full", png()), metadata=bearer("a-wrong-token-012345"), timeout=10)
    channels[0].close()
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
    said = caplog.text + str(refused.value.details()) + repr(vars(server)) + repr(server.options)
    assert not [token for token in (*TOKENS.values(), "a-wrong-token") if token in said]


def test_probes_need_no_token_and_everything_else_does(tmp_path: Path, toy_bundle: Bundle) -> None:
    channels: list[grpc.Channel] = []
    with Server([toy_bundle], token_file=token_file(tmp_path)) as server:
        ask = stub(server, channels)
        assert ask.ServerLive(service_pb2.ServerLiveRequest(), timeout=10).live
        assert ask.ServerReady(service_pb2.ServerReadyRequest(), timeout=10).ready
        for call, request in (
            (ask.ModelReady, service_pb2.ModelReadyRequest(name="full")),
            (ask.ServerMetadata, service_pb2.ServerMetadataRequest()),
            (ask.ModelMetadata, service_pb2.ModelMetadataRequest(name="full")),
            (ask.ModelConfig, service_pb2.ModelConfigRequest(name="full")),
            (ask.ModelInfer, payload_request("full", png())),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=10)
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
            call(request, timeout=10, metadata=bearer(TOKENS["kitchen"]))
    channels[0].close()


def test_a_rate_is_kept_and_a_second_may_come_at_once() -> None:
    limit = RateLimit(2.0)
    assert [limit.wait_s("a", 100.0) for _ in range(3)] == [0, 0, 0.5]
    assert limit.wait_s("b", 100.0) == 0, "each client has its own"
    assert limit.wait_s("a", 100.25) == pytest.approx(0.25)
    assert limit.wait_s("a", 100.5) == 0
    assert limit.wait_s("a", 1000.0) == 0
    assert [bool(limit.wait_s("a", 1000.0)) for _ in range(2)] == [False, True], "what was not used does not add up"
    slow = RateLimit(0.1)
    assert [slow.wait_s("a", t) for t in (0.0, 9.0, 10.0)] == [0, pytest.approx(1.0), 0]


def test_the_memory_of_rates_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "MAX_CLIENTS", 100)
    limit = RateLimit(1.0)
    for number in range(1000):
        assert limit.wait_s(f"client {number}", 0.0) == 0
    assert len(limit) == 100
    assert limit.wait_s("client 999", 0.0) > 0


def test_too_many_requests_of_one_client_are_refused(toy_bundle: Bundle, tmp_path: Path) -> None:
    channels: list[grpc.Channel] = []
    with Server([toy_bundle], token_file=token_file(tmp_path), rate_limit=0.01) as server:
        infer = stub(server, channels).ModelInfer
        infer(payload_request("full", png()), metadata=bearer(TOKENS["kitchen"]), timeout=10)
        with pytest.raises(grpc.RpcError, match="the next is answered in") as refused:
            infer(payload_request("full", png()), metadata=bearer(TOKENS["kitchen"]), timeout=10)
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        infer(payload_request("full", png()), metadata=bearer(TOKENS["garage"]), timeout=10)
    channels[0].close()


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("ipv4:10.1.2.3:4567", "10.1.2.3"),
        ("ipv6:%5B2001:db8:1:2:3:4:5:6%5D:4567", "2001:db8:1:2::/64"),
        ("ipv6:[::ffff:10.1.2.3]:4567", "10.1.2.3"),
        ("ipv6:%5Bfe80::1%25eth0%5D:4567", "fe80::/64"),
        ("unix:/run/x.sock", "unix /run/x.sock"),
        ("", " "),
    ],
)
def test_a_client_without_a_token_is_its_address(peer: str, client: str) -> None:
    assert peer_address(peer) == client


def test_whoever_serves_beyond_this_machine_is_told_what_that_means() -> None:
    half, whole = ServerTls("a", "b"), ServerTls("a", "b", "c")
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert exposure(host, None, knows_tokens=False) is None
    for host in ("0.0.0.0", "::", "192.168.1.4", "cloud.example.org"):
        told = exposure(host, None, knows_tokens=False) or ""
        assert "--token-file" in told
        assert "--tls-cert" in told
        assert "--tls-cert" not in (exposure(host, half, knows_tokens=False) or "")
        assert "--token-file" not in (exposure(host, None, knows_tokens=True) or "--token-file")
        assert exposure(host, half, knows_tokens=True) is None
        assert exposure(host, whole, knows_tokens=False) is None


def test_the_warning_is_logged(toy_bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ecc_deploy.serving"):
        with Server([toy_bundle]):
            pass
        assert not caplog.text
        with Server([toy_bundle], host="0.0.0.0"):
            pass
    assert "listens beyond this machine" in caplog.text


def test_half_a_pair_of_files_is_a_mistake() -> None:
    assert server_tls(None, None) is None
    for files in (("a", None, None), (None, "a", None), (None, None, "a")):
        with pytest.raises(UsageError, match="certificate and the key"):
            server_tls(*files)


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_token_file_that_others_can_read_is_refused(toy_bundle: Bundle, tmp_path: Path) -> None:
    path = token_file(tmp_path)
    path.chmod(0o604)
    with pytest.raises(UsageError, match="everybody on this machine can read") as refused:
        Server([toy_bundle], token_file=path)
    assert refused.value.hint == f"Run: chmod o= {path}"
