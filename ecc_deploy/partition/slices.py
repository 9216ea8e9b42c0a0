"""Both sides of a cut as modules: exact copies of the operators of each, with the weights that they use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import fx, nn

from ecc_deploy.partition.cuts import Cut
from ecc_deploy.partition.graph import ATEN, Graph


@dataclass(frozen=True)
class Slices:
    """``edge``: image to what crosses, a tuple; ``cloud``: what crosses, one argument each, to the model's answers.

    Both take any batch that the exported program takes, and share their weights with it.
    """

    edge: nn.Module
    cloud: nn.Module


def extract(graph: Graph, cut: Cut) -> Slices:
    """Both sides of ``cut``. Behind each other, they give what the whole gives, bit for bit."""
    return Slices(
        cut_out(graph, {graph.entry: "image"}, cut.nodes),
        cut_out(
            graph, {node: tensor.name for node, tensor in zip(cut.nodes, cut.crossing, strict=True)}, graph.outputs
        ),
    )


def cut_out(graph: Graph, given: Mapping[fx.Node, str], wanted: Sequence[fx.Node]) -> fx.GraphModule:
    """From the values ``given`` to those ``wanted``, by all that lies between."""
    between = _between(graph, set(given), wanted)
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node, name in given.items():
        copies[node] = made.placeholder(name)
        copies[node].meta = dict(node.meta)
    some = next(iter(copies.values()))
    for node in graph.module.graph.nodes:
        if node in between:
            copies[node] = made.node_copy(node, copies.__getitem__)
        elif node not in copies and node.target == ATEN.sym_size.int:
            # The batch, which every tensor that crosses has in front.
            copies[node] = made.call_function(ATEN.sym_size.int, (some, 0))
            copies[node].meta = dict(node.meta)
    made.output(tuple(copies[node] for node in wanted))
    made.eliminate_dead_code()
    module = fx.GraphModule(_used(graph.module, made), made)
    return module.eval()


def _between(graph: Graph, given: set[fx.Node], wanted: Sequence[fx.Node]) -> set[fx.Node]:
    found: set[fx.Node] = set()
    todo = list(wanted)
    while todo:
        node = todo.pop()
        if node in found or node in given or node.target == ATEN.sym_size.int:
            continue
        if node is graph.entry:
            raise AssertionError("the image is needed and does not cross")
        found.add(node)
        todo += node.all_input_nodes
    return found


def _used(module: fx.GraphModule, made: fx.Graph) -> nn.Module:
    """A module with those attributes of ``module`` alone that ``made`` uses."""
    root = nn.Module()
    for node in made.nodes:
        if node.op != "get_attr":
            continue
        *path, name = str(node.target).split(".")
        source: nn.Module = module
        target = root
        for part in path:
            source = getattr(source, part)
            if not hasattr(target, part):
                target.add_module(part, nn.Module())
            target = getattr(target, part)
        value = getattr(source, name)
        if isinstance(value, nn.Parameter):
            target.register_parameter(name, value)
        elif isinstance(value, torch.Tensor):
            target.register_buffer(name, value)
        else:
            setattr(target, name, value)
    return root
