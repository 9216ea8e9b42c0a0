"""Opening arms: a server where none was given, proof that it is the right one, and a connection for each arm."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ecc_deploy.bench import wirebytes
from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.endpoint import resolve
from ecc_deploy.bench.loop import OpenArm
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.bench.wirebytes import ServerSockets, WireCounter
from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import ServerError, UsageError
from ecc_deploy.progress import Progress
from ecc_deploy.runtime.client import CloudClient
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.selftest import check_cloud

if TYPE_CHECKING:
    from typing_extensions import Self

    from ecc_deploy.links import Link


def through(link: Link, cloud: str) -> str:
    """Where a running server is reached through ``link``. Raises :class:`UsageError` where it cannot lead there."""
    if link.far or resolve(cloud).link != "loopback":
        raise UsageError(
            f"the server at {cloud} cannot be reached through the emulated link {link.profile.name} ({link.method})",
            "An emulated link begins and ends on this machine: leave --cloud out, so that a server is started at its "
            "far end, or give a server on 127.0.0.1 and --link-method proxy.",
        )
    return link.url(int(cloud.rpartition(":")[2]))


class Opener:
    """A context manager: what it opened is closed on exit, a server that it started ended.

    ``cloud``: ``host:port`` of a running server; ``None``: one is started for the first arm that needs it, at the far
    end of ``link`` where there is one. A running server is reached through a link only where that can lead to any
    program of this machine. Raises :class:`UsageError` where it cannot.
    """

    def __init__(
        self,
        bundle: Bundle,
        cloud: str | None,
        *,
        link: Link | None = None,
        threads: int,
        deadline_ms: float,
        progress: Progress,
        credentials: Credentials | None = None,
    ) -> None:
        self._bundle = bundle
        self._url = cloud
        self._emulated = link
        if link is not None and cloud is not None:
            self._url = through(link, cloud)
        self._threads = threads
        self._deadline_ms = deadline_ms
        self._progress = progress
        self._credentials = credentials
        self._stack = ExitStack()
        self._server: ServerProcess | None = None
        self._sockets: ServerSockets | None = None
        self._link: str | None = None
        self.server_names: set[str] = set()
        """Texts that name the server: host and addresses."""
        self.notes: list[str] = []
        """Of the self-test against the server."""

    def open(self, spec: ArmSpec) -> OpenArm:
        """Open one arm. Raises :class:`ServerError` where the server is not there or serves something else."""
        client, wire = self._connect() if spec.needs_cloud else (None, None)
        runtime = EdgeRuntime(
            self._bundle,
            spec.deployment,
            cloud=client,
            codec=spec.codec,
            threads=self._threads,
            deadline_ms=self._deadline_ms,
        )
        return OpenArm(
            spec,
            self._stack.enter_context(runtime),
            wire,
            link=self._emulated.profile.name if self._emulated is not None and spec.needs_cloud else None,
            url=self._url if spec.needs_cloud else None,
            credentials=self._credentials if spec.needs_cloud else None,
        )

    @property
    def is_used(self) -> bool:
        """Whether an arm of it has a server."""
        return self._link is not None

    @property
    def has_server(self) -> bool:
        """Whether it has started one."""
        return self._server is not None

    def server_report(self) -> str | None:
        """How the server that was started has ended; ``None`` while it runs, or where none was started."""
        return self._server.exit_report() if self._server else None

    def conditions(self) -> dict[str, Any]:
        """For the settings: where the server ran, its threads, and what link led to it."""
        if self._server is not None:
            where = "another process on this machine, started and ended by the benchmark"
        elif self._link is not None:
            where = "was running at the address given; its threads are not known"
        else:
            where = "none: no arm needs one"
        link = self._link if self._emulated is None else f"{self._emulated.profile.name} (emulated)"
        return {"server": where, "threads_cloud": self._threads if self._server else None, "link": link}

    def _connect(self) -> tuple[CloudClient, WireCounter | None]:
        url = self._url or self._start_server()
        if self._link is None:
            self._prove(url)
        if self._sockets is not None:
            self._sockets.pass_over()
        client = self._stack.enter_context(CloudClient(url, self._bundle.manifest, credentials=self._credentials))
        client.connect()
        if self._sockets is None:
            return client, None
        wire = WireCounter(self._sockets)
        wire.follow()
        return client, wire

    def _start_server(self) -> str:
        self._progress("Server", 0, 1, "starting")
        link = self._emulated
        if link is None:
            process = ServerProcess(self._bundle.path, threads=self._threads)
        else:
            process = ServerProcess(self._bundle.path, threads=self._threads, host=link.far_host, prefix=link.far)
        self._server = self._stack.enter_context(process)
        self._url = self._server.url if link is None else link.url(self._server.port)
        self._progress("Server", 1, 1, "ready")
        return self._url

    def _prove(self, url: str) -> None:
        """The golden samples, before anything counts."""
        endpoint = resolve(url)
        try:
            with CloudClient(url, self._bundle.manifest, credentials=self._credentials) as client:
                client.connect()
                self.notes += check_cloud(self._bundle, client)
        except ServerError as error:
            if self._server is not None and (words := self._server.last_words()):
                raise ServerError(error.message, f"The server wrote:\n{words}") from error
            raise
        self._link, self.server_names = endpoint.link, endpoint.names
        if wirebytes.why_not() is None:
            self._sockets = self._stack.enter_context(ServerSockets(endpoint.addresses))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
