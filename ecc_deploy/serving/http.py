"""A small HTTP server beside the gRPC one, for those who watch: metrics, and whether it lives and is ready."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import Any

from ecc_deploy.closing import Closing
from ecc_deploy.errors import ServerError

MAX_CONNECTIONS = 16
"""At a time; one more is closed at once."""
TIMEOUT_S = 5.0
"""For a request to come and its answer to go."""
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class WatchPort(Closing):
    """Answers ``/metrics``, ``/healthz`` (200) and ``/readyz`` (200, or 503 where ``is_ready`` says no) until closed.

    ``port`` 0 takes a free one; :attr:`port` says which. Raises :class:`ServerError` where it cannot listen.
    """

    def __init__(self, host: str, port: int, metrics: Callable[[], bytes], is_ready: Callable[[], bool]) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = TIMEOUT_S
            server_version = "ecc-deploy"
            sys_version = ""

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, metrics())
                elif path == "/healthz":
                    self._answer(200, b"ok\n")
                elif path == "/readyz":
                    self._answer(*((200, b"ok\n") if is_ready() else (503, b"not ready\n")))
                else:
                    self._answer(404, b"/metrics, /healthz, /readyz\n")

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", _TEXT)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """A line for every probe would hide everything else."""

        class Watchers(_Watchers):
            address_family = AF_INET6 if ":" in host else AF_INET

        try:
            self._server = Watchers((host, port), Handler)
        except OSError as error:
            raise ServerError(
                f"cannot listen on port {port} of {host} for metrics: {error.strerror}", "Give another --metrics-port."
            ) from error
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="ecc-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. May be called twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Watchers(ThreadingHTTPServer):
    """A thread for each connection, but not any number of them."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever went in the middle of it is no error of ours."""
