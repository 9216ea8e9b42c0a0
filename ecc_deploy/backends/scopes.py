"""Which tensor of a graph is what a module gave: the one that leaves its scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Operator:
    """One operator of a graph, and the modules that it computes for, by their paths within the half."""

    maker: str | None
    """Path of the module whose last step this is: its outputs are that module's. Empty for the half itself, ``None``
    where nothing tells."""
    parts: frozenset[str]
    """Paths of all modules of whose steps it was made, such as convolution, batch norm and activation; empty where
    nothing tells."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def inside(path: str, scope: str) -> bool:
    """Whether the module at ``path`` is the one at ``scope`` or within it."""
    return path == scope or path.startswith(scope + ".")


def module_outputs(operators: Iterable[Operator], exits: Collection[str]) -> dict[str, str]:
    """For each tensor that is the one output of a module, the path of the innermost such module.

    A tensor is a module's output if it is made within the module and used outside of it alone, and no other one is. So
    what a module works with inside is never taken for what it gave. Where it is not known whose step a user is, there
    is no answer. ``exits``: outputs of the graph.
    """
    operators = list(operators)
    users: dict[str, list[Operator]] = defaultdict(list)
    for operator in operators:
        for name in operator.inputs:
            users[name].append(operator)
    made: dict[str, list[str]] = defaultdict(list)
    for operator in operators:
        for scope in _upwards(operator.maker):
            made[scope] += operator.outputs

    def leaves(name: str, scope: str) -> bool:
        is_used = name in exits or bool(users[name])
        return is_used and not any(inside(part, scope) for user in users[name] for part in user.parts)

    found: dict[str, str] = {}
    leaving: dict[str, list[str]] = {}
    for operator in operators:
        for name in operator.outputs:
            if any(not user.parts for user in users[name]):
                continue
            for scope in _upwards(operator.maker):
                if scope not in leaving:
                    leaving[scope] = [other for other in made[scope] if leaves(other, scope)]
                if leaving[scope] == [name]:
                    found[name] = scope
                    break
    return found


def _upwards(path: str | None) -> Iterator[str]:
    """``a.b.c``, ``a.b``, ``a``."""
    while path:
        yield path
        path = path.rpartition(".")[0]
