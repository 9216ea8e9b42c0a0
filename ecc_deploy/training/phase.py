"""One phase of a training recipe: what is trained, for how long, towards what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ecc_deploy.bundle.manifest import Score

Part = Literal["edge", "cloud", "adapter", "tail", "gate"]
Positive = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
PositiveWeight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]


class Strict(BaseModel):
    """A table of a recipe: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LossRecipe(Strict):
    """Weights of the objectives, applied to every path that the phase trains."""

    cross_entropy: Weight = 1.0
    distillation: Weight = 0.0
    """KL divergence to the frozen cloud model's answer (Hinton et al. 2015)."""
    temperature: Annotated[float, Field(gt=0)] = 4.0
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    fused: Weight = 0.0
    """Negative log-likelihood of the mean of edge's and adapted path's probabilities: they learn to complement."""


class FeatureRecipe(Strict):
    """Knowledge adaptation: the decoder's output is brought near the cloud model's own feature at the joint."""

    method: Literal["mse", "attention", "regression"] = "mse"
    """``mse``: of the feature, relative to its mean square; ``attention``: of its attention maps (Zagoruyko and
    Komodakis 2017); ``regression``: the adapted feature goes through the *frozen* cloud tail and is distilled from the
    cloud's answer (softmax regression, Yang et al. 2021)."""
    weight: PositiveWeight = 1.0


class RateRecipe(Strict):
    """Communication as an objective: the estimated bytes of a payload."""

    weight: PositiveWeight
    """Loss per byte."""
    budget: Annotated[float, Field(ge=0)] = 0.0
    """Bytes that cost nothing."""


class RecallRecipe(Strict):
    """Recall-rate boosting: samples that the edge gets wrong and the cloud gets right are to be sent."""

    score: Score = "learned"
    """Which confidence is trained: ``learned`` trains the gate part; the others train the edge's own head."""
    weight: PositiveWeight = 1.0
    offload_rate: Share = 0.15
    """Where the soft threshold of the edge's own scores lies, and where the reported recall is taken."""
    beta: PositiveWeight = 4.0
    """Weight of a sample worth sending, against 1 for the others."""
    softness: PositiveWeight = 0.5
    """Width of the soft threshold of the edge's own scores, in standard deviations of the confidence."""


class BalanceRecipe(Strict):
    """How the objectives' gradients become one step."""

    method: Literal["fixed", "pareto"] = "fixed"
    """``fixed``: the sum, with the weights of the recipe. ``pareto``: on parameters that several objectives share, the
    min-norm point of their gradients' convex hull, ``min ‖Σ αᵢ ∇hᵢ‖²`` (Désidéri 2012), a direction in which none of
    them gets worse."""
    normalise: Literal["none", "loss", "norm"] = "norm"
    """What a gradient is divided by before the QP: nothing, its objective's value, its own length. Without, the
    objective with the smallest gradient decides almost alone (Sener and Koltun 2018, section 3.2)."""


class AugmentRecipe(Strict):
    flip: bool = True
    """Mirror half of the images left to right."""
    shift: Annotated[int, Field(ge=0, le=64)] = 2
    """Move each image by up to this many pixels each way."""
    fill: Literal["edge", "zero"] = "edge"
    """What a shift uncovers: the border, repeated, or zero (the mean colour, once normalised)."""
    erase: Annotated[int, Field(ge=0, le=256)] = 0
    """Side of a square set to zero at a random place (cutout, DeVries and Taylor 2017), in pixels."""


class Phase(Strict):
    """One training run over some of the parts; the others are frozen, in evaluation mode."""

    name: str
    train: Annotated[list[Part], Field(min_length=1)]
    epochs: Positive
    batch: Positive = 128
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    """The highest (SGD, Nesterov momentum 0.9)."""
    schedule: Literal["one-cycle", "constant"] = "one-cycle"
    """What the learning rate does once it is there: fall to zero along a cosine, or stay."""
    warm_up: Share = 0.3
    """Share of the steps in which the learning rate rises."""
    average: Annotated[int, Field(ge=0)] = 0
    """Over the ends of how many of the last epochs the weights are averaged (:mod:`~ecc_deploy.training.averaging`);
    best with a constant schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    loss: LossRecipe = LossRecipe()
    feature: FeatureRecipe | None = None
    rate: RateRecipe | None = None
    recall: RecallRecipe | None = None
    balance: BalanceRecipe = BalanceRecipe()
    augment: AugmentRecipe = AugmentRecipe()

    @property
    def joins(self) -> bool:
        """Whether the adapted path is trained."""
        return bool({"adapter", "tail"} & set(self.train))

    @property
    def is_taught(self) -> bool:
        """Whether a teacher is asked, the frozen cloud model or what the recipe names."""
        return self.loss.distillation > 0 or self.feature is not None

    @model_validator(mode="after")
    def _fits_together(self) -> Phase:
        train = set(self.train)
        if self.average > self.epochs:
            raise ValueError(f"of {self.epochs} epochs the last {self.average} cannot be averaged")
        if "cloud" in train and (len(train) > 1 or self.loss.distillation > 0):
            raise ValueError("a phase that trains the cloud trains it alone, and without distillation")
        if self.feature and "adapter" not in train:
            raise ValueError("feature matching trains the adapter: add it to train, or leave [phases.feature] out")
        if self.rate and "adapter" not in train:
            raise ValueError("the rate is the adapter's: add it to train, or leave [phases.rate] out")
        if self.loss.fused and not ("edge" in train and self.joins):
            raise ValueError("loss.fused needs a phase that trains the edge together with the adapter or the tail")
        learned = self.recall is not None and self.recall.score == "learned"
        if learned != ("gate" in train):
            raise ValueError('the gate is trained by [phases.recall] with score = "learned", and that by nothing else')
        if self.recall and not learned and "edge" not in train:
            raise ValueError(f"the score {self.recall.score} is the edge's own: add edge to train")
        return self
