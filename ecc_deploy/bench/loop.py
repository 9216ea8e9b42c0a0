"""The measuring loop: closed, one sample at a time, all arms in turn on the same samples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ecc_deploy.bench.arms import ArmSpec
from ecc_deploy.bench.schema import RawSamples
from ecc_deploy.bench.wirebytes import WireBytes, WireCounter
from ecc_deploy.data import Samples
from ecc_deploy.progress import Progress
from ecc_deploy.runtime.credentials import Credentials
from ecc_deploy.runtime.result import STAGES, Prediction, Route

LOOP = "closed: one sample at a time, the next when the last is answered"
ORDER = "interleaved: every sample goes through all arms, in an order shuffled anew per sample"


class Predictor(Protocol):
    """What answers: :class:`~ecc_deploy.runtime.engine.EdgeRuntime`."""

    def predict(self, image: np.ndarray) -> Prediction:
        """``image``: uint8 ``[H, W, C]``."""
        ...


def _empty() -> RawSamples:
    return RawSamples(
        sample=[],
        label=[],
        predicted=[],
        route=[],
        reason=[],
        payload_bytes=[],
        stages_ms={stage: [] for stage in (*STAGES, "total")},
    )


@dataclass
class OpenArm:
    """An arm ready to answer, and what it has answered so far. ``wire`` is ``None`` where nothing is counted."""

    spec: ArmSpec
    runtime: Predictor
    wire: WireCounter | None = None
    raw: RawSamples = field(default_factory=_empty)
    first_detail: str = ""
    """What the first fallback said."""
    link: str | None = None
    """Name of the emulated link to the server; ``None``: the network as it is, or no server."""
    url: str | None = None
    """``host:port`` of the server, through the link; ``None``: no server."""
    credentials: Credentials | None = None
    """For that server."""

    @property
    def label(self) -> str:
        """For sentences."""
        return self.spec.name if self.link is None else f"{self.spec.name} over {self.link}"

    def sent_samples(self) -> list[int]:
        """Those of the measured samples that the cloud answered, as indices into the test part."""
        return [i for i, route in zip(self.raw.sample, self.raw.route, strict=True) if route == Route.CLOUD]

    def answer(self, image: np.ndarray) -> Prediction:
        prediction = self.runtime.predict(image)
        if self.wire is not None and prediction.route == Route.CLOUD:
            self.wire.follow()
        return prediction

    def wire_bytes(self) -> WireBytes | None:
        """TCP/IP bytes of what was measured; ``None`` where they could not be counted."""
        if not self.spec.needs_cloud:
            return WireBytes(0, 0)
        return self.wire.total() if self.wire is not None else None

    def record(self, sample: int, label: int, prediction: Prediction) -> None:
        self.raw.sample.append(sample)
        self.raw.label.append(label)
        self.raw.predicted.append(prediction.label)
        self.raw.route.append(prediction.route.value)
        self.raw.reason.append(prediction.reason.value)
        self.raw.payload_bytes.append(prediction.payload_bytes)
        for stage, series in self.raw.stages_ms.items():
            series.append(round(getattr(prediction.timings, stage), 6))  # nanoseconds are below any clock here
        if prediction.reason.is_fallback and not self.first_detail:
            self.first_detail = prediction.detail


def choose_samples(available: int, wanted: int, seed: int) -> np.ndarray:
    """Indices of the samples to measure: the first ``wanted`` of a seeded permutation; int64 ``[wanted]``."""
    chosen: np.ndarray = np.random.default_rng(seed).permutation(available)[:wanted]
    return chosen


def warm_up(arms: Sequence[OpenArm], samples: Samples, chosen: np.ndarray, rounds: int, progress: Progress) -> None:
    """Answer ``rounds`` samples on every arm without recording: engines, caches, connections."""
    for i in range(rounds):
        for arm in arms:
            arm.answer(samples.images[chosen[i % len(chosen)]])
        progress("Warm-up", i + 1, rounds, "")


def measure(
    arms: Sequence[OpenArm],
    samples: Samples,
    chosen: np.ndarray,
    seed: int,
    progress: Progress,
    until: float | None = None,
) -> int:
    """Answer the ``chosen`` samples on every arm and record each answer; returns how many, the same for every arm.

    Arms are interleaved, so that a drift of the machine (heat, other work, a slow link) meets all of them alike.
    ``until``: monotonic seconds after which no further sample is begun; the first one is in any case.
    """
    shuffle = np.random.default_rng([seed, 1])  # its own stream: the choice of samples does not depend on the arms
    for done, index in enumerate(chosen.tolist()):
        if until is not None and done and time.monotonic() > until:
            return done
        image, label = samples.images[index], int(samples.labels[index])
        for position in shuffle.permutation(len(arms)):
            arm = arms[position]
            arm.record(index, label, arm.answer(image))
        progress("Benchmark", done + 1, len(chosen), f"{len(arms)} arms")
    return len(chosen)
