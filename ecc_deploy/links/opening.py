"""Which way of emulation this machine can do, and opening a link by it."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Literal, get_args

from ecc_deploy.errors import LinkError
from ecc_deploy.links import tun
from ecc_deploy.links.helper import LinkUnavailableError
from ecc_deploy.links.link import Link, Method
from ecc_deploy.links.profile import LinkProfile

METHODS: tuple[Method, ...] = ("netem", "tun", "proxy")
"""In the order in which they are tried."""
_found_impossible: dict[Method, str] = {}
"""What was tried in this process, and why it is not tried again: a kernel does not change."""


def why_not(method: Method) -> str | None:
    """Why this machine cannot emulate by ``method``; ``None``: nothing speaks against it (netem shows when tried)."""
    if sys.platform != "linux":
        return "links are emulated on Linux only"
    if method == "proxy":
        return None
    if os.geteuid() != 0:
        return "it needs root"
    if find_spec("pyroute2") is None:
        return "pyroute2 is not installed (pip install 'ecc-deploy[links]')"
    if method == "tun" and not tun.DEVICE.exists():
        return f"there is no {tun.DEVICE}"
    return None


def open_link(
    profile: LinkProfile, *, method: Literal["auto", "netem", "tun", "proxy"] = "auto", verify: bool = True
) -> Link:
    """Emulate a link on this machine; close it at the end.

    ``method``: how; "auto" takes the first of :data:`METHODS` that this machine can do, and the link's ``note`` says
    why not an earlier one. ``verify``: measure rates and round trip first, without jitter and loss.

    Raises :class:`LinkError` where the method is not possible here, or rate or round trip are off by more than 5 %.
    """
    if method != "auto" and method not in get_args(Method):
        raise LinkError(f"there is no method {method!r}", f"Known: auto, {', '.join(get_args(Method))}.")
    if method != "auto":
        reason = why_not(method)
        if reason is not None:
            raise LinkError(
                f"a link cannot be emulated by {method} here: {reason}", "--link-method auto takes another."
            )
        return _open(profile, method, verify)
    reasons: list[str] = []
    for candidate in METHODS:
        reason = why_not(candidate) or _found_impossible.get(candidate)
        if reason is None:
            try:
                link = _open(profile, candidate, verify)
            except LinkUnavailableError as error:
                reason = _found_impossible[candidate] = error.message
            else:
                link.note = "; ".join((link.note, *reasons))
                return link
        reasons.append(f"not {candidate}: {reason}")
    raise LinkError(f"a link cannot be emulated here: {'; '.join(reasons)}")


def _open(profile: LinkProfile, method: Method, verify: bool) -> Link:
    if method == "proxy":
        from ecc_deploy.links.proxied import ProxyLink

        return ProxyLink(profile, verify=verify)
    from ecc_deploy.links.namespaced import NamespaceLink

    return NamespaceLink(profile, method, verify=verify)
