"""How far an offloaded sample is above what its link allows, and whether its bytes are counted right.

    python benchmarks/link_floor.py BUNDLE [--link rate=10mbit,delay=20ms] [--samples N] [--arch NAME ...] [--json]

Opens the link, which checks itself first, puts a server at its far end, and measures the bundle's arms through it as
`ecc-deploy bench --link` does. For every arm that offloads: the floor (edge, time of its wire bytes on the line, round
trip, cloud), the measured median beside it, and the difference. Right after, on the same link opened again and with
about as many bytes: what a round trip by a bare socket and by gRPC alone is above its line. For the link: the bytes of
a packet capture on its device, beside what the link counted and what TCP_INFO says. Needs root; the capture is of the
very packets, none is sampled.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any

from bare_trip import bare_trips

import ecc_deploy as ecc
from ecc_deploy import links
from ecc_deploy.bench.schema import Bench
from ecc_deploy.data import Dataset

FLOOR_LIMIT, BYTES_LIMIT = 0.05, 0.005
DEADLINE_MS = 10_000
_BUFFER_BYTES = 1 << 29
_SEGMENT_HEADERS = 52
"""IPv4 and TCP with timestamps; each way a segment with data and an acknowledgement."""
_ALL, _IPV4, _RCVBUFFORCE, _STATISTICS = 0x0003, 0x0800, 33, 6


class Capture:
    """IPv4 bytes that left by a device (up) and came in there (down), from the length in each packet's header."""

    def __init__(self, device: str) -> None:
        self._sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ALL))
        self._sock.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER_BYTES)
        self._sock.bind((device, _ALL))
        self._sock.setblocking(False)
        self.up = self.down = self.dropped = 0
        self.marks: list[tuple[int, int]] = []

    def mark(self) -> None:
        """Count what was captured so far, and note the sums. Between marks packets wait in the kernel, so that
        nothing here takes time from what is measured.
        """
        try:
            while True:
                head, address = self._sock.recvfrom(64)
                if address[1] == _IPV4:
                    (length,) = struct.unpack_from(">H", head, 2)
                    if address[2] == socket.PACKET_OUTGOING:
                        self.up += length
                    else:
                        self.down += length
        except BlockingIOError:
            pass
        _, dropped = struct.unpack("II", self._sock.getsockopt(263, _STATISTICS, 8))  # SOL_PACKET
        self.dropped += dropped
        self.marks.append((self.up, self.down))


def main() -> int:
    """Exit code 0: within the limits; 1: not; 2: it could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--link", default="rate=10mbit,delay=20ms", help="default rate=10mbit,delay=20ms")
    parser.add_argument("--samples", type=int, default=300, help="measured samples (default 300)")
    parser.add_argument("--arch", action="append", help="only this arm; may be repeated")
    parser.add_argument("--dataset", help="instead of the bundle's own: a name, or package.module:factory")
    parser.add_argument("--json", action="store_true", help="print a JSON document instead of a table")
    given = parser.parse_args()
    try:
        facts = measure(given.bundle, given.link, given.samples, given.arch, given.dataset)
    except ecc.EccError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(facts, indent=1) if given.json else text(facts))
    return 0 if facts["within"] else 1


def measure(
    bundle: Path, link: str, samples: int, arms: list[str] | None, dataset: Dataset | str | None = None
) -> dict[str, Any]:
    """Measure, with a capture that notes its sums whenever the benchmark reads the link's own."""
    captures: list[Capture] = []
    open_link = links.open_link

    def watched(profile: links.LinkProfile, **options: Any) -> links.Link:
        opened = open_link(profile, **options)
        if not hasattr(opened, "device"):
            opened.close()
            raise ecc.EccError(f"a link by {opened.method} has no device to capture on", "Run this as root.")
        capture = Capture(opened.device)
        captures.append(capture)
        counts = opened.counts

        def noted() -> links.WireBytes | None:
            capture.mark()
            return counts()

        opened.counts = noted  # type: ignore[method-assign]  # of this one link, to look at the same moments
        return opened

    links.open_link = watched
    try:
        result = ecc.run_bench(
            ecc.open_bundle(bundle), samples=samples, arms=arms, links=[link], dataset=dataset, deadline_ms=DEADLINE_MS
        )
    finally:
        links.open_link = open_link
    return _facts(result, captures[0]) | {"bare": _bare(result, link, samples)}


