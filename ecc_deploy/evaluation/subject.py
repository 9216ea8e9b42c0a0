"""What is evaluated: a run directory or a bundle, behind one interface."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from ecc_deploy.bundle.manifest import Score
from ecc_deploy.data import Dataset
from ecc_deploy.errors import BackendMissingError
from ecc_deploy.payload import Codec

LEARNED: Score = "learned"


@dataclass(frozen=True)
class EdgeSide:
    """What the edge computes on N samples, before anything is sent.

    Logits are float32 ``[N, classes]``; confidences are the learned gate's outputs, float32 ``[N]``; codes are what
    crosses the link, ``[N, *boundary]``. Two halves that share layers may differ once compiled, so each architecture
    has its own: ECC-I the edge model alone, ECC-A encoder alone, ECC-D both in one half.
    """

    edge: np.ndarray
    """Of the edge model alone: edge-only and ECC-I."""
    confidence: np.ndarray | None = None
    codes: np.ndarray | None = None
    """Of the encoder alone: ECC-A. ``None`` where the system has no trained adapter, as are those below."""
    gate_edge: np.ndarray | None = None
    """Of the edge head beside the encoder: ECC-D."""
    gate_confidence: np.ndarray | None = None
    gate_codes: np.ndarray | None = None


@dataclass(frozen=True)
class Macs:
    """Multiply-accumulates of one sample in each half; those behind an adapter are 0 where there is none."""

    exit: int
    """The edge model alone."""
    full: int
    """The whole cloud model."""
    encode: int = 0
    """Edge stages and encoder: ECC-A."""
    exit_and_encode: int = 0
    """Edge model and encoder: ECC-D."""
    tail: int = 0
    """Decoder and cloud tail."""


class Subject(Protocol):
    """One system that answers. Nothing is cached here: see :class:`~ecc_deploy.evaluation.measured.Measured`."""

    name: str
    kind: Literal["float", "compiled"]
    split: str
    dataset: Dataset
    parts: frozenset[str]
    """What can be evaluated: ``edge`` and ``cloud``, and where they are trained ``adapter`` and ``gate``."""
    macs: Macs

    def edge_side(self, images: np.ndarray) -> EdgeSide:
        """``images``: uint8 ``[N, H, W, C]``."""
        ...

    def cloud_logits(self, images: np.ndarray) -> np.ndarray:
        """Of the whole cloud model; ``images``: uint8 ``[N, H, W, C]`` as they were delivered."""
        ...

    def tail_logits(self, codes: np.ndarray) -> np.ndarray:
        """Of decoder and cloud tail; ``codes``: ``[N, *boundary]`` as they were delivered."""
        ...

    def image_codec(self, images: np.ndarray) -> Codec:
        """What ECC-I sends with: the system's own choice, or one chosen on ``images`` of the val part."""
        ...

    def boundary_codec(self, codes: np.ndarray) -> Codec:
        """What ECC-A and ECC-D send with: the system's own choice, or one chosen on ``codes`` of the val part."""
        ...


def open_subject(
    source: str | Path, *, dataset: str | None = None, data_folder: str | Path | None = None, threads: int | None = None
) -> Subject:
    """The run directory (or ``shipped:NAME``) or bundle at ``source``.

    ``dataset``, ``data_folder``: where they are not what the run's recipe or the bundle says.
    ``threads``: CPU threads of one inference of a bundle; all for ``None``.
    Raises :class:`RunError`, :class:`BundleError`, :class:`DataError`, :class:`UsageError`, and
    :class:`BackendMissingError` for a run where torch, or for a bundle where its runtime is not installed.
    """
    if (Path(source) / "manifest.json").is_file():
        from ecc_deploy.evaluation.compiled_bundle import CompiledBundle

        return CompiledBundle.open(Path(source), dataset=dataset, data_folder=data_folder, threads=threads)
    try:
        from ecc_deploy.evaluation.float_run import FloatRun
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise BackendMissingError(
            "ecc_deploy.evaluate needs torch, which is not installed", "Run: pip install 'ecc-deploy[train]'"
        ) from error
    return FloatRun(source, dataset=dataset, data_folder=data_folder)
