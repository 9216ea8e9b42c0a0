"""One way to run a bundle, as the manifest states it: halves, what is sent, gate, fusion, what the guard measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ecc_deploy.bundle.fields import Finite, Name, Rate, Score, Strict, Temperature


class Gate(Strict):
    """Exit on the edge where ``score`` is at least ``threshold``; the scores are in ``runtime/gate.py``."""

    score: Score
    threshold: Finite
    offload_rate: Rate
    """Share that was offloaded where the threshold was chosen, by the compiled edge half."""
    chosen_on: str
    """The data that the threshold was chosen on."""


class Fusion(Strict):
    """How the edge's answer and the cloud's become one: ``w·softmax(edge / T_e) + (1 - w)·softmax(cloud / T_c)``.

    With ``edge_weight`` ``w`` of 0 the cloud's answer stands alone. The temperatures ``T`` (Guo et al. 2017) make
    both as sure as they are right, so that the sums are of like with like.
    """

    edge_weight: Rate
    edge_temperature: Temperature
    cloud_temperature: Temperature


class GuardResult(Strict):
    """Accuracy (0 to 1) on the held-out split, float and as compiled; ``drop_points`` in percentage points."""

    data: str
    samples: Annotated[int, Field(gt=0)]
    float_accuracy: Rate
    compiled_accuracy: Rate
    drop_points: Finite
    max_drop_points: Finite


class Deployment(Strict):
    """One way to run the bundle: which halves, what is sent, when.

    ========== ======== ======== ========== ===== ======
    architecture edge     cloud    sends      gate  fusion
    ========== ======== ======== ========== ===== ======
    edge-only  exit     —        —          —     —
    cloud-only —        full     input      —     —
    independent exit    full     input      yes   may be
    adaptive   boundary tail     boundary   —     —
    adaptive   both     tail     boundary   —     yes
    dynamic    both     tail     boundary   yes   may be
    ========== ======== ======== ========== ===== ======
    """

    architecture: Literal["edge-only", "cloud-only", "independent", "adaptive", "dynamic"]
    edge: Name | None = None
    """Key of the edge half in ``Manifest.halves``."""
    cloud: Name | None = None
    sends: Literal["input", "boundary"] | None = None
    boundary: Name | None = None
    """Key in ``Manifest.boundaries``, where a boundary is sent."""
    codec: Annotated[str, Field(max_length=64)] | None = None
    gate: Gate | None = None
    fusion: Fusion | None = None
    """Of the answers to what is sent; absent where the cloud's stands alone."""
    guard: GuardResult | None = None

    @model_validator(mode="after")
    def _shape_of_architecture(self) -> Deployment:
        wanted = {
            "edge-only": (True, False, None, False),
            "cloud-only": (False, True, "input", False),
            "independent": (True, True, "input", True),
            "adaptive": (True, True, "boundary", False),
            "dynamic": (True, True, "boundary", True),
        }[self.architecture]
        if (self.edge is not None, self.cloud is not None, self.sends, self.gate is not None) != wanted:
            raise ValueError(f"edge, cloud, sends and gate are not those of {self.architecture}")
        if (self.codec is not None) != (self.sends is not None):
            raise ValueError("a codec belongs to what is sent")
        if (self.boundary is not None) != (self.sends == "boundary"):
            raise ValueError("a boundary is named where one is sent")
        if self.fusion is not None and None in (self.edge, self.cloud):
            raise ValueError("a fusion takes two answers, the edge's and the cloud's")
        return self

    @property
    def edge_answers(self) -> bool:
        """Whether its edge half gives logits: an answer that stands, is fused, or replaces the cloud's."""
        return self.architecture in ("edge-only", "independent", "dynamic") or self.fusion is not None
