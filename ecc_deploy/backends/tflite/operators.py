"""Which operators LiteRT's converter cannot lower: by itself it names one, and not whose it is.

Asked when it has failed: the decompositions take a third of what the conversion does.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping

import torch
from litert_torch import fx_infra
from litert_torch.backend import lowerings
from torch import nn

from ecc_deploy.errors import CompileError


def check_operators(module: nn.Module, example: Mapping[str, torch.Tensor], title: str) -> None:
    """Raise :class:`CompileError` with every operator of ``module`` that has no lowering, and the modules that use it.

    ``example``: inputs by name. The converter's own decompositions are applied first, so what it can write with other
    operators passes.
    """
    program = torch.export.export(module, (), dict(example), strict=False)
    for table in (fx_infra.decomp.pre_convert_decomp(), fx_infra.decomp.pre_lower_decomp()):
        program = fx_infra.safe_run_decompositions(program, table, can_skip=False)
    lacking: dict[str, set[str]] = {}
    for node in program.graph.nodes:
        if node.op != "call_function" or node.target is operator.getitem or lowerings.lookup(node.target) is not None:
            continue
        lacking.setdefault(str(node.target), set()).add(_owner(node))
    if lacking:
        lines = [f"  {name}, of {', '.join(sorted(owners))}" for name, owners in sorted(lacking.items())]
        raise CompileError(
            f"LiteRT has no operators for these of {title}:\n" + "\n".join(lines),
            "Write these modules with other operators, or compile this half for another target.",
        )


def _owner(node: torch.fx.Node) -> str:
    """Path of the module within the half."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(path) for path, _ in stack.values()]
    path = paths[-1] if paths else ""
    return path.removeprefix("model").lstrip(".") or "the half itself"
