"""What came of excluding units of int8 halves: every step as it was measured, and the recipe that is proposed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ecc_deploy.quantization.calibration import CalibrationRecipe
from ecc_deploy.workbench.debug import Output
from ecc_deploy.workbench.units import LARGEST


@dataclass(frozen=True)
class Step:
    """A half with some of its units in float, as it was measured."""

    exclude: tuple[str, ...]
    """The units, beside what the bundle's own recipe excludes."""
    macs_share: float
    """Of the half's MACs: what these units compute."""
    bytes: int
    """Of the half's files."""
    outputs: tuple[Output, ...]

    @property
    def snr_db(self) -> float:
        """Of the worst output; infinite where none has any noise."""
        return min(output.noise.order for output in self.outputs)

    def worth(self, wanted_snr_db: float) -> float:
        """Decibels of all outputs together, each up to what is wanted of it."""
        return sum(min(output.noise.order, wanted_snr_db) for output in self.outputs)

    def to_json(self) -> dict[str, Any]:
        """Ratios in dB, shares from 0 to 1."""
        outputs = [output.to_json() for output in self.outputs]
        return {"exclude": self.exclude, "macs_share": self.macs_share, "bytes": self.bytes, "outputs": outputs}


@dataclass(frozen=True)
class HalfProposal:
    """What was tried with one half. The first step is the half as it is."""

    key: str
    backend: str
    ranked: tuple[tuple[str, float], ...]
    """Units, the worst first, and the SNR in dB if the unit's noise were the only one: of the worst of the outputs that
    do not reach what is wanted."""
    steps: tuple[Step, ...]
    chosen: int
    """The step that is proposed; 0: to exclude nothing more."""
    wanted_snr_db: float

    @property
    def step(self) -> Step:
        """The one that is proposed."""
        return self.steps[self.chosen]

    @property
    def verdict(self) -> str:
        """What came of it, in words."""
        first, step, wanted = self.steps[0], self.step, f"{self.wanted_snr_db:g} dB"
        if first.snr_db >= self.wanted_snr_db:
            return f"reaches {wanted} as it is: nothing to exclude"
        if len(self.steps) == 1:
            return f"no unit of at most {100 * LARGEST:g} % of the MACs adds noise that shows: nothing to exclude"
        if self.chosen == 0:
            best = max(other.worth(self.wanted_snr_db) for other in self.steps[1:]) - first.worth(self.wanted_snr_db)
            return f"excluding does not help: the best step brings {best:+.1f} dB to all outputs together"
        reaches = "reaches" if step.snr_db >= self.wanted_snr_db else "does not reach"
        kept = f"{len(step.exclude)} excluded, {100 * step.macs_share:.0f} % of the MACs"
        return f"{kept}: the worst output from {first.snr_db:.1f} to {step.snr_db:.1f} dB, which {reaches} {wanted}"

    def to_json(self) -> dict[str, Any]:
        """Ratios in dB, shares from 0 to 1."""
        return {
            "half": self.key,
            "backend": self.backend,
            "wanted_snr_db": self.wanted_snr_db,
            "ranked": [{"unit": unit, "snr_alone_db": ratio} for unit, ratio in self.ranked],
            "steps": [step.to_json() for step in self.steps],
            "chosen": self.chosen,
            "verdict": self.verdict,
        }


@dataclass(frozen=True)
class Proposal:
    """What was tried with the halves of a bundle, and the calibration recipe that comes of it."""

    recipe: CalibrationRecipe
    """The bundle's own, with what is proposed excluded."""
    data: str
    """Dataset and part."""
    ranking_samples: int
    measuring_samples: int
    halves: tuple[HalfProposal, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing more is to be excluded."""
        return not any(half.chosen for half in self.halves)

    def to_json(self) -> dict[str, Any]:
        """Ratios in dB, shares from 0 to 1."""
        facts = {"data": self.data, "ranking_samples": self.ranking_samples, "samples": self.measuring_samples}
        halves = [half.to_json() for half in self.halves]
        return {"recipe": self.recipe.model_dump(mode="json"), **facts, "halves": halves}

    def to_toml(self) -> bytes:
        """The recipe as the file of a calibration recipe, with what came of each half as comments."""
        import tomli_w

        notes = [f"# {half.key}: {half.verdict}" for half in self.halves]
        measured = f"measured on {self.measuring_samples} samples of {self.data}"
        head = f"# Proposed by `ecc-deploy debug --exclude auto`, {measured}."
        return "\n".join([head, *notes, tomli_w.dumps(self.recipe.model_dump(mode="json", exclude_none=True))]).encode()
