"""``python -m ecc_deploy.links.far_probe HOST``: the far end of measurements, started where HOST is an address."""

from __future__ import annotations

import sys

from ecc_deploy.links.helper import Facts, Requests, say
from ecc_deploy.links.probes import Burst, UdpEnd


def main() -> int:
    """Say the UDP port in one line of JSON, then serve requests until stdin closes."""
    end = UdpEnd(sys.argv[1])

    def receive(packets: int, size: int, within_s: float) -> Facts:
        return {"ns": end.receive(Burst(packets, size), within_s).ns}

    def send(packets: int, size: int, host: str, port: int) -> None:
        end.send(Burst(packets, size), host, port)

    requests = Requests({"receive": receive, "send": send})
    say({"port": end.port})
    while requests.serve():
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
