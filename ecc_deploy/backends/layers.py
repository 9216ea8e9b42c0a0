"""What a backend's ``layers.py`` is: it shows what the modules of a half give inside the compiled file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ecc_deploy.bundle.manifest import Half

if TYPE_CHECKING:
    from ecc_deploy.backends.interface import HalfSource

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Shown:
    """What a compiled half gives on a batch, inside and at its end, of one and the same computation."""

    modules: dict[str, np.ndarray]
    """By a module's path: its output as what comes next gets it, dequantized, float32, in the layout of PyTorch,
    ``[batch, *shape]``."""
    outputs: dict[str, np.ndarray]
    """By name: outputs of the half, as its runner gives them."""


class Layers(Protocol):
    """A backend's module ``layers``."""

    def show_layers(self, path: Path, half: Half, source: HalfSource, batches: Iterable[Arrays]) -> Iterator[Shown]:
        """What the modules of a half give in its file ``path``, batch by batch.

        ``batches``: the half's inputs, as its runner takes them; ``source``: the half before it was compiled. A module
        is there only if the file has exactly its output, which is never so for what lies between a convolution and the
        activation that was fused with it. Computed on the CPU, whatever the half is for; as what is inside has to be
        kept, it may be rounded a little otherwise than by the runner.
        """
        ...


def in_batches(half: Half, arrays: Arrays, run: Callable[[Arrays], Shown]) -> Shown:
    """``run`` on ``arrays`` in the batches that the half takes; the last one of a fixed size is filled up."""
    rows = len(next(iter(arrays.values())))
    size = half.batch if isinstance(half.batch, int) else rows
    parts: list[Shown] = []
    for start in range(0, rows, size):
        part = {name: values[start : start + size] for name, values in arrays.items()}
        parts.append(run({name: np.resize(values, (size, *values.shape[1:])) for name, values in part.items()}))

    def joined(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        return {name: np.concatenate([part[name] for part in found])[:rows] for name in found[0]}

    return Shown(joined([part.modules for part in parts]), joined([part.outputs for part in parts]))
