"""``ecc_deploy.links.far`` with tbf, which more kernels have, in the place of netem: all the rest is the same."""

import sys
from typing import Any

from ecc_deploy.links import far, netem
from ecc_deploy.links.profile import LinkProfile


def options(profile: LinkProfile, direction: str, own_ms: float = 0.0, *, is_cut: bool = False) -> dict[str, Any]:
    from pyroute2.netlink.rtnl.tcmsg import sched_tbf

    mbit = profile.up_mbit if direction == "up" else profile.down_mbit
    assert mbit is not None
    found: dict[str, Any] = sched_tbf.get_parameters(
        {"rate": int(mbit * 125_000), "burst": 2_000, "latency": 1_000_000}
    )
    return found


if __name__ == "__main__":
    netem.KIND, netem.options = "tbf", options
    sys.exit(far.main())
