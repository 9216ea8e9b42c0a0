"""Where to cut a model: every legal cut, both sides profiled, and what each cut would take over links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from ecc_deploy.backends.targets import Target
from ecc_deploy.errors import UsageError
from ecc_deploy.links import LinkProfile
from ecc_deploy.partition.cuts import Cuts, legal_cuts
from ecc_deploy.partition.graph import export
from ecc_deploy.partition.models import load_graph
from ecc_deploy.partition.predict import Predicted, best, predict
from ecc_deploy.partition.profile import Profile, measure


@dataclass(frozen=True)
class Plan:
    """Every legal cut of a model, and by the name of each link what keeps the constraints, the best first."""

    cuts: Cuts
    edge: Profile
    cloud: Profile
    by_link: dict[str, list[Predicted]]

    def to_json(self) -> dict[str, Any]:
        """All of it; operators by their names in the exported program."""
        graph = self.cuts.graph
        return {
            "cuts": len(self.cuts.cuts),
            "is_complete": self.cuts.is_complete,
            "illegal": self.cuts.illegal,
            "groups": [[graph.operators[node].name for node in group.nodes] for group in self.cuts.groups],
            "profiles": {"edge": asdict(self.edge), "cloud": asdict(self.cloud)},
            "links": {name: [self._row(one) for one in rows] for name, rows in self.by_link.items()},
        }

    def _row(self, one: Predicted) -> dict[str, Any]:
        edge = -1 if one.cut is None else one.cut.edge
        return {
            "crossing": [] if one.cut is None else [asdict(tensor) for tensor in one.cut.crossing],
            "edge_groups": [group.number for group in self.cuts.groups if edge & group.bit],
            "latency_ms": {
                **{"edge": one.edge_ms, "up": one.up_ms, "round_trip": one.rtt_ms, "cloud": one.cloud_ms},
                **{"down": one.down_ms, "total": one.latency_ms},
            },
            "payload_bytes": one.payload_bytes,
            "macs": {"edge": one.edge_macs, "cloud": one.cloud_macs},
        }


def plan(
    model: str | nn.Module,
    target: Target,
    cloud: Target,
    links: Sequence[LinkProfile],
    *,
    input_shape: tuple[int, int, int] = (3, 224, 224),
    classes: int = 10,
    objective: str = "latency",
    constraints: Sequence[str] = (),
    bits: int = 8,
    threads: int = 1,
) -> Plan:
    """Plan for ``model``: a module, or a name as :func:`~ecc_deploy.partition.models.load_graph` takes it.

    Both targets are compiled for, in float32, and measured on this machine. ``objective``: ``latency``, ``bytes`` or
    ``cloud-macs``; ``constraints``: ``"latency_ms<=80"``; ``bits``: of each number that crosses.

    Raises :class:`UsageError` for what cannot be planned, and what the compilers of the targets raise.
    """
    best([], objective, constraints)  # a mistake is told before anything is measured
    if not links:
        raise UsageError("there is no link to plan for", "Name at least one.")
    graph = load_graph(model, input_shape, classes) if isinstance(model, str) else export(model, input_shape)
    cuts = legal_cuts(graph)
    edge = measure(cuts, target, threads)
    far = edge if cloud == target else measure(cuts, cloud, threads)
    by_link = {link.name: best(predict(cuts, edge, far, link, bits), objective, constraints) for link in links}
    return Plan(cuts, edge, far, by_link)
