"""``python -m ecc_deploy.links.far METHOD PROFILE``: holds the far namespace, and sets up or passes what goes there.

The namespace has no name: it goes when this process and those in it have gone, and the devices with it.
"""

from __future__ import annotations

import gc
import os
import random
import sys
import time
from typing import Any

from ecc_deploy.errors import LinkError
from ecc_deploy.links import namespace, netem, network
from ecc_deploy.links.helper import Facts, LinkUnavailableError, Requests, say
from ecc_deploy.links.line import Line, Shape
from ecc_deploy.links.profile import LinkProfile
from ecc_deploy.links.relay import Side, relay
from ecc_deploy.links.tun import MTU, open_tun


def main() -> int:
    """Set up, say so in one line of JSON, then serve requests until stdin closes. Exit code 1: it said an error."""
    method, profile = sys.argv[1], LinkProfile.model_validate_json(sys.argv[2])
    try:
        _netem(profile) if method == "netem" else _tun(profile)
    except LinkError as error:
        say({"error": error.message, "hint": error.hint, "is_unavailable": isinstance(error, LinkUnavailableError)})
        return 1
    return 0


def _tun(profile: LinkProfile) -> None:
    near, near_name = open_tun(network.NAME)
    near_address, far_address = network.addresses(near_name)
    with network.netlink() as ip:
        network.bring_up(ip, near_name, near_address, mtu=MTU)
    _unshare()
    far, far_name = open_tun(network.FAR_NAME)
    with network.netlink() as ip:
        network.bring_up_loopback(ip)
        network.bring_up(ip, far_name, far_address, mtu=MTU)
    rng = random.Random(0)  # the same link twice loses and delays alike
    sides = {
        "up": Side(near, far, Line(Shape.of(profile, "up"), rng)),
        "down": Side(far, near, Line(Shape.of(profile, "down"), rng)),
    }
    requests = Requests(TunRequests(sides).handlers())
    gc.disable()  # nothing here makes cycles
    notes = ["real-time priority" if namespace.be_on_time() else "ordinary priority"]
    say({"near": near_address, "far": far_address, "device": near_name, "notes": notes})
    relay(sides["up"], sides["down"], requests.descriptor, requests.serve)
    os.close(near)
    os.close(far)


def _netem(profile: LinkProfile) -> None:
    with network.netlink() as near:
        near_name, moved = netem.make_pair(near)
        near_address, far_address = network.addresses(near_name)
        netem.switch_off_offloads(near_name)
        near_index = network.bring_up(near, near_name, near_address, mtu=MTU)
        _unshare()
        netem.move_away(near, moved)
        with network.netlink() as far:
            network.bring_up_loopback(far)
            netem.rename(far, moved, network.FAR_NAME)
            netem.switch_off_offloads(network.FAR_NAME)
            far_index = network.bring_up(far, network.FAR_NAME, far_address, mtu=MTU)
            netem.know_neighbour(near, near_index, far_address, netem.hardware_address(far, far_index))
            netem.know_neighbour(far, far_index, near_address, netem.hardware_address(near, near_index))
            pair = netem.Netem(near, far, {"up": near_index, "down": far_index}, profile)
            requests = Requests(pair.handlers())
            say({"near": near_address, "far": far_address, "device": near_name, "notes": []})
            while requests.serve():
                pass


def _unshare() -> None:
    try:
        namespace.unshare()
    except OSError as error:
        raise LinkError(
            f"a network namespace cannot be made ({error.strerror})", "It needs root, or the capability SYS_ADMIN."
        ) from error


class TunRequests:
    """What the parent may ask of a running relay."""

    def __init__(self, sides: dict[str, Side]) -> None:
        self._sides = sides

    def handlers(self) -> dict[str, Any]:
        return {"change": self.change, "cut": self.cut, "restore": self.restore, "counts": self.counts}

    def change(self, profile: Facts, own_ms: float) -> None:
        wanted = LinkProfile.model_validate(profile)
        for name, side in self._sides.items():
            side.line.change(Shape.of(wanted, name, own_ms), time.monotonic_ns())

    def cut(self) -> None:
        for side in self._sides.values():
            side.line.cut()

    def restore(self) -> None:
        for side in self._sides.values():
            side.line.restore()

    def counts(self) -> Facts:
        """``up``: what the near end sent, whatever became of it; ``down``: what reached it. As seen at the near end."""
        up, down = self._sides["up"], self._sides["down"]
        return {
            "up": up.bytes_in,
            "down": down.bytes_out,
            "dropped": up.line.dropped + down.line.dropped,
            "lost": up.line.lost + down.line.lost,
        }


if __name__ == "__main__":
    sys.exit(main())
