"""The server as a process: its one line, its signals, its exit codes."""

import signal
import socket
import threading
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from ecc_deploy.bundle import Bundle
from ecc_deploy.runtime.client import CloudClient, CloudError
from ecc_deploy.runtime.result import Reason
from tests.child import ServerChild
from tests.runtime.fakes import free_port
from tests.serving.requests import png, wait_until


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


def test_it_drains_says_so_and_loses_no_request(toy_bundle: Bundle) -> None:
    """SIGTERM under load: not ready at once, yet answering, then refusing; whatever was taken is answered."""
    manifest, payload = toy_bundle.manifest, png(1)[0]
    with ServerChild(toy_bundle.path, "--drain-notice", "1", "--metrics-port", str(free_port())) as child:
        channel = grpc.insecure_channel(child.url)
        ready = service_pb2_grpc.GRPCInferenceServiceStub(channel).ServerReady
        answered, problems, stopped = [0] * 8, [], threading.Event()

        def ask(number: int) -> None:
            with CloudClient(child.url, manifest) as client:
                client.connect()
                while True:
                    try:
                        client.infer("full", payload, "png", 10.0)
                    except CloudError as error:
                        if error.reason != Reason.UNAVAILABLE or not stopped.is_set():
                            problems.append(error)
                        return
                    answered[number] += 1

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(answered))]
        for thread in threads:
            thread.start()
        wait_until(lambda: min(answered) > 0)
        assert ready(service_pb2.ServerReadyRequest(), timeout=10).ready
        before = list(answered)
        stopped.set()
        child.signal(signal.SIGTERM)
        wait_until(lambda: not ready(service_pb2.ServerReadyRequest(), timeout=10).ready)
        wait_until(lambda: all(now > then + 1 for now, then in zip(answered, before, strict=True)))
        for thread in threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in threads)
        assert child.end() == (0, "")
        channel.close()
    assert not problems
