"""What the compiled halves answer on a set of samples, run exactly as they will run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.evaluation.answers import Answers
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import through

BATCH = 64
"""The largest batch that a dynamic half is compiled for."""


def chunks(array: np.ndarray, size: int = BATCH) -> Iterator[np.ndarray]:
    """Consecutive slices of at most ``size``."""
    for start in range(0, len(array), size):
        yield array[start : start + size]


def run_all(runner: Runner, name: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Run a half over all ``inputs`` (its one input tensor), batch by batch."""
    parts = [runner.run({name: np.ascontiguousarray(chunk)}) for chunk in chunks(inputs)]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def compiled_answers(
    runners: Mapping[str, Runner],
    images: np.ndarray,
    received: np.ndarray,
    boundary_codec: Codec,
) -> Answers:
    """Answers of the compiled halves, the boundary sent through its codec.

    ``images`` and ``received``: normalised float32 ``[N, C, H, W]``, on the edge and as the image codec delivers them.
    """
    both = run_all(runners[EXIT_AND_ENCODE], "image", images)
    boundary = run_all(runners[ENCODE], "image", images)["boundary"]
    return Answers(
        edge=run_all(runners[EXIT], "image", images)["logits"],
        gate_edge=both["logits"],
        cloud=run_all(runners[FULL], "image", received)["logits"],
        adapted=run_all(runners[TAIL], "boundary", through(boundary_codec, boundary))["logits"],
    )
