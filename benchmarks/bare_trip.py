"""What a round trip over a link costs without this package: by a bare socket, and by gRPC alone.

At the far end it is a program, `python benchmarks/bare_trip.py socket|grpc HOST UP DOWN`: it prints its port, takes
messages of UP bytes and answers each with DOWN bytes, at once, until its stdin closes.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import grpc

from ecc_deploy.links import Link

WAYS = ("socket", "grpc")
_METHOD = "/bare/Trip"
_WARM_UP = 10


def bare_trips(link: Link, up: int, down: int, count: int) -> dict[str, Any]:
    """For each of :data:`WAYS` the median of ``count`` round trips and what of it is above the line's own time, ms."""
    found = {}
    for way in WAYS:
        with _far(link, way, up, down) as port, _near(way, link.url(port), up, down) as trip:
            for _ in range(_WARM_UP):
                trip()
            before, taken = link.counts(), []
            for _ in range(count):
                start = time.perf_counter_ns()
                trip()
                taken.append((time.perf_counter_ns() - start) / 1e6)
            time.sleep(2 * link.profile.rtt_ms / 1e3)  # the last acknowledgement
            after = link.counts()
        assert before is not None
        assert after is not None
        sent = ((after.up - before.up, link.profile.up_mbit), (after.down - before.down, link.profile.down_mbit))
        line_ms = sum(size / count * 8 / (mbit * 1e3) for size, mbit in sent if mbit)
        measured = statistics.median(taken)
        found[way] = {"measured_p50_ms": measured, "overhead_ms": measured - link.profile.rtt_ms - line_ms}
    return found


@contextmanager
def _far(link: Link, way: str, up: int, down: int) -> Iterator[int]:
    command = [*link.far, sys.executable, __file__, way, link.far_host, str(up), str(down)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()


@contextmanager
def _near(way: str, url: str, up: int, down: int) -> Iterator[Callable[[], object]]:
    request = bytes(up)
    if way == "grpc":
        with grpc.insecure_channel(url) as channel:
            method = channel.unary_unary(_METHOD)
            yield lambda: method(request, timeout=10, wait_for_ready=True)
        return
    host, _, port = url.rpartition(":")
    with closing(socket.create_connection((host, int(port)), 10)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def trip() -> None:
            connection.sendall(request)
            receive(connection, down)

        yield trip


def receive(connection: socket.socket, count: int) -> bool:
    """Read ``count`` bytes; False where the other side has closed."""
    while count:
        piece = connection.recv(count)
        if not piece:
            return False
        count -= len(piece)
    return True


def _serve_socket(host: str, up: int, answer: bytes) -> None:
    with socket.create_server((host, 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        while receive(connection, up):
            connection.sendall(answer)


def _serve_grpc(host: str, answer: bytes) -> None:
    server = grpc.server(ThreadPoolExecutor(8))
    handlers = {"Trip": grpc.unary_unary_rpc_method_handler(lambda request, context: answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", handlers),))
    port = server.add_insecure_port(f"{host}:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None)


def main() -> None:
    """Serve; see above."""
    way, host, up, down = sys.argv[1:]
    if way == "grpc":
        _serve_grpc(host, bytes(int(down)))
    else:
        threading.Thread(target=_serve_socket, args=(host, int(up), bytes(int(down))), daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
