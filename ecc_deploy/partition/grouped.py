"""A graph as a module of its groups, so that whatever compiles it can say what each of them takes."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx, nn

from ecc_deploy.partition.cuts import Cuts
from ecc_deploy.partition.groups import Group
from ecc_deploy.partition.slices import cut_out


class Grouped(nn.Module):
    """Gives what the graph gives, bit for bit; its submodule ``g7`` is the group of number 7.

    Toolchains keep the path of the module that an operator comes from in its name.
    """

    def __init__(self, cuts: Cuts) -> None:
        super().__init__()
        graph = cuts.graph
        self._entry = graph.entry
        self._steps: list[tuple[str, tuple[fx.Node, ...], tuple[fx.Node, ...]]] = []
        wanted = set(graph.roots_of_outputs)
        takes: list[tuple[fx.Node, ...]] = []
        for group in cuts.groups:
            own = set(group.nodes)
            takes.append(
                tuple(dict.fromkeys(one for node in group.nodes for one in graph.needs(node) if one not in own))
            )
            wanted.update(takes[-1])
        for group, given in zip(cuts.groups, takes, strict=True):
            made = tuple(node for node in group.nodes if node in wanted)
            self.add_module(name_of(group), _Plain(cut_out(graph, {node: node.name for node in given}, made)))
            self._steps.append((name_of(group), given, made))
        self._last = tuple(node for node in graph.roots_of_outputs if graph.depends_on_entry(node))
        self.answer = _Plain(cut_out(graph, {node: node.name for node in self._last}, graph.outputs))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        values: dict[fx.Node, torch.Tensor] = {self._entry: image}
        for name, given, made in self._steps:
            found = self.get_submodule(name)(*(values[node] for node in given))
            values.update(zip(made, found, strict=True))
        answer: tuple[torch.Tensor, ...] = self.answer(*(values[node] for node in self._last))
        return answer


class _Plain(nn.Module):
    """Runs a graph without being a ``GraphModule``: of those, torch.export keeps the old paths and loses ours."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__()
        self._nodes = list(module.graph.nodes)
        for name, child in module.named_children():
            self.add_module(name, child)
        for name, parameter in module.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            self.register_buffer(name, buffer)

    def forward(self, *given: torch.Tensor) -> Any:
        values: dict[fx.Node, Any] = {}
        arguments = iter(given)
        for node in self._nodes:
            if node.op == "placeholder":
                values[node] = next(arguments)
            elif node.op == "get_attr":
                values[node] = operator.attrgetter(node.target)(self)
            else:
                known = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
                if node.op == "output":
                    return known[0][0]
                values[node] = node.target(*known[0], **known[1])
        raise AssertionError("a graph ends with its output")


def name_of(group: Group) -> str:
    """The path of a group's module."""
    return f"g{group.number}"
