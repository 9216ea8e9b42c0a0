"""An edge half, run on one image at a time."""

from __future__ import annotations

import numpy as np

from ecc_deploy.backends.interface import Runner
from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, Half
from ecc_deploy.errors import BundleError
from ecc_deploy.payload import TensorSpec
from ecc_deploy.preprocess import Preprocess


class EdgeEngine:
    """An edge half that takes one uint8 image ``[H, W, C]`` and gives its outputs without batch.

    Raises :class:`BundleError` where the half lacks one of the outputs ``wanted``, or takes more than one image.
    """

    def __init__(self, bundle: Bundle, key: str, wanted: dict[str, TensorSpec], threads: int) -> None:
        half: Half = bundle.manifest.halves[key]
        given = {t.name: TensorSpec(t.dtype, t.shape) for t in half.outputs}
        for name, tensor in wanted.items():
            if given.get(name) != tensor:
                raise BundleError(
                    f"the half {key!r} of {bundle.path} gives {name} as {given.get(name)}, and {tensor} is needed",
                    "Export the bundle again.",
                )
        if half.batch not in ("dynamic", 1):
            raise BundleError(
                f"the half {key!r} of {bundle.path} takes batches of {half.batch}; the edge answers one at a time",
                "Export the edge half with a batch of 1.",
            )
        self._preprocess = Preprocess(bundle.manifest.input, half)
        self._runner: Runner = open_runner(bundle.file(half.file), half, threads)

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._runner.run({"image": self._preprocess(image[np.newaxis])})
        return {name: value[0] for name, value in outputs.items()}

    def close(self) -> None:
        self._runner.close()
