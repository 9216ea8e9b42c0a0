"""Which operators no cut may separate: what a compiler makes one of, and parts of one value."""

from __future__ import annotations

import heapq
import operator
from dataclasses import dataclass

from torch import fx

from ecc_deploy.partition.graph import ATEN, Graph

ACTIVATIONS = {
    *(ATEN.relu.default, ATEN.relu6.default, ATEN.hardtanh.default, ATEN.hardswish.default, ATEN.silu.default),
    *(ATEN.gelu.default, ATEN.leaky_relu.default, ATEN.elu.default, ATEN.sigmoid.default, ATEN.tanh.default),
    *(ATEN.hardsigmoid.default, ATEN.mish.default, ATEN.softplus.default, ATEN.clamp.default, ATEN.prelu.default),
}
NORMS = {
    ATEN._native_batch_norm_legit_no_training.default,
    ATEN.batch_norm.default,
    ATEN.native_batch_norm.default,
}
"""Batch norms: numbers that are folded into the weights before them."""
WEIGHTED = {ATEN.conv1d.default, ATEN.conv2d.default, ATEN.conv3d.default, ATEN.convolution.default,
            ATEN.conv_transpose2d.input, ATEN.linear.default, ATEN.addmm.default, ATEN.mm.default}  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Operators that stay together, in order. ``bit``: its place in the sets of groups, which are integers."""

    number: int
    nodes: tuple[fx.Node, ...]
    needs: int
    """The groups that it needs directly, as a set."""
    macs: int

    @property
    def bit(self) -> int:
        """The set of this group alone."""
        return 1 << self.number


def groups_of(graph: Graph) -> list[Group]:
    """All operators in groups, each behind those that it needs.

    Together stay: a convolution or matrix product, a batch norm that alone uses it, an activation that alone uses
    that; any other operator and an activation that alone uses it; ``x * sigmoid(x)``; an operator of several values and
    those values.
    """
    users: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        for needed in graph.needs(node):
            users.setdefault(needed, []).append(node)
    leader: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        leader[node] = node
        needs = graph.needs(node)
        before = needs[0] if needs else None
        if before is None or before is graph.entry:
            continue
        alone = len(users[before]) == 1 and before not in graph.roots_of_outputs
        if (
            node.target is operator.getitem
            or (node.target in NORMS and alone and before.target in WEIGHTED)
            or (node.target in ACTIVATIONS and alone and len(needs) == 1)
            or _is_swish(node, users, graph)
        ):
            leader[node] = leader[before]
    members: dict[fx.Node, list[fx.Node]] = {}
    for node in graph.nodes:
        members.setdefault(leader[node], []).append(node)
    return _sorted(graph, list(members.values()))


def _is_swish(node: fx.Node, users: dict[fx.Node, list[fx.Node]], graph: Graph) -> bool:
    """Whether it is a part of ``x * sigmoid(x)``, of an ``x`` that nobody else uses."""
    product = node
    if node.target in (ATEN.sigmoid.default, ATEN.hardsigmoid.default):
        following = users.get(node, [])
        if len(following) != 1:
            return False
        product = following[0]
    if product.target != ATEN.mul.Tensor:
        return False
    needs = graph.needs(product)
    if len(needs) != 2:
        return False
    gates = [one for one in needs if one.target in (ATEN.sigmoid.default, ATEN.hardsigmoid.default)]
    values = [one for one in needs if one not in gates]
    return (
        len(gates) == 1
        and len(values) == 1
        and graph.needs(gates[0]) == values
        and len(users[gates[0]]) == 1
        and set(users[values[0]]) == {gates[0], product}
        and values[0] not in graph.roots_of_outputs
    )


def _sorted(graph: Graph, members: list[list[fx.Node]]) -> list[Group]:
    """Numbered so that each comes behind those that it needs, else in the order of the program."""
    owner = {node: place for place, nodes in enumerate(members) for node in nodes}
    needs = [
        {owner[one] for node in nodes for one in graph.needs(node) if one is not graph.entry} - {place}
        for place, nodes in enumerate(members)
    ]
    users: list[list[int]] = [[] for _ in members]
    for place, needed in enumerate(needs):
        for one in needed:
            users[one].append(place)
    left = [len(needed) for needed in needs]
    ready = [place for place, count in enumerate(left) if not count]
    number_of: dict[int, int] = {}
    found: list[Group] = []
    while ready:
        place = heapq.heappop(ready)
        number_of[place] = len(found)
        macs = sum(graph.operators[node].macs for node in members[place])
        mask = sum(1 << number_of[one] for one in needs[place])
        found.append(Group(len(found), tuple(members[place]), mask, macs))
        for user in users[place]:
            left[user] -= 1
            if not left[user]:
                heapq.heappush(ready, user)
    return found
