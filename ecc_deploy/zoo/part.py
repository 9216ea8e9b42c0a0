"""A part of a module, as a module: some of its recorded steps, on the submodules of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ecc_deploy.zoo.steps import BatchMultiple, Constant, Device, Step, Value, Weight, fetch, mapped


@dataclass(frozen=True)
class Piece:
    """Steps by their number, in order; the value that is given in, and the one that comes out."""

    steps: tuple[tuple[int, Step], ...]
    entry: Value
    output: Value
    copies_entry: bool = False
    """Whether the steps change their entry in place, and so must work on a copy."""

    def __deepcopy__(self, memo: dict) -> Piece:
        return self  # immutable, and deep copies of torch's functions are not wanted

    def last_uses(self) -> dict[int, list[int]]:
        """Per step, those whose results nothing takes afterwards."""
        last = {number: number for number, _ in self.steps}
        last.update({value.step: number for number, step in self.steps for value in step.values()})
        last.pop(self.output.step, None)
        last.pop(self.entry.step, None)
        found: dict[int, list[int]] = {}
        for earlier, number in last.items():
            found.setdefault(number, []).append(earlier)
        return found


class Part(nn.Module):
    """Runs one of two pieces, for training or for evaluation, with the original's submodules under their own names."""

    def __init__(self, root: nn.Module, pieces: Mapping[bool, Piece]) -> None:
        """``pieces``: by training mode."""
        super().__init__()
        self._pieces = dict(pieces)
        self._last_uses = {mode: piece.last_uses() for mode, piece in pieces.items()}
        modules: set[str] = set()
        weights: set[str] = set()
        for piece in pieces.values():
            for _, step in piece.steps:
                if isinstance(step.target, str):
                    modules.add(step.target)
                mapped(
                    (step.args, step.kwargs), lambda item: weights.add(item.path) if isinstance(item, Weight) else None
                )
        in_order = [path for path, _ in root.named_modules(remove_duplicate=False) if path in modules]
        for path in [*in_order, *sorted(weights)]:  # holders come before what they hold
            self._adopt(root, path)
        self.training = root.training  # of this module alone: the submodules are the original's

    def _adopt(self, root: nn.Module, path: str) -> None:
        """Make what is at ``path`` in ``root`` be there here too."""
        here: nn.Module = self
        there = root
        *holders, name = path.split(".")
        for holder in holders:
            if holder not in here._modules:
                here.add_module(holder, nn.Module())
            here, there = here.get_submodule(holder), there.get_submodule(holder)
            if here is there:
                return
        if name in there._modules:
            here.add_module(name, there._modules[name])
        elif name in there._parameters:
            here.register_parameter(name, there._parameters[name])
        else:
            here.register_buffer(name, there._buffers[name], name not in there._non_persistent_buffers_set)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        piece, last_uses = self._pieces[self.training], self._last_uses[self.training]
        if piece.copies_entry:
            x = x.clone()
        values: dict[int, Any] = {}

        def filled(item: Any) -> Any:
            if isinstance(item, Value):
                if item == piece.entry:
                    return x
                result = values[item.step]
                for key in item.keys:
                    result = fetch(result, key)
                return result
            if isinstance(item, Weight):
                holder, _, name = item.path.rpartition(".")
                return getattr(self.get_submodule(holder), name)
            if isinstance(item, BatchMultiple):
                return item.times * x.shape[0]
            if isinstance(item, Device):
                return x.device
            return item.tensor.to(x.device) if isinstance(item, Constant) else item

        for number, step in piece.steps:
            call = self.get_submodule(step.target) if isinstance(step.target, str) else step.target
            values[number] = call(*mapped(step.args, filled), **mapped(step.kwargs, filled))
            for earlier in last_uses.get(number, ()):
                del values[earlier]
        output: torch.Tensor = filled(piece.output)
        return output
