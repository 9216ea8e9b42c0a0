"""What a real relay does to packets, as far as it can be said without a clock of its own."""

import statistics

from ecc_deploy.links import load_link, open_link
from ecc_deploy.links.probes import ping
from tests.links.conformance import needs

pytestmark = needs("tun")


def test_jitter_spreads_the_round_trips_and_never_shortens_them_too_much() -> None:
    with open_link(load_link("rate=50mbit,delay=40ms,jitter=10ms"), method="tun", verify=False) as link:
        trips = ping(link.far_host, timeout_s=5)
    assert len(trips) == 15
    assert min(trips) >= 20
    assert statistics.pstdev(trips) > 2


def test_all_packets_lost_is_no_answer() -> None:
    with open_link(load_link("rate=50mbit,delay=2ms"), method="tun", verify=False) as link:
        link.cut()
        assert ping(link.far_host, timeout_s=0.3) == []
        link.restore()
        assert len(ping(link.far_host, timeout_s=5)) == 15
