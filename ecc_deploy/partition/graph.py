"""A network as the planner sees it: the operators of its exported program, and the values between them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.export import Dim, ExportedProgram
from torch.utils.flop_counter import FlopCounterMode

from ecc_deploy.errors import UsageError
from ecc_deploy.zoo.backbone import evaluating

ATEN = torch.ops.aten

RESHAPING = {
    *(ATEN.view.default, ATEN.reshape.default, ATEN._unsafe_view.default, ATEN.flatten.using_ints),
    *(ATEN.permute.default, ATEN.transpose.int, ATEN.unsqueeze.default, ATEN.squeeze.dim, ATEN.squeeze.dims),
    *(ATEN.expand.default, ATEN.clone.default, ATEN.contiguous.default, ATEN.dropout.default, ATEN.alias.default),
    ATEN.unflatten.int,
}
"""Operators that compute nothing: they are done again on whichever side wants their result."""


@dataclass(frozen=True)
class Tensor:
    """A value that could cross. ``shape``: of one sample, without the batch."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    module: str
    """Path of the module that made it; empty for an input."""

    @property
    def elements(self) -> int:
        """Numbers of one sample."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class Operator:
    """A node that computes. ``macs``: multiply-accumulates of one sample."""

    name: str
    kind: str
    module: str
    macs: int


class Graph:
    """The operators of a model in evaluation, in an order in which they can be run.

    ``program``: what :func:`torch.export.export` gave, or what it loads from a file. Its first input is the image; one
    dimension in front of it and of all that crosses is the batch.

    Raises :class:`UsageError` for a program without an input, or with several.
    """

    def __init__(self, program: ExportedProgram) -> None:
        # Without decompositions: this alone makes operators that change their input into ones that do not, so that the
        # order of what is independent does not matter.
        self.module = program.run_decompositions({}).module(check_guards=False)
        nodes = list(self.module.graph.nodes)
        entries = [node for node in nodes if node.op == "placeholder"]
        if len(entries) != 1:
            raise UsageError(
                f"the model takes {len(entries)} inputs, and the planner knows models of one image",
                "Wrap it in a module that takes the image alone.",
            )
        self.entry: fx.Node = entries[0]
        (output,) = (node for node in nodes if node.op == "output")
        self.outputs: tuple[fx.Node, ...] = tuple(output.all_input_nodes)
        self.roots_of_outputs: tuple[fx.Node, ...] = tuple(dict.fromkeys(map(self.root, self.outputs)))
        self._of_entry = self._reached()
        self.batch = _batch_of(self.entry)
        macs = _measured(self.module, self.entry)
        self.nodes: list[fx.Node] = [
            node for node in nodes if node in self._of_entry and node.op == "call_function" and not is_free(node)
        ]
        """What is on one side or the other; the rest is done where it is wanted."""
        self.operators = {
            node: Operator(node.name, kind_of(node), module_of(node), macs.get(node, 0)) for node in self.nodes
        }

    @property
    def macs(self) -> int:
        """Of one sample, all operators."""
        return sum(operator.macs for operator in self.operators.values())

    def depends_on_entry(self, node: fx.Node) -> bool:
        """Whether its value is another for another image. Sizes are not."""
        return node in self._of_entry

    def root(self, node: fx.Node) -> fx.Node:
        """The operator, or the input, whose value ``node`` only shows in another shape."""
        while is_free(node):
            first = node.args[0]
            assert isinstance(first, fx.Node), "those operators take their tensor first"
            node = first
        return node

    def needs(self, node: fx.Node) -> list[fx.Node]:
        """The operators, or the input, that an operator's values come from."""
        found = (self.root(one) for one in node.all_input_nodes if one in self._of_entry)
        return list(dict.fromkeys(found))

    def tensor(self, node: fx.Node) -> Tensor | None:
        """The value as it could cross; ``None`` for one that cannot: no floating-point tensor, or without a batch."""
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or not value.dim():
            return None
        sizes = [size if isinstance(size, int) else str(size) for size in value.shape]
        if str(sizes[0]) != self.batch or any(isinstance(size, str) for size in sizes[1:]):
            return None
        return Tensor(node.name, tuple(map(int, sizes[1:])), str(value.dtype).removeprefix("torch."), module_of(node))

    def _reached(self) -> set[fx.Node]:
        reached = {self.entry}
        for node in self.module.graph.nodes:
            # A size is a number: known on both sides, from any tensor of the batch.
            if node.target != ATEN.sym_size.int and any(one in reached for one in node.all_input_nodes):
                reached.add(node)
        return reached


def export(model: nn.Module, input_shape: Sequence[int]) -> Graph:
    """The graph of ``model`` for images ``(C, H, W)``, of any batch where the model can be exported so, else of one.

    The model may give a tensor, several, or a mapping or object of them (``logits`` of it, where it has that). Raises
    :class:`UsageError` with PyTorch's reason where it cannot be exported.
    """
    example = torch.zeros(2, *input_shape)
    reasons = []
    with evaluating(model), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch's own parts to each other
        whole = _Answers(model)
        for batch, sizes in ((2, ({0: Dim.AUTO},)), (1, None)):
            try:
                return Graph(torch.export.export(whole, (example[:batch],), dynamic_shapes=sizes, strict=False))
            except UsageError:
                raise
            except Exception as error:  # whatever PyTorch, and the model's own code, may raise
                reasons.append(f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
    raise UsageError(
        f"PyTorch cannot export {type(model).__name__} for images of {list(input_shape)}: {reasons[-1]}",
        "torch.export needs a forward without control flow on values; see its documentation on graph breaks.",
    )


class _Answers(nn.Module):
    """A model whose answer is a tuple of tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answer = self.model(image)
        answer = answer.get("logits", answer) if isinstance(answer, Mapping) else getattr(answer, "logits", answer)
        if isinstance(answer, Mapping):
            answer = tuple(answer.values())
        found = (answer,) if isinstance(answer, torch.Tensor) else tuple(answer)
        if not all(isinstance(one, torch.Tensor) for one in found):
            raise UsageError(f"{type(self.model).__name__} answers with something else than tensors")
        return found


def is_free(node: fx.Node) -> bool:
    """Whether it only shows its first argument in another shape."""
    return node.op == "call_function" and node.target in RESHAPING


def kind_of(node: fx.Node) -> str:
    """The operator's plain name: ``conv2d``, ``batch_norm``."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return getattr(node.target, "__name__", str(node.target))
    name = node.target.overloadpacket.__name__.strip("_")
    return "batch_norm" if "batch_norm" in name else name


def module_of(node: fx.Node) -> str:
    """Path of the module that ``node`` belongs to, within the model."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next((str(path) for path, _ in reversed(list(stack.values()))), "")
    return "" if node.op != "call_function" else path.removeprefix("model.").removeprefix("model")


def _batch_of(entry: fx.Node) -> str:
    return str(entry.meta["val"].shape[0])


class _Counting(fx.Interpreter):
    """Runs a graph and counts the work of each node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.macs: dict[fx.Node, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        with FlopCounterMode(display=False) as counter:
            value = super().run_node(n)
        if flops := counter.get_total_flops():
            self.macs[n] = flops // 2
        return value


def _measured(module: fx.GraphModule, entry: fx.Node) -> dict[fx.Node, int]:
    """Multiply-accumulates for one sample of every node that has any; convolutions and matrix products, as is usual."""
    value = entry.meta["val"]
    counting = _Counting(module)
    with torch.no_grad():
        counting.run(torch.zeros(1, *map(int, value.shape[1:]), dtype=value.dtype))
    return counting.macs
