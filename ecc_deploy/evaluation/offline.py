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
    """Run a half over all ``inputs``, batch by batch.

    ``prepare`` makes its one input tensor ``name`` of a batch, in the half's own dtype and layout; see
    :func:`~ecc_deploy.preprocess.laid_out`. A half with a fixed batch gets its last one filled up with zeros.
    """
    size = runner.half.batch if isinstance(runner.half.batch, int) else BATCH
    parts = []
    for chunk in chunks(inputs, size):
        values = prepare(chunk)
        lacking = size - len(values) if runner.half.batch == size else 0
        if lacking:
            values = np.concatenate([values, np.zeros((lacking, *values.shape[1:]), values.dtype)])
        parts.append({key: value[: len(chunk)] for key, value in runner.run({name: values}).items()})
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
