"""One bundle of a comparison: how it is run here, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ecc_deploy.backends.targets import load_target
from ecc_deploy.bundle import Bundle
from ecc_deploy.comparison.answers import Answered, Final, FloatAnswers
from ecc_deploy.comparison.bundles import same_settings
from ecc_deploy.comparison.outputs import Given, Outputs, Ran
from ecc_deploy.data import Samples
from ecc_deploy.errors import BundleError, TargetError


@dataclass(frozen=True)
class Candidate:
    """One bundle."""

    name: str
    bundle: Bundle
    wanted_threads: Mapping[str, int | None]
    """By side, CPU threads of the target; ``None`` where it does not ship: a bundle has its name alone."""
    cores: int

    @property
    def threads(self) -> dict[str, int]:
        """By side, those that it is timed with."""
        return {side: min(wanted or 1, self.cores) for side, wanted in self.wanted_threads.items()}

    @property
    def settings(self) -> tuple[str, str]:
        """Equal for bundles of which every figure is the same."""
        return same_settings(self.bundle), str(sorted(self.threads.items()))

    def halves_of_dynamic(self) -> tuple[str, str]:
        """Keys of the edge and the cloud half of ECC-D. Raises :class:`BundleError` where there is no ECC-D."""
        for deployment in self.bundle.manifest.deployments.values():
            if deployment.architecture == "dynamic" and deployment.edge and deployment.cloud:
                return deployment.edge, deployment.cloud
        raise BundleError(f"{self.bundle.path} has no deployment dynamic, and it is compared here")


def candidate(name: str, bundle: Bundle, cores: int) -> Candidate:
    """The bundle with the threads of its targets."""
    wanted: dict[str, int | None] = {}
    for side, target in bundle.manifest.targets.items():
        try:
            wanted[side] = load_target(target).threads
        except TargetError:
            wanted[side] = None
    return Candidate(name, bundle, wanted, cores)


@dataclass(frozen=True)
class Found:
    """What a candidate answered; by key of the half, or by name of the deployment."""

    candidate: Candidate
    ran: Mapping[str, Ran]
    final: Mapping[str, Final]
    """Of the deployments whose halves are all run by something here."""
    right: Mapping[str, np.ndarray]
    """Which of the samples are answered right, bool ``[N]``."""
    float_right: Mapping[str, np.ndarray]
    """By the float system with the bundle's gates; empty without a run."""
    agreement: Mapping[str, float | None]
    """With the float system; empty without a run."""


def answer(
    candidate: Candidate, samples: Samples, images: Given, outputs: Outputs, floats: FloatAnswers | None
) -> Found:
    """Run all deployments of ``candidate``; ``images``: those of ``samples``."""
    bundle = candidate.bundle
    answered = Answered(bundle, images, outputs)
    listed = sorted(bundle.manifest.deployments.items())
    final = {name: found for name, _ in listed if (found := answered.deployment(name)) is not None}
    reference = {}
    agreement = {}
    if floats is not None:
        reference = {name: found for name, item in listed if (found := floats.deployment(item)) is not None}
        agreement = {key: floats.agreement(bundle, key, ran) for key, ran in answered.ran.items()}
    # What it encoded is looked at, and may be large: only who answered is kept.
    kept = {key: Ran(None, ran.by, ran.why_not) for key, ran in answered.ran.items()}
    outputs.forget()
    labels = samples.labels
    return Found(
        candidate,
        kept,
        final,
        {name: item.logits.argmax(axis=1) == labels for name, item in final.items()},
        {name: item.logits.argmax(axis=1) == labels for name, item in reference.items()},
        agreement,
    )
