"""What the compiled halves answer on a set of samples, run exactly as they will run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.evaluation.answers import Answers
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import through


def compiled_answers(
    runners: Mapping[str, Runner],
    images: np.ndarray,
    received: np.ndarray,
    boundary_codec: Codec,
) -> Answers:
    """Answers of the compiled halves, the boundary sent through its codec.

    ``images`` and ``received``: normalised float32 ``[N, C, H, W]``, on the edge and as the image codec delivers them.
    """
    alone = run_all(runners[EXIT], "image", images)
    both = run_all(runners[EXIT_AND_ENCODE], "image", images)
    boundary = run_all(runners[ENCODE], "image", images)["boundary"]
    return Answers(
        edge=alone["logits"],
        gate_edge=both["logits"],
        cloud=run_all(runners[FULL], "image", received)["logits"],
        adapted=run_all(runners[TAIL], "boundary", through(boundary_codec, boundary))["logits"],
        confidence=_column(alone),
        gate_confidence=_column(both),
    )


def _column(outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The learned gate's output as ``[N]``, where the half has one."""
    found = outputs.get("confidence")
    return None if found is None else found[:, 0]
