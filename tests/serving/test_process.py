"""The server as a process: its one line, its signals, its exit codes."""

import signal
import socket
from pathlib import Path

import pytest

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient
from tests.child import ServerChild


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(toy_bundle: Bundle, number: signal.Signals) -> None:
    with ServerChild(toy_bundle.path) as child:
        with CloudClient(child.url, toy_bundle.manifest) as client:
            client.connect()
            child.signal(number)
            assert child.end() == (0, "")
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", child.port))


def test_it_ends_with_the_program_that_started_it(toy_bundle: Bundle) -> None:
    with ServerChild(toy_bundle.path, "--until-stdin-closes") as child:
        assert child.process.stdin is not None
        child.process.stdin.close()
        child.process.stdin = None
        assert child.end() == (0, "")


def test_a_mistake_is_exit_code_2_and_no_traceback(toy_bundle: Bundle, tmp_path: Path) -> None:
    with ServerChild(tmp_path / "nothing") as child:
        code, errors = child.end()
    assert code == 2
    assert "is not a bundle" in errors
    assert "Traceback" not in errors
    with ServerChild(toy_bundle.path) as first, ServerChild(toy_bundle.path, port=first.port) as second:
        code, errors = second.end()
    assert code == 2
    assert errors.startswith("cannot listen on"), "nothing else is written, by gRPC either"
    assert "Traceback" not in errors
