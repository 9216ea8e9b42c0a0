"""What the compiled halves answer on a set of samples, run exactly as they will run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.evaluation.answers import Answers
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.payload import Codec
from ecc_deploy.payload.choice import through
from ecc_deploy.preprocess import laid_out


def compiled_answers(
    runners: Mapping[str, Runner],
    images: np.ndarray,
    received: np.ndarray,
    boundary_codec: Codec,
) -> Answers:
    """Answers of the compiled halves, the boundary sent through its codec.

    ``images`` and ``received``: normalised float32 ``[N, C, H, W]``, on the edge and as the image codec delivers them.
    """

    def seen(key: str, images: np.ndarray) -> dict[str, np.ndarray]:
        return run_all(runners[key], "image", images, partial(laid_out, runners[key].half))

    alone, both, boundary = (seen(key, images) for key in (EXIT, EXIT_AND_ENCODE, ENCODE))
    return Answers(
        edge=alone["logits"],
        gate_edge=both["logits"],
        cloud=seen(FULL, received)["logits"],
        adapted=run_all(runners[TAIL], "boundary", through(boundary_codec, boundary["boundary"]))["logits"],
        confidence=_column(alone),
        gate_confidence=_column(both),
    )


def _column(outputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """The learned gate's output as ``[N]``, where the half has one."""
    found = outputs.get("confidence")
    return None if found is None else found[:, 0]
