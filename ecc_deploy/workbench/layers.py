"""What quantization did to each module of a half: its output in float beside the one in the compiled file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from ecc_deploy.backends.interface import HalfSource
from ecc_deploy.backends.layers import Shown
from ecc_deploy.quantization.boundary import sent, values_of
from ecc_deploy.workbench.noise import Noise
from ecc_deploy.zoo.backbone import evaluating

OnOutput = Callable[[str, torch.Tensor], torch.Tensor | None]


@dataclass(frozen=True)
class Layer:
    """One module of a half, as far as the compiled file shows its output."""

    module: str
    """Its path within the half."""
    kind: str
    """Its class."""
    shape: tuple[int, ...]
    """Of its output, without batch."""
    total: Noise
    """Of its output, from all that the file computes up to there."""
    own: Noise
    """Of its output, from what the file computes since the modules before that it shows: as if those were exact."""

    def to_json(self) -> dict[str, Any]:
        """Facts by name: ratios in dB, the own one with ``own_`` before its name."""
        own = {f"own_{name}": value for name, value in self.own.to_json().items()}
        return {"module": self.module, "type": self.kind, "shape": list(self.shape), **self.total.to_json(), **own}


@contextmanager
def watching(module: nn.Module, on_output: OnOutput) -> Iterator[None]:
    """Within the block, ``on_output(path, output)`` is called when a submodule has given a tensor.

    What it returns, if not ``None``, takes the output's place. The next operator may change an output in place.
    """

    def hook(path: str) -> Callable[..., Any]:
        def run(_: nn.Module, __: Any, output: Any) -> Any:
            return on_output(path, output) if isinstance(output, torch.Tensor) else None

        return run

    handles = [part.register_forward_hook(hook(path)) for path, part in module.named_modules() if path]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Anatomy:
    """The modules of a half that run exactly once for one input, and whose output is one tensor."""

    kinds: dict[str, str]
    """Their classes, by path, in the order in which they end."""
    ends: dict[str, str]
    """By the name of an output of the half, the innermost module that gave it."""


def anatomy(source: HalfSource) -> Anatomy:
    """See :class:`Anatomy`; one sample of zeros is run."""
    seen: list[tuple[str, torch.Tensor, int]] = []

    def note(path: str, output: torch.Tensor) -> None:
        seen.append((path, output, output._version))  # in place, another module's output becomes this one's

    with evaluating(source.module), watching(source.module, note):
        found = source.module(torch.zeros(1, *source.inputs[0].shape))
    outputs = found if isinstance(found, tuple) else (found,)
    calls = Counter(path for path, _, _ in seen)
    kinds = {path: type(source.module.get_submodule(path)).__name__ for path, _, _ in seen if calls[path] == 1}
    ends = {}
    for info, value in zip(source.outputs, outputs, strict=True):
        for path, output, version in seen:
            if path in kinds and output is value and version == value._version:
                ends[info.name] = path
                break
    return Anatomy(kinds, ends)


@dataclass(frozen=True)
class Beside:
    """The output of a module on one batch, three times, ``[batch, *shape]``."""

    wanted: np.ndarray
    """In float."""
    exact: np.ndarray
    """In float, of what the module gets in the compiled file."""
    found: np.ndarray
    """In the compiled file."""


def compare(source: HalfSource, batches: Iterable[np.ndarray], shown: Iterable[Shown]) -> list[Layer]:
    """The layers of a half, in the order in which they run.

    ``batches``: what the float module takes, ``[N, C, H, W]``; ``shown``: what the compiled one gives on the same ones.
    """
    facts = anatomy(source)
    shapes: dict[str, tuple[int, ...]] = {}
    total: dict[str, Noise] = {}
    own: dict[str, Noise] = {}
    for batch, part in zip(batches, shown, strict=True):
        for path, values in beside(source, facts, batch, part).items():
            shapes[path] = values.wanted.shape[1:]
            total[path] = total.get(path, Noise()) + Noise.between(values.wanted, values.found)
            own[path] = own.get(path, Noise()) + Noise.between(values.exact, values.found)
    return [Layer(path, facts.kinds[path], shapes[path], total[path], own[path]) for path in facts.kinds if path in own]


def beside(source: HalfSource, facts: Anatomy, batch: np.ndarray, shown: Shown) -> dict[str, Beside]:
    """By path, the modules whose output ``shown`` has, on one batch of what the float module takes.

    The module is run twice: as it is, and with every output that is shown put in its place, so that each submodule
    works on what it gets in the file. What gives a boundary is compared as the boundary arrives, rounded to its codes.
    """
    there = {path: value for path, value in shown.modules.items() if path in facts.kinds}
    there |= {facts.ends[name]: value for name, value in shown.outputs.items() if name in facts.ends}
    boundary = source.boundary
    rounded = facts.ends.get(boundary.tensor.name) if boundary is not None else None
    if boundary is not None and rounded is not None:
        there[rounded] = values_of(there[rounded], boundary)
    wanted: dict[str, np.ndarray] = {}
    exact: dict[str, np.ndarray] = {}

    def arrived(path: str, output: torch.Tensor) -> np.ndarray:
        values = output.numpy().copy()
        return sent(values, boundary) if boundary is not None and path == rounded else values

    def keep(path: str, output: torch.Tensor) -> None:
        if path in there and _plain(output.shape) == _plain(there[path].shape):
            wanted[path] = arrived(path, output)

    def replace(path: str, output: torch.Tensor) -> torch.Tensor | None:
        if path not in wanted:
            return None
        exact[path] = arrived(path, output)
        # What comes behind a boundary here, if anything, gets it before it is rounded, which the file does not show.
        return None if path == rounded else torch.tensor(there[path]).reshape(output.shape)

    for on_output in (keep, replace):
        with evaluating(source.module), watching(source.module, on_output):
            source.module(torch.tensor(batch))
    return {path: Beside(wanted[path], exact[path], there[path].reshape(wanted[path].shape)) for path in wanted}


def _plain(shape: Iterable[int]) -> list[int]:
    """Without dimensions of one, which some toolchains leave out."""
    return [size for size in shape if size != 1]