def _bare(result: Bench, link: str, count: int) -> dict[str, Any]:
    """Round trips with the bytes of the arm that sends the fewest; nothing where none offloads."""
    sizes = [
        (arm.floor.wire_up_bytes_per_offload, arm.floor.wire_down_bytes_per_offload)
        for arm in result.arms
        if arm.floor is not None
    ]
    if not sizes:
        return {}
    up, down = (max(1, round(size) - 2 * _SEGMENT_HEADERS) for size in min(sizes))
    with links.open_link(links.load_link(link)) as opened:
        return bare_trips(opened, up, down, count)


def _facts(result: Bench, capture: Capture) -> dict[str, Any]:
    (up_before, down_before), (up, down) = capture.marks[0], capture.marks[-1]
    (link,) = result.links
    captured = {"up": up - up_before, "down": down - down_before}
    counted = {"up": link.wire_up_bytes, "down": link.wire_down_bytes}
    by_tcp_info = {"up": link.tcp_info_up_bytes, "down": link.tcp_info_down_bytes}
    off = {
        f"{name}_{way}": found[way] / captured[way] - 1
        for name, found in (("link", counted), ("tcp_info", by_tcp_info))
        for way in captured
        if found[way] is not None
    }
    arms = {
        arm.name: arm.floor.model_dump(exclude={"ci95"}) | {"samples": round(arm.samples * arm.offload_rate)}
        for arm in result.arms
        if arm.floor is not None
    }
    within = (
        bool(arms)
        and len(off) == 4
        and capture.dropped == 0
        and all(arm["overhead_ratio"] <= FLOOR_LIMIT for arm in arms.values())
        and all(abs(share) <= BYTES_LIMIT for share in off.values())
    )
    return {
        "link": link.model_dump(),
        "arms": arms,
        "bytes": {"captured": captured, "link": counted, "tcp_info": by_tcp_info, "off": off},
        "packets_missed_by_capture": capture.dropped,
        "within": within,
        "limits": {"above_floor": FLOOR_LIMIT, "bytes": BYTES_LIMIT},
        "warnings": result.warnings,
        "environment": result.environment,
    }


def text(facts: dict[str, Any]) -> str:
    """The same for people."""
    link = facts["link"]
    lines = [
        f"{link['name']}, emulated by {link['method']} ({link['note']})",
        "",
        f"{'arm':28} {'edge':>7} {'line':>7} {'trip':>7} {'cloud':>7} {'floor':>8} {'measured':>9} {'over':>7}",
    ]
    parts = ("edge_ms", "serialization_ms", "rtt_ms", "cloud_ms")
    for name, arm in facts["arms"].items():
        figures = " ".join(f"{arm[part]:7.2f}" for part in parts)
        lines.append(
            f"{name:28} {figures} {arm['total_ms']:8.2f} {arm['measured_p50_ms']:9.2f} {arm['overhead_ratio']:+7.1%}"
        )
    lines += ["", "milliseconds, medians of offloaded samples", ""]
    for way, bare in facts["bare"].items():
        lines.append(f"a round trip by {way} alone: {bare['overhead_ms']:.2f} ms above its line")
    ours = [arm["overhead_ms"] for arm in facts["arms"].values()]
    if ours:
        lines += [f"the arms: {min(ours):.2f} to {max(ours):.2f} ms above their floors", ""]
    found = facts["bytes"]
    for way in ("up", "down"):
        told = f"wire bytes {way:5} captured {found['captured'][way]:>10}"
        for name in ("link", "tcp_info"):
            if f"{name}_{way}" in found["off"]:
                told += f"   {name} {found[name][way]:>10} ({found['off'][f'{name}_{way}']:+.2%})"
        lines.append(told)
    lines += ["", *(f"Warning: {warning}" for warning in facts["warnings"])]
    limits = facts["limits"]
    verdict = "within" if facts["within"] else "NOT within"
    lines.append(f"{verdict} {limits['above_floor']:.0%} of the floor and {limits['bytes']:.1%} of the bytes")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
