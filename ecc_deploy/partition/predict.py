"""What each cut would take, from the profiles of both sides and a link; and which cut is best."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ecc_deploy.errors import UsageError
from ecc_deploy.links import LinkProfile
from ecc_deploy.partition.cuts import Cut, Cuts
from ecc_deploy.partition.profile import Profile

HEADERS_BYTES = 320
"""On the wire for each sample and direction beside the payload: HTTP/2, gRPC, the protocol's message, TCP/IP and
acknowledgements; counted on this client and server (docs/results.md)."""
_SEGMENT = 1448 / 1500
"""Payload of a TCP segment of an Ethernet frame, by its IP bytes."""
ANSWER_BITS = 32
"""Of each number of the model's answer, which comes back in float32."""


@dataclass(frozen=True)
class Predicted:
    """One way to answer a sample; ``cut``: ``None`` where the edge does all of it. Times in ms; the payload's bytes."""

    cut: Cut | None
    link: str
    edge_ms: float
    up_ms: float
    rtt_ms: float
    cloud_ms: float
    down_ms: float
    payload_bytes: int
    edge_macs: int
    cloud_macs: int

    @property
    def latency_ms(self) -> float:
        """From the image to the answer."""
        return self.edge_ms + self.up_ms + self.rtt_ms + self.cloud_ms + self.down_ms


OBJECTIVES: dict[str, Callable[[Predicted], float]] = {
    "latency": lambda one: one.latency_ms,
    "bytes": lambda one: one.payload_bytes,
    "cloud-macs": lambda one: one.cloud_macs,
}
_BOUNDED: dict[str, Callable[[Predicted], float]] = {
    "latency_ms": lambda one: one.latency_ms,
    "edge_ms": lambda one: one.edge_ms,
    "cloud_ms": lambda one: one.cloud_ms,
    "bytes": lambda one: one.payload_bytes,
    "edge_macs": lambda one: one.edge_macs,
    "cloud_macs": lambda one: one.cloud_macs,
    "tensors": lambda one: 0 if one.cut is None else len(one.cut.crossing),
}


def predict(cuts: Cuts, edge: Profile, cloud: Profile, link: LinkProfile, bits: int) -> list[Predicted]:
    """Every cut over ``link``, and the edge alone, last. What crosses is sent in ``bits`` each, the image in 8."""
    everything = (1 << len(cuts.groups)) - 1
    graph = cuts.graph
    answers = sum(tensor.elements for node in graph.outputs if (tensor := graph.tensor(node)) is not None)
    found = []
    for cut in cuts.cuts:
        payload = sum(
            (tensor.elements * (8 if node is graph.entry else bits) + 7) // 8
            for node, tensor in zip(cut.nodes, cut.crossing, strict=True)
        )
        found.append(
            Predicted(
                cut=cut,
                link=link.name,
                edge_ms=edge.half_ms(cut.edge) if cut.edge else 0.0,
                up_ms=_line_ms(payload, link.up_mbit),
                rtt_ms=link.rtt_ms,
                cloud_ms=cloud.half_ms(everything & ~cut.edge),
                down_ms=_line_ms(answers * ANSWER_BITS // 8, link.down_mbit),
                payload_bytes=payload,
                edge_macs=cut.edge_macs,
                cloud_macs=cut.cloud_macs,
            )
        )
    found.append(Predicted(None, link.name, edge.whole_ms, 0.0, 0.0, 0.0, 0.0, 0, graph.macs, 0))
    return found


def best(found: Sequence[Predicted], objective: str = "latency", constraints: Sequence[str] = ()) -> list[Predicted]:
    """Those that keep all ``constraints`` (``latency_ms<=80``), the best first; equal ones by latency.

    Raises :class:`UsageError` for an objective or a constraint that is none.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"there is no objective {objective!r}", f"There are: {', '.join(OBJECTIVES)}.")
    limits = [_limit(text) for text in constraints]
    kept = [one for one in found if all(measure(one) <= most for measure, most in limits)]
    return sorted(kept, key=lambda one: (OBJECTIVES[objective](one), one.latency_ms))


def _limit(text: str) -> tuple[Callable[[Predicted], float], float]:
    match = re.fullmatch(r"\s*(\w+)\s*<=\s*([0-9.]+(?:e[0-9]+)?)\s*", text)
    try:
        if match is None or match[1] not in _BOUNDED:
            raise ValueError
        return _BOUNDED[match[1]], float(match[2])
    except ValueError:
        raise UsageError(
            f"the constraint {text!r} is none", f"Write for example latency_ms<=80; known: {', '.join(_BOUNDED)}."
        ) from None


def _line_ms(payload: int, mbit: float | None) -> float:
    return 0.0 if mbit is None else (payload / _SEGMENT + HEADERS_BYTES) * 8 / (mbit * 1e3)
