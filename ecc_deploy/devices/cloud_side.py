"""Where the cloud half of a benchmark on a device is served, and how the device gets there."""

from __future__ import annotations

import ipaddress
import socket
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ecc_deploy.bench.environment import fingerprint
from ecc_deploy.bench.schema import Bench
from ecc_deploy.bench.server_process import HOST as LOOPBACK
from ecc_deploy.bench.server_process import ServerProcess
from ecc_deploy.errors import UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

TUNNEL = "through an ssh tunnel"
NO_WIRE_BYTES = (
    "not counted: samples went through an ssh tunnel, whose bytes on the network are others than those of the "
    "connection inside it"
)
HERE = "another process on the machine that gave the command, started and ended by the benchmark"


class CloudSide:
    """A context manager: the server that the device is to use. What it started has ended on exit.

    ``cloud``: ``HOST:PORT`` of a running one, as the device sees it. ``serve_at``: an address of this machine that
    the device reaches, where one is started. Neither: one is started on this machine's loopback, for a tunnel.
    ``is_wanted``: whether anything needs a server.

    Raises :class:`UsageError` for an address that is not this machine's, :class:`ServerError`.
    """

    def __init__(
        self, bundle: Path, *, cloud: str | None, serve_at: str | None, threads: int, is_wanted: bool = True
    ) -> None:
        if cloud is not None and serve_at is not None:
            raise UsageError("--cloud and --serve-at exclude each other", "One uses a server, the other starts one.")
        self._bundle = bundle
        self._threads = threads
        self._given = cloud
        self._address = None if serve_at is None else own_address(serve_at)
        self._starts = is_wanted and cloud is None
        self._stack = ExitStack()
        self._server: ServerProcess | None = None

    @property
    def forward(self) -> int | None:
        """The port here that a tunnel has to lead to; ``None``: there is no tunnel."""
        return self._port if self._server is not None and self._address is None else None

    def url(self, tunnel_port: int | None) -> str | None:
        """``HOST:PORT`` for the device; ``tunnel_port``: where the tunnel begins there."""
        if self._given is not None or self._server is None:
            return self._given
        return self._server.url if self._address is not None else f"127.0.0.1:{tunnel_port}"

    def warning(self) -> str | None:
        """What whoever started this must know before it runs."""
        if self._address is None or ipaddress.ip_address(self._address).is_loopback:
            return None
        return f"until the benchmark has ended, whoever reaches {self._address}:{self._port} can use the server there"

    def told(self, result: Bench) -> Bench:
        """``result`` of the device, with what it cannot know: where the server ran, and what led there."""
        if self._server is None:
            return result
        remarks = list(result.warnings)
        if (report := self._server.exit_report()) is not None:
            remarks.append(f"the server that the benchmark had started {report}")
        settings: dict[str, Any] = {
            **result.settings,
            "server": HERE,
            "threads_cloud": self._threads,
            "cloud_environment": fingerprint(),
        }
        arms = result.arms
        if self._address is None and settings.get("link") is not None:
            settings |= {"link": TUNNEL, "wire_method": NO_WIRE_BYTES}
            remarks.append(
                "the samples went through an ssh tunnel: latencies include its encryption and share its one TCP "
                "connection, wire bytes are not counted; --serve-at measures the network itself"
            )
            nothing = {"wire_up_bytes_per_sample": None, "wire_down_bytes_per_sample": None}
            arms = [arm.model_copy(update=nothing) if arm.codec is not None else arm for arm in arms]
        return result.model_copy(update={"settings": settings, "arms": arms, "warnings": remarks})

    @property
    def _port(self) -> int:
        assert self._server is not None
        return int(self._server.url.rpartition(":")[2])

    def __enter__(self) -> Self:
        if self._starts:
            host = self._address or LOOPBACK
            self._server = self._stack.enter_context(ServerProcess(self._bundle, host=host, threads=self._threads))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def own_address(text: str) -> str:
    """An IP address of this machine, by which others reach it. Raises :class:`UsageError`."""
    hint = "Give the address by which the device reaches this machine: `ip -brief address` lists them."
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        raise UsageError(f"{text!r} is no IP address", hint) from None
    if address.is_unspecified or address.is_multicast:
        raise UsageError(f"the device cannot reach {address}", hint)
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        try:
            trial.bind((str(address), 0))
        except OSError as error:
            raise UsageError(f"{address} is no address of this machine ({error.strerror})", hint) from error
    return str(address)
