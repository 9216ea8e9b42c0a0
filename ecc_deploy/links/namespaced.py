"""A link to a network namespace of its own: what the methods netem and tun have in common."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

from ecc_deploy.links import namespace
from ecc_deploy.links.check import calibrate_and_check
from ecc_deploy.links.counts import WireBytes
from ecc_deploy.links.helper import Helper
from ecc_deploy.links.link import Link, Method
from ecc_deploy.links.probes import NamespaceProber
from ecc_deploy.links.profile import LinkProfile

_NOTES = {
    "tun": "user-space relay between two TUN devices, MTU 1500",
    "netem": "Linux netem on a veth pair, MTU 1500, no segmentation offload",
}


class NamespaceLink(Link):
    """Between this namespace and one that a child process holds. Needs root."""

    def __init__(self, profile: LinkProfile, method: Method, *, verify: bool) -> None:
        self.profile = profile
        self.method = method
        self._helper = Helper("ecc_deploy.links.far", method, profile.model_dump_json())
        facts = self._helper.facts
        self.far_host: str = facts["far"]
        self.near_host: str = facts["near"]
        self.device: str = facts["device"]
        """At the near end; what goes over the link can be captured here."""
        self.far = [sys.executable, "-I", namespace.__file__, f"/proc/{self._helper.pid}/ns/net"]
        self.note = ", ".join((_NOTES[method], *facts["notes"], *_congestion_control()))
        self._before = WireBytes(0, 0)
        self._own_ms = 0.0
        try:
            if verify:
                self._verify()
            self._before = self._read()
        except BaseException:
            self.close()
            raise

    def url(self, port: int) -> str:
        return f"{self.far_host}:{port}"

    def counts(self) -> WireBytes:
        now = self._read()
        return WireBytes(now.up - self._before.up, now.down - self._before.down)

    def change(self, profile: LinkProfile) -> None:
        self._apply(profile, self._own_ms)
        self.profile = profile

    def cut(self) -> None:
        self._helper.ask("cut")

    def restore(self) -> None:
        self._helper.ask("restore")

    def close(self) -> None:
        self._helper.close()

    def _read(self) -> WireBytes:
        facts = self._helper.ask("counts")
        return WireBytes(facts["up"], facts["down"])

    def _apply(self, profile: LinkProfile, own_ms: float) -> None:
        self._helper.ask("change", profile=profile.model_dump(mode="json"), own_ms=own_ms)

    def _verify(self) -> None:
        with closing(NamespaceProber(self.far, self.near_host, self.far_host)) as prober:
            self.check, self._own_ms = calibrate_and_check(self.profile, prober, self._apply)
        self.note += f", own delay of {self._own_ms:.2f} ms taken off"


def _congestion_control() -> list[str]:
    """TCP's, which decides how a link is filled; a new namespace has that of this one."""
    try:
        name = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    except OSError:
        return []
    return [f"TCP {name}"]
