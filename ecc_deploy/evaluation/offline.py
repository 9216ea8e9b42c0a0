"""Compiled halves over many samples, without a server: run exactly as they will run, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ecc_deploy.backends.interface import Runner

BATCH = 64
"""The largest batch that a dynamic half is compiled for."""


def chunks(array: np.ndarray, size: int = BATCH) -> Iterator[np.ndarray]:
    """Consecutive slices of at most ``size``."""
    for start in range(0, len(array), size):
        yield array[start : start + size]


def run_all(
    runner: Runner,
    name: str,
    inputs: np.ndarray,
    prepare: Callable[[np.ndarray], np.ndarray] = np.ascontiguousarray,
) -> dict[str, np.ndarray]:
    """Run a half over all ``inputs``, batch by batch; ``prepare`` makes its one input tensor ``name`` of a batch."""
    parts = [runner.run({name: prepare(chunk)}) for chunk in chunks(inputs)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
