"""The table ``[sweep]``, typed: what is varied, and how."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from ecc_deploy.evaluation.curves import RATES
from ecc_deploy.training.phase import Positive, Strict

Criterion = Literal["accuracy", "cloud_macs", "edge_macs", "payload_bytes"]


def encode(value: object) -> str:
    """A value of a list as text, which is what Optuna keeps of it."""
    return json.dumps(value, sort_keys=True, default=str)


class Range(Strict):
    """All numbers from ``low`` to ``high``, both included: integers where both are integers."""

    low: int | float
    high: int | float
    log: bool = False
    """Whether the logarithm is drawn evenly."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError("low must be smaller than high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range starts above 0")
        return self


class Variant(Strict):
    """A named change of several fields at once."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    set: dict[str, Any] = Field(default_factory=dict)
    """Values by dotted path."""
    unset: list[str] = Field(default_factory=list)
    """Dotted paths of what is left out: the field's default holds, or the phase is gone."""


class Guide(Strict):
    """What a sampler that learns from finished trials is to make better: ECC-A, or ECC-D at one offload rate."""

    architecture: Literal["adaptive", "dynamic"] = "adaptive"
    offload_rate: float | None = None
    """Of ECC-D; one of the sweep's ``offload_rates``."""
    criteria: Annotated[tuple[Criterion, ...], Field(min_length=1)] = ("accuracy", "payload_bytes")


class Table(Strict):
    """``[sweep]``."""

    sampler: Literal["grid", "random", "tpe", "nsga2"] = "grid"
    trials: Positive | None = None
    """How many settings a sampler draws; a grid has all of them."""
    seed: int = 0
    """Of the sampler."""
    parameters: dict[str, Annotated[list[Any], Field(min_length=1)] | Range] = Field(default_factory=dict)
    """By dotted path: a list of values, or a range."""
    variants: list[Variant] = Field(default_factory=list)
    """Each is combined with every setting of the parameters."""
    offload_rates: Annotated[tuple[float, ...], Field(min_length=1)] = (0.05, 0.1, 0.15, 0.2, 0.3)
    """At which ECC-D is looked at."""
    guide: Guide = Guide()

    @field_validator("offload_rates")
    @classmethod
    def _are_measured(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        measured = [rate for rate in RATES if 0 < rate < 1]
        if unknown := [rate for rate in rates if rate not in measured]:
            raise ValueError(f"{unknown[0]} is not measured; these are: {', '.join(map(str, measured))}")
        return tuple(sorted(set(rates)))

    @model_validator(mode="after")
    def _fits_together(self) -> Table:
        if not self.parameters and not self.variants:
            raise ValueError("a sweep needs parameters or variants")
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same name")
        if self.sampler == "grid" and self.trials is not None:
            raise ValueError("a grid has all its settings: leave trials out, or choose another sampler")
        if self.sampler != "grid" and self.trials is None:
            raise ValueError(f"the sampler {self.sampler} needs trials: how many settings to draw")
        for path, values in self.parameters.items():
            if isinstance(values, Range):
                if self.sampler == "grid":
                    raise ValueError(f"{path} is a range, and a grid needs a list of values")
            elif len(set(map(encode, values))) < len(values):
                raise ValueError(f"{path} has the same value twice")
        for variant in self.variants:
            if both := set(self.parameters) & ({*variant.set} | set(variant.unset)):
                raise ValueError(f"{min(both)} is a parameter, and the variant {variant.name!r} changes it too")
        if self.guide.architecture == "dynamic" and self.guide.offload_rate not in self.offload_rates:
            raise ValueError("guide.offload_rate must be one of offload_rates")
        return self
