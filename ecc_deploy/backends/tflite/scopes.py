"""Whose steps the operators of a .tflite file are, read from the names that LiteRT's converter gives its tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.named import NamedHalf
from ecc_deploy.backends.scopes import Operator
from ecc_deploy.zoo.backbone import evaluating

HALF = "model"
"""What :class:`NamedHalf` calls the half's module."""
Node = Mapping[str, Any]


@dataclass(frozen=True)
class Scope:
    """A module that is run."""

    path: str
    """Within the half; empty for what the half does outside of its modules."""
    last: int
    """When it computed something itself for the last time: a number that rises as the half is run."""
    shape: tuple[int, ...] | None
    """Of its output for one sample, if that is one tensor."""


def scopes_of(source: HalfSource) -> dict[str, Scope]:
    """Every module of a half that is run, by what the converter names its tensors.

    That is the chain of modules that call each other, ``Class_attribute/Class_attribute``. Modules whose chain is that
    of another one, too, are left out.
    """
    whole = NamedHalf(source).eval()
    paths = {module: path for path, module in whole.named_modules()}
    found: dict[str, set[str]] = {}
    last: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...] | None] = {}
    chain: list[str] = []

    def enter(module: nn.Module, _: Any) -> None:
        kind, attribute = type(module), paths[module].rpartition(".")[2]
        chain.append(f"{kind.__module__}.{kind.__qualname__}" + (f"_{attribute}" if attribute else ""))
        found.setdefault("/".join(chain), set()).add(paths[module].removeprefix(HALF).removeprefix("."))

    def leave(_: nn.Module, __: Any, output: Any) -> None:
        shapes["/".join(chain)] = tuple(output.shape) if isinstance(output, torch.Tensor) else None
        chain.pop()

    class Noting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") != "__get__":  # a property, such as a shape, computes nothing
                last["/".join(chain)] = len(steps)
                steps.append(None)
            return func(*args, **(kwargs or {}))

    steps: list[None] = []
    handles = [module.register_forward_pre_hook(enter) for module in paths]
    handles += [module.register_forward_hook(leave) for module in paths]
    (entry,) = source.inputs
    image = torch.zeros(1, *entry.shape)
    try:
        with evaluating(whole), Noting():
            whole(**{entry.name: image})
    finally:
        for handle in handles:
            handle.remove()
    once = {scope: min(namesakes) for scope, namesakes in found.items() if len(namesakes) == 1}
    return {scope: Scope(path, last.get(scope, -1), shapes[scope]) for scope, path in once.items()}


def operators_of(nodes: Iterable[Node], names: Mapping[int, str], scopes: Mapping[str, Scope]) -> list[Operator]:
    """The operators of a file; tensors are their numbers, as text.

    ``nodes``: the interpreter's; ``names``: of its tensors, by number. A fused operator's result has the scopes of its
    steps, in no order that can be relied on, and among them may be those of constants that it shares with operators
    before it: what ran last is its last step. First and last of the list are steps of its own. Weights have the scopes
    of what was folded into them. An output of the file has the output's name: then the weights alone tell.
    """
    nodes = list(nodes)
    made = {int(number) for node in nodes for number in node["outputs"]}
    uses = Counter(int(number) for node in nodes for number in node["inputs"])
    found = []
    for node in nodes:
        outputs = [int(number) for number in node["outputs"]]
        inputs = [int(number) for number in node["inputs"] if int(number) >= 0]  # -1: an optional one that is absent
        chains = [_scopes(names[number]) for number in outputs]
        own = [_scopes(names[number]) for number in inputs if number not in made and uses[number] == 1]
        ends = {end for chain in (*chains, *own) for end in (chain[0], chain[-1])}
        steps = [scopes[scope] for chain in chains for scope in chain if scope in scopes]
        is_known = all(scope in scopes for chain in chains for scope in chain)
        found.append(
            Operator(
                max(steps, key=lambda step: step.last).path if steps and is_known else None,
                frozenset(scopes[end].path for end in ends if end in scopes),
                tuple(map(str, inputs)),
                tuple(map(str, outputs)),
            )
        )
    return found


def _scopes(name: str) -> list[str]:
    """``a;;b;;c;1``: the scopes a, b and c, and a number that makes the name unlike others."""
    return [part.partition(";")[0] for part in name.split(";;")]
