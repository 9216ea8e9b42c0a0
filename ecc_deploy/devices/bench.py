"""A benchmark that runs on another machine, which is reached over ssh."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ecc_deploy.bench.arms import choose_arms
from ecc_deploy.bench.schema import Bench
from ecc_deploy.bundle import Bundle
from ecc_deploy.devices.cloud_side import CloudSide
from ecc_deploy.devices.destination import Destination, parse_destination
from ecc_deploy.devices.frames import ProtocolError, document, shown
from ecc_deploy.devices.installing import install
from ecc_deploy.devices.requirements import code_digest, edge_extra
from ecc_deploy.devices.session import Session
from ecc_deploy.doctor import Diagnosis
from ecc_deploy.errors import DeviceError, UsageError
from ecc_deploy.progress import Progress, silent


@dataclass(frozen=True)
class Device:
    """A machine that ssh reaches.

    ``name``: ``[user@]host[:port]``, or a name of ssh's configuration. ``python``: on the device, with ecc-deploy;
    ``None``: it is looked for. ``ssh_config``: instead of ``~/.ssh/config``. ``wheel``: of ecc-deploy, to be installed
    there first, in ``~/.ecc-deploy/venv``, by ``python`` or ``python3``; see :mod:`ecc_deploy.devices.installing`.
    """

    name: str
    python: str | None = None
    ssh_config: Path | None = None
    wheel: Path | None = None

    @property
    def destination(self) -> Destination:
        """Raises :class:`UsageError` for a name that is none."""
        return parse_destination(self.name)

    def installed(self, extra: str, progress: Progress = silent) -> Device:
        """This device with ``wheel`` installed, where there is one."""
        if self.wheel is None:
            return self
        python = install(
            self.destination, self.wheel, extra, python=self.python, config=self.ssh_config, progress=progress
        )
        return Device(self.name, python, self.ssh_config)

    def session(self, *, forward: int | None = None, extra: str = "onnxruntime") -> Session:
        """Connect; see :class:`Session`."""
        return Session(self.destination, python=self.python, config=self.ssh_config, forward=forward, extra=extra)


def bench_on_device(
    bundle: Bundle,
    device: Device | str,
    *,
    cloud: str | None = None,
    serve_at: str | None = None,
    progress: Progress = silent,
    note: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Bench:
    """Measure ``bundle`` on ``device``, as :func:`ecc_deploy.bench.run.bench` does there, with the same ``options``.

    What the device does not have of the bundle is sent, its runtime is checked, engines that belong to the device are
    built there. ``cloud``: ``host:port`` of a running server, as the device sees it. ``serve_at``: an address of this
    machine where a server is started that the device reaches directly. Neither: one is started on the loopback of this
    machine, and the device reaches it through the ssh connection. ``note``: is told what a user has to know meanwhile.
    Paths among the options, such as ``data_folder``, are those of the device.

    Whatever ends this ends what runs on the device. Raises :class:`DeviceError` where the device cannot be reached or
    used, :class:`BackendMissingError` where its runtime is missing, and what a benchmark raises.
    """
    device = Device(device) if isinstance(device, str) else device
    destination = device.destination
    sent = {key: _plain(key, value) for key, value in options.items()}
    specs = choose_arms(bundle, options.get("arms"), options.get("image_codecs"))
    needs_cloud = any(spec.needs_cloud for spec in specs)
    threads = options.get("threads", 1)
    with ExitStack() as stack:
        side = stack.enter_context(
            CloudSide(bundle.path, cloud=cloud, serve_at=serve_at, threads=threads, is_wanted=needs_cloud)
        )
        if (warning := side.warning()) is not None:
            note(warning)
        extra = edge_extra(bundle.manifest)
        device = device.installed(extra, progress)
        progress("Connect", 0, 1, str(destination))
        session = stack.enter_context(device.session(forward=side.forward, extra=extra))
        _check_version(session, note)
        url = side.url(session.tunnel_port() if side.forward is not None else None)
        progress("Connect", 1, 1, str(destination))
        session.send_bundle(bundle, progress)
        session.ask("ready", progress=progress)
        answer = session.ask("bench", {**sent, "cloud": url}, progress=progress)
        return side.told(_measured(answer.body, bundle, destination))


def diagnose_device(device: Device | str) -> Diagnosis:
    """What ``device`` has, and can do: :func:`ecc_deploy.doctor.diagnose` there. Raises :class:`DeviceError`."""
    device = Device(device) if isinstance(device, str) else device
    with device.session() as session:
        body = session.ask("doctor").body
    try:
        return TypeAdapter(Diagnosis).validate_python(document(body))
    except (ValidationError, ProtocolError) as error:
        raise DeviceError(
            f"what {device.destination} says of itself cannot be read", "Is its version another?"
        ) from error


def _plain(name: str, value: object) -> object:
    """An option as it travels. Raises :class:`UsageError` for what only this process can hold."""
    if isinstance(value, Path):
        return str(value)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise UsageError(
            f"{name} cannot be sent to a device: it is a {type(value).__name__}",
            "Numbers, texts, paths and lists can; a dataset goes by its name, or as package.module:factory.",
        ) from None
    return value


def _check_version(session: Session, note: Callable[[str], None]) -> None:
    own, its = version("ecc-deploy"), session.facts.get("version")
    if its != own:
        raise DeviceError(
            f"{session.destination} has ecc-deploy {shown(str(its))}, and this is {own}",
            "What is measured is the code of the device: install the same there, --device-install WHEEL.",
        )
    if session.facts.get("code") != code_digest():
        note(f"the ecc-deploy of {session.destination} has the same version, {own}, but other code: that is measured")


def _measured(body: bytes, bundle: Bundle, destination: Destination) -> Bench:
    """The device's result, if it is one, of this bundle."""
    try:
        result = Bench.model_validate(document(body))
    except (ValidationError, ProtocolError) as error:
        raise DeviceError(
            f"what {destination} sent is not the result of a benchmark", "Is the same version of ecc-deploy there?"
        ) from error
    if result.bundle.get("pair_id") != bundle.manifest.pair_id:
        raise DeviceError(f"{destination} sent the result of another bundle")
    return result
