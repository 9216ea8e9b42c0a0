"""What can be kept float by itself: the modules of a half that are one piece of work, and what each of them costs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.scopes import inside
from ecc_deploy.zoo.backbone import evaluating

LARGEST = 0.5
"""Share of a half's MACs above which a module is not one unit but its parts are."""


def units(source: HalfSource) -> dict[str, int]:
    """The units of a half and their MACs, by path, in order.

    A unit computes something itself, such as the sum of a residual block, or has no parts but leaves, such as a
    convolution with its batch norm and activation. Of a block whose sum stays in int8, little is won by keeping its
    convolutions float: what goes in and comes out is still rounded. Modules without convolutions or matrix products
    are in no unit of their own.
    """
    module = source.module
    macs, works = _costs(source)
    total = sum(macs.values())

    def cost(path: str) -> int:
        return sum(count for owner, count in macs.items() if inside(owner, path))

    def walk(path: str, part: nn.Module) -> Iterator[tuple[str, int]]:
        whole = cost(path) if path else total
        names = {name: f"{path}.{name}" if path else name for name, _ in part.named_children()}
        children = [(names[name], child) for name, child in part.named_children() if cost(names[name])]
        is_one = path in works or not any(len(list(child.children())) for _, child in children)
        if path and (not children or (is_one and whole <= LARGEST * total)):
            if whole:
                yield path, whole
            return
        for name, child in children:
            yield from walk(name, child)

    return dict(walk("", module))


def _costs(source: HalfSource) -> tuple[dict[str, int], set[str]]:
    """The MACs that each module computes itself, by path, and the modules that compute anything themselves."""
    module = source.module
    paths = {part: path for path, part in module.named_modules()}
    running: list[str] = []
    works: set[str] = set()

    class Noting(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor) and running:
                works.add(running[-1])
            return result

    handles = [part.register_forward_pre_hook(lambda part, _: running.append(paths[part])) for part in paths]
    handles += [part.register_forward_hook(lambda *_: running.pop() and None) for part in paths]
    counter = FlopCounterMode(display=False)
    try:
        with evaluating(module), counter, Noting():
            module(torch.zeros(1, *source.inputs[0].shape))
    finally:
        for handle in handles:
            handle.remove()
    root = type(module).__name__
    flops = {name: sum(counts.values()) for name, counts in counter.get_flop_counts().items() if name != "Global"}
    whole = {name.removeprefix(root).removeprefix("."): count // 2 for name, count in flops.items()}
    children: dict[str, int] = defaultdict(int)
    for path, count in whole.items():
        if path:
            children[_called_by(path, whole)] += count
    own = Counter({path: count - children[path] for path, count in whole.items()})
    return {path: count for path, count in own.items() if count > 0}, works


def _called_by(path: str, known: dict[str, int]) -> str:
    while path:
        path = path.rpartition(".")[0]
        if path in known:
            return path
    return ""
