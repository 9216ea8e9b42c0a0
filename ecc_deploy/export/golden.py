"""Golden samples: a few real inputs with the payloads and outputs that they must give."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from ecc_deploy.backends.interface import Runner
from ecc_deploy.bundle import Deployment
from ecc_deploy.data import Normalisation, Samples
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.partition.halves import ENCODE, EXIT, EXIT_AND_ENCODE, FULL, TAIL
from ecc_deploy.payload import Codec
from ecc_deploy.preprocess import laid_out

FILE = "golden/samples.safetensors"
COUNT = 4


def write_golden(
    folder: Path,
    runners: Mapping[str, Runner],
    samples: Samples,
    normalisation: Normalisation,
    codecs: Mapping[str, Codec],
    listed: Mapping[str, Deployment],
) -> None:
    """Run ``samples`` through every compiled half and write what came out to :data:`FILE` in ``folder``.

    ``codecs``: by what is sent, ``input`` or ``boundary``; ``listed``: the deployments by name.
    """
    image = normalisation(samples.images)
    outputs = {
        key: run_all(runners[key], "image", image, partial(laid_out, runners[key].half))
        for key in (EXIT, ENCODE, EXIT_AND_ENCODE, FULL)
    }
    outputs[TAIL] = run_all(runners[TAIL], "boundary", outputs[ENCODE]["boundary"])
    tensors: dict[str, np.ndarray] = {"images": samples.images, "labels": samples.labels}
    for key, named in outputs.items():
        tensors |= {f"half.{key}.{name}": np.ascontiguousarray(value) for name, value in named.items()}
    for name, deployment in listed.items():
        if deployment.sends is None:
            continue
        arrays = samples.images if deployment.sends == "input" else outputs[deployment.edge or ""]["boundary"]
        for i, array in enumerate(arrays):
            tensors[f"payload.{name}.{i}"] = np.frombuffer(codecs[deployment.sends].encode(array), np.uint8)
    (folder / FILE).parent.mkdir(exist_ok=True)
    save_file(tensors, folder / FILE)
