"""Every legal cut of a graph.

A cut gives the edge a set of groups that needs nothing outside itself (a down-set of the graph's partial order) and the
cloud the others. What the cloud needs of the edge's values, or of the image, crosses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from torch import fx

from ecc_deploy.partition.graph import Graph, Tensor
from ecc_deploy.partition.groups import Group, groups_of

MAX_CUTS = 50_000
"""More are not looked at: a model of many branches side by side has more down-sets than anybody can."""


@dataclass(frozen=True)
class Cut:
    """The groups of the edge, as a set of bits, and what crosses. ``macs`` are of one sample."""

    edge: int
    nodes: tuple[fx.Node, ...] = field(repr=False)
    """Whose values cross."""
    crossing: tuple[Tensor, ...]
    edge_macs: int
    cloud_macs: int

    @property
    def elements(self) -> int:
        """Numbers of one sample that cross."""
        return sum(tensor.elements for tensor in self.crossing)

    @property
    def name(self) -> str:
        """What crosses, by the graph's names."""
        return "+".join(tensor.name for tensor in self.crossing)


@dataclass(frozen=True)
class Cuts:
    """All legal cuts, with the edge's share growing; the first sends the image, ``cuts[0].edge == 0``."""

    graph: Graph
    groups: tuple[Group, ...]
    cuts: tuple[Cut, ...]
    illegal: int
    """How many sets of groups were left out, since something crosses that cannot."""
    is_complete: bool
    """False where there are more than :data:`MAX_CUTS`; then these are those of the program's own order."""


def legal_cuts(graph: Graph, most: int = MAX_CUTS) -> Cuts:
    """All cuts but the one with everything on the edge, at which nothing crosses."""
    groups = groups_of(graph)
    sets = _down_sets(groups, most)
    is_complete = sets is not None
    if sets is None:
        sets = [(1 << number) - 1 for number in range(len(groups) + 1)]
    users = _users(graph, groups)
    everything = (1 << len(groups)) - 1
    total = sum(group.macs for group in groups)
    found, illegal = [], 0
    for edge in sets:
        if edge == everything:
            continue
        nodes = tuple(node for node, (owner, used_by) in users.items() if owner & ~edge == 0 and used_by & ~edge)
        tensors = [graph.tensor(node) for node in nodes]
        if None in tensors:
            illegal += 1
            continue
        macs = sum(group.macs for group in groups if edge & group.bit)
        crossing = tuple(tensor for tensor in tensors if tensor is not None)
        found.append(Cut(edge, nodes, crossing, macs, total - macs))
    found.sort(key=lambda cut: (cut.edge.bit_count(), cut.edge))
    return Cuts(graph, tuple(groups), tuple(found), illegal, is_complete)


def _down_sets(groups: list[Group], most: int) -> list[int] | None:
    """All of them, or ``None`` where there are more than ``most``."""
    seen, todo = {0}, [0]
    users: list[list[Group]] = [[group for group in groups if group.needs & other.bit] for other in groups]
    beginnings = [group for group in groups if not group.needs]

    def next_of(edge: int) -> Iterator[Group]:
        candidates = beginnings + [user for group in groups if edge & group.bit for user in users[group.number]]
        return (group for group in candidates if not edge & group.bit and group.needs & ~edge == 0)

    while todo:
        edge = todo.pop()
        for group in next_of(edge):
            if (larger := edge | group.bit) not in seen:
                if len(seen) >= most:
                    return None
                seen.add(larger)
                todo.append(larger)
    return list(seen)


def _users(graph: Graph, groups: list[Group]) -> dict[fx.Node, tuple[int, int]]:
    """Every value that somebody uses: the group that makes it (none: the image), and those that use it, as sets.

    What the model answers with is used by the cloud, beyond all groups.
    """
    beyond = 1 << len(groups)
    owner = {node: group for group in groups for node in group.nodes}
    found = {graph.entry: (0, 0)}
    for group in groups:
        for node in group.nodes:
            for needed in graph.needs(node):
                if owner.get(needed) is not group:
                    made, used = found.get(needed, (0 if needed is graph.entry else owner[needed].bit, 0))
                    found[needed] = made, used | group.bit
    for node in graph.roots_of_outputs:
        if graph.depends_on_entry(node):
            made, used = found.get(node, (0 if node is graph.entry else owner[node].bit, 0))
            found[node] = made, used | beyond
    return found
