"""The compiled halves of a bundle, to be evaluated without a server."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ecc_deploy.backends.registry import open_runner
from ecc_deploy.bundle import Bundle, Deployment, open_bundle
from ecc_deploy.bundle.codecs import sent
from ecc_deploy.bundle.manifest import CONFIDENCE
from ecc_deploy.data import Dataset, load, load_for_bundle
from ecc_deploy.errors import BundleError, DataError
from ecc_deploy.evaluation.offline import run_all
from ecc_deploy.evaluation.subject import EdgeSide, Macs, Subject
from ecc_deploy.payload import Codec
from ecc_deploy.preprocess import Preprocess


class CompiledBundle(Subject):
    """A bundle, its halves run as a device and a server run them, with the codecs of its own deployments."""

    kind = "compiled"

    def __init__(self, bundle: Bundle, dataset: Dataset, threads: int | None = None) -> None:
        """``threads``: CPU threads of one inference; all for ``None``.

        Raises :class:`BundleError` where edge-only, cloud-only or ECC-I is not among the deployments,
        :class:`DataError` where ``dataset`` is not of the bundle's images and classes.
        """
        manifest = bundle.manifest
        info = manifest.input
        shape = (info.height, info.width, info.channels)
        if tuple(dataset.image_shape) != shape or len(dataset.classes) != len(manifest.classes):
            raise DataError(
                f"{bundle.path} takes images of {shape} in {len(manifest.classes)} classes, and {dataset.name} has "
                f"{tuple(dataset.image_shape)} in {len(dataset.classes)}",
                "Evaluate it on the dataset that it was made for.",
            )
        self._bundle, self._threads = bundle, threads or os.cpu_count() or 1
        self.name, self.dataset = manifest.name, dataset
        self._deployments: dict[str, Deployment] = {}
        for deployment in manifest.deployments.values():
            self._deployments.setdefault(deployment.architecture, deployment)
        missing = [name for name in ("edge-only", "cloud-only", "independent") if name not in self._deployments]
        if missing:
            raise BundleError(f"{bundle.path} has no deployment {' and no '.join(missing)}, and they are compared here")
        self.parts = frozenset({"edge", "cloud"})
        self.split = ""
        self._exit, self._full = self._edge("edge-only"), self._cloud("cloud-only")
        self.macs = Macs(self._macs(self._exit), self._macs(self._full))
        if {"adaptive", "dynamic"} <= set(self._deployments):
            self.parts |= {"adapter"}
            self.split = self._deployments["dynamic"].boundary or ""
            self._encode, self._both = self._edge("adaptive"), self._edge("dynamic")
            self._tail = self._cloud("dynamic")
            self.macs = Macs(*map(self._macs, (self._exit, self._full, self._encode, self._both, self._tail)))
        exits = [self._exit, *([self._both] if "adapter" in self.parts else [])]
        if all(any(tensor.name == CONFIDENCE for tensor in manifest.halves[key].outputs) for key in exits):
            self.parts |= {"gate"}

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        dataset: str | None = None,
        data_folder: str | Path | None = None,
        threads: int | None = None,
    ) -> CompiledBundle:
        """Open and verify the bundle at ``path``, with the dataset that it names or with ``dataset``.

        ``dataset``: a name, or ``package.module:factory``. Raises :class:`BundleError`, :class:`DataError`.
        """
        bundle = open_bundle(path)
        info = bundle.manifest.input
        if dataset is not None and ":" in dataset:
            found = load(dataset, data_folder)
        else:
            shape = (info.height, info.width, info.channels)
            found = load_for_bundle(dataset or bundle.manifest.dataset, shape, bundle.manifest.classes, data_folder)
        return cls(bundle, found, threads)

    def _edge(self, architecture: str) -> str:
        return self._deployments[architecture].edge or ""

    def _cloud(self, architecture: str) -> str:
        return self._deployments[architecture].cloud or ""

    def _macs(self, key: str) -> int:
        return self._bundle.manifest.halves[key].macs

    def _run(self, key: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """``inputs``: uint8 images, or the boundary for a half that takes it."""
        half = self._bundle.manifest.halves[key]
        with open_runner(self._bundle.file(half.file), half, self._threads, stand_in=True) as runner:
            if half.inputs[0].name == "image":
                return run_all(runner, "image", inputs, Preprocess(self._bundle.manifest.input, half))
            return run_all(runner, half.inputs[0].name, inputs)

    def edge_side(self, images: np.ndarray) -> EdgeSide:
        alone = self._run(self._exit, images)
        if "adapter" not in self.parts:
            return EdgeSide(alone["logits"], _column(alone))
        both = self._run(self._both, images)
        codes = both["boundary"] if self._encode == self._both else self._run(self._encode, images)["boundary"]
        return EdgeSide(alone["logits"], _column(alone), codes, both["logits"], _column(both), both["boundary"])

    def cloud_logits(self, images: np.ndarray) -> np.ndarray:
        return self._run(self._full, images)["logits"]

    def tail_logits(self, codes: np.ndarray) -> np.ndarray:
        return self._run(self._tail, codes)["logits"]

    def image_codec(self, images: np.ndarray) -> Codec:
        return sent(self._bundle, None).codec(self._deployments["independent"].codec or "")

    def boundary_codec(self, codes: np.ndarray) -> Codec:
        deployment = self._deployments["dynamic"]
        return sent(self._bundle, deployment.boundary).codec(deployment.codec or "")


def _column(outputs: dict[str, np.ndarray]) -> np.ndarray | None:
    """The learned gate's confidence as ``[N]``, where the half has it."""
    found = outputs.get(CONFIDENCE)
    return None if found is None else found.reshape(len(found))
