"""A link, a server and a stream of samples that exist as arithmetic only, with a clock of their own."""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

import numpy as np

from ecc_deploy.bundle import Gate
from ecc_deploy.runtime.cloud import CloudAnswer, CloudError
from ecc_deploy.runtime.policy import Choice, Controller, Policy, Rung
from ecc_deploy.runtime.result import Reason

GATE = Gate(score="max-softmax", threshold=0.3, offload_rate=0.3, chosen_on="evenly spread confidences")
LOGITS = np.zeros(4, np.float32)
EDGE_MS = 2.0


@dataclass
class World:
    """``bytes_per_ms`` and ``rtt_ms`` of the link; ``server_ms``; ``is_down``: requests fail after 5 ms."""

    policy: Policy
    rungs: list[Rung]
    rtt_ms: float = 20.0
    bytes_per_ms: float = 1250.0
    server_ms: float = 3.0
    is_down: bool = False
    gap_ms: float = 0.0
    """Between the end of a sample and the next."""
    now: float = 0.0
    """Milliseconds."""
    reasons: list[Reason] = field(default_factory=list)
    specs: list[str | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)
    wire_bytes: float = 0.0

    def __post_init__(self) -> None:
        self.chance = np.random.default_rng(3)
        self.controller = Controller(self.policy, GATE, self.rungs, 4, clock=lambda: self.now / 1e3)
        self.background: list[tuple[float, int, Choice, float]] = []
        self.numbers = itertools.count()

    def run(self, samples: int) -> None:
        """Answer ``samples``, one after the other."""
        for _ in range(samples):
            self.step(float(self.chance.uniform()))

    def step(self, score: float) -> None:
        start = self.now
        self.pass_to(self.now + EDGE_MS)
        choice = self.controller.choose(score, EDGE_MS)
        if choice.probe is not None:
            probe = Choice(Reason.LINK, choice.probe, probe=choice.probe)
            took = self.send(probe, choice.probe)
            heapq.heappush(self.background, (self.now + took, next(self.numbers), probe, took))
            self.probes.append(self.now)
        if choice.spec is not None:
            took = self.send(choice, choice.spec)
            self.pass_to(self.now + took)
            self.end(choice, took)
        self.reasons.append(choice.reason)
        self.specs.append(choice.spec)
        self.scores.append(score)
        self.latencies.append(self.now - start)
        self.pass_to(self.now + self.gap_ms)

    def send(self, choice: Choice, spec: str) -> float:
        size = {"big": 20_000, "small": 2_000, "tiny": 100}[spec]
        size = int(size * self.chance.uniform(0.8, 1.2))
        self.controller.sent(choice, spec, size, 0.1)
        self.wire_bytes += choice.wire_bytes
        if self.is_down:
            return 5.0
        return self.rtt_ms * self.chance.uniform(1, 1.1) + choice.wire_bytes / self.bytes_per_ms + self.server_ms

    def end(self, choice: Choice, took: float) -> None:
        outcome: CloudAnswer | CloudError = CloudAnswer(LOGITS, took, self.server_ms, 0.0, 0.0, self.server_ms)
        if self.is_down:
            outcome = CloudError(Reason.UNAVAILABLE, "down")
        self.controller.ended(choice, outcome, took)

    def pass_to(self, end: float) -> None:
        while self.background and self.background[0][0] <= end:
            at, _, choice, took = heapq.heappop(self.background)
            self.now = max(self.now, at)
            self.end(choice, took)
        self.now = max(self.now, end)

    def last(self, count: int) -> tuple[float, float]:
        """Of the last ``count`` samples: share that was sent, and share within the latency budget."""
        budget = self.policy.latency_budget_ms or 0.0
        sent = [spec is not None for spec in self.specs[-count:]]
        return float(np.mean(sent)), float(np.mean(np.array(self.latencies[-count:]) <= budget))


def rungs(*specs: str) -> list[Rung]:
    sizes = {"big": 20_000.0, "small": 2_000.0, "tiny": 100.0}
    return [Rung(spec, rank, sizes[spec], 0.1) for rank, spec in enumerate(specs)]
