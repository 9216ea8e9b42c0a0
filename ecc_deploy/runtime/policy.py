"""The adaptive policy: exit or offload, and by which codec, from what link and server are seen to do.

docs/adaptive.md has it in words and formulas.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence

from ecc_deploy.bundle import Gate
from ecc_deploy.runtime.choice import Choice as Choice
from ecc_deploy.runtime.choice import LinkState as LinkState
from ecc_deploy.runtime.choice import Policy as Policy
from ecc_deploy.runtime.choice import Rung as Rung
from ecc_deploy.runtime.cloud import CloudAnswer, CloudError
from ecc_deploy.runtime.estimators import GAIN, Bucket, Ladder, Level, LinkEstimate, ScoreWindow, gain
from ecc_deploy.runtime.result import Reason

REQUEST_BYTES = 450
"""On the wire beside payload and logits, both ways, TCP/IP headers included: measured on an open connection."""
_SEGMENT, _HEADERS = 1448, 52
"""Payload and headers of a full TCP segment on Ethernet."""
DEVIATIONS = 2.0
"""Mean deviations above the mean that count as "may take": about the 95th percentile of a normal distribution."""
_LEAST_SCORES = 32
_FAILING, _WORKING = 0.5, 0.25
_MAX_PROBE_BACKOFF = 16


class Controller:
    """Decides for each sample by ``policy``; thread-safe. ``rungs``: codecs, of at least rank 0.

    ``clock``: seconds, monotonic. ``classes``: how many logits come back.
    """

    def __init__(
        self,
        policy: Policy,
        gate: Gate,
        rungs: Sequence[Rung],
        classes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policy, self._gate, self._classes, self._clock = policy, gate, classes, clock
        self._rungs = {rung.spec: rung for rung in rungs}
        self._ranks = [[r for r in rungs if r.rank == rank] for rank in sorted({r.rank for r in rungs})]
        self._most = gate.offload_rate if policy.max_offload_rate is None else policy.max_offload_rate
        self._lock = threading.Lock()
        self._link, self._server, self._scores = LinkEstimate(), Level(), ScoreWindow()
        self._by_time, self._by_bytes = Ladder(policy.hysteresis), Ladder(policy.hysteresis)
        self._failures, self._is_failing = 0.0, False
        self._crowd_rate = self._most
        self._under_way = 0.0
        self._seen_at: float | None = None
        self._arrived_at: float | None = None
        self._gap_s = 0.0
        largest = max(self._wire(r) for r in rungs)
        kept = {"sample": 32.0, "second": 1.0}[policy.byte_budget_per] * (policy.byte_budget or 0.0)
        self._bucket = Bucket(max(kept, 2 * largest))
        self._probe_at, self._probe_s, self._is_probing = -math.inf, policy.probe_s, False
        self._climb_at, self._climb_s = -math.inf, policy.probe_s

    def choose(self, score: float, spent_ms: float) -> Choice:
        """For a sample of which the edge is ``score`` sure, after ``spent_ms`` of its budget."""
        with self._lock:
            now = self._clock()
            self._arrive(now, score)
            rank = self._rank(spent_ms)
            may_help = spent_ms < (self._policy.latency_budget_ms or math.inf)  # else the edge alone takes too long
            probe = self._probe(now) if rank is None and may_help else None
            if score >= self._threshold(self._most):
                return Choice(Reason.CONFIDENT, probe=probe)
            if rank is None:
                return Choice(Reason.LINK, probe=probe, detail=self._why_not(spent_ms))
            self._crowd_rate = min(self._crowd_rate * (1 + 1 / 64), self._most)
            rung = self._best(self._climbed(now, rank))
            by_bytes = self._byte_rate(rung)
            if score >= self._threshold(min(self._crowd_rate, by_bytes, self._most)):
                reason = Reason.BUDGET if by_bytes <= self._crowd_rate else Reason.LINK
                return Choice(reason, detail="less sure samples take what the budget allows")
            if self._policy.byte_budget is not None and self._bucket.tokens < self._wire(rung):
                return Choice(Reason.BUDGET, detail="the byte budget is spent")
            if self._is_late(rung, spent_ms, self._under_way):
                self._crowd_rate = max(self._crowd_rate * 0.75, 1 / 64)
                return Choice(Reason.LINK, detail=f"{self._under_way:.0f} bytes are under way already")
            return Choice(Reason.OFFLOADED, rung.spec)

    def sent(self, choice: Choice, spec: str, payload_bytes: int, encode_ms: float) -> None:
        """The sample was encoded by ``spec`` and is being sent."""
        with self._lock:
            rung = self._rungs[spec]
            rung.payload_bytes += GAIN * (payload_bytes - rung.payload_bytes)
            rung.encode_ms += GAIN * (encode_ms - rung.encode_ms)
            choice.wire_bytes = self._on_wire(payload_bytes)
            self._bucket.spend(choice.wire_bytes)
            self._under_way += choice.wire_bytes
            choice.queued_bytes = self._under_way

    def ended(self, choice: Choice, outcome: CloudAnswer | CloudError | None, waited_ms: float) -> None:
        """What came of it; ``None``: nobody knows, it was cancelled. ``waited_ms``: since it was sent."""
        with self._lock:
            self._under_way = max(self._under_way - choice.wire_bytes, 0.0)
            if choice.probe is not None:
                self._is_probing = False
            if outcome is None or (isinstance(outcome, CloudError) and not outcome.is_fault):
                return
            self._bucket.spend((outcome.requests - 1) * choice.wire_bytes)
            now = self._clock()
            weight = gain(now - self._seen_at) if self._seen_at is not None else 1.0
            self._seen_at = now
            failed = isinstance(outcome, CloudError)
            self._failures += weight * (failed - self._failures)
            self._is_failing = self._failures > (_WORKING if self._is_failing else _FAILING)
            if choice.probe is not None:
                longest = _MAX_PROBE_BACKOFF * self._policy.probe_s
                self._probe_s = min(2 * self._probe_s, longest) if failed else self._policy.probe_s
                if not failed and waited_ms < (self._policy.latency_budget_ms or math.inf):  # worth another look soon
                    self._probe_at = min(self._probe_at, now + self._policy.probe_s / 4)
            if isinstance(outcome, CloudAnswer):
                self._link.observe(choice.queued_bytes, outcome.round_trip_ms - outcome.server_ms, weight)
                self._server.observe(outcome.server_ms, weight)
            elif waited_ms > self._link.expected(choice.queued_bytes):
                self._link.observe(choice.queued_bytes, waited_ms, weight)  # it would have taken longer still

    def state(self) -> LinkState:
        """What is known and done now."""
        with self._lock:
            rank = min(self._by_time.level, len(self._ranks) - 1)
            rate = min(self._crowd_rate, self._byte_rate(self._best(rank)), self._most)
            is_usable = not self._is_failing and self._by_time.level < len(self._ranks)
            return LinkState(
                self._link.rtt_ms, self._link.bytes_per_ms, self._link.deviation_ms, self._server.mean,
                self._failures, is_usable, rate, self._threshold(rate),
            )  # fmt: skip

    def _arrive(self, now: float, score: float) -> None:
        self._scores.add(score)
        if self._arrived_at is not None:
            gap = now - self._arrived_at
            self._gap_s = gap if self._gap_s == 0 else self._gap_s + GAIN / 2 * (gap - self._gap_s)
            if self._policy.byte_budget_per == "second":
                self._bucket.earn((self._policy.byte_budget or 0.0) * gap)
        if self._policy.byte_budget_per == "sample":
            self._bucket.earn(self._policy.byte_budget or 0.0)
        self._arrived_at = now

    def _rank(self, spent_ms: float) -> int | None:
        """The most faithful rank that the budgets allow; None where the link allows none."""
        rank = 0
        if self._policy.latency_budget_ms is not None:
            left = self._policy.latency_budget_ms - spent_ms
            costs = [min(self._may_take(rung, 0.0) for rung in rungs) for rungs in self._ranks]
            rank = self._by_time.update(costs, left)
        if self._is_failing or rank == len(self._ranks):
            return None
        if self._policy.byte_budget is not None:
            costs = [self._most * min(map(self._wire, rungs)) for rungs in self._ranks]
            rank = max(rank, min(self._by_bytes.update(costs, self._per_sample()), len(self._ranks) - 1))
        return rank

    def _climbed(self, now: float, rank: int) -> int:
        """``rank``, or the one above it where it is time to see whether the link carries that again.

        What only small payloads cross says little of large ones. The sample may be late: the time to the next doubles
        until a rank is won.
        """
        if rank == 0 or rank != self._by_time.level:
            self._climb_s = self._policy.probe_s
            self._climb_at = now + self._climb_s
            return rank
        if now < self._climb_at:
            return rank
        self._climb_at = now + self._climb_s
        self._climb_s = min(2 * self._climb_s, _MAX_PROBE_BACKOFF * self._policy.probe_s)
        return rank - 1

    def _best(self, rank: int) -> Rung:
        """Of the codecs of one rank the quickest, or, where there is only a byte budget, the smallest."""
        if self._policy.latency_budget_ms is None:
            return min(self._ranks[rank], key=self._wire)
        return min(self._ranks[rank], key=lambda rung: self._may_take(rung, 0.0))

    def _may_take(self, rung: Rung, ahead: float) -> float:
        """Milliseconds from encoding to answer, with ``ahead`` bytes under way before it; 0 where nothing is known."""
        if not self._link.is_known:
            return 0.0
        spread = DEVIATIONS * math.hypot(self._link.deviation_ms, self._server.deviation)
        return rung.encode_ms + self._link.expected(ahead + self._wire(rung)) + self._server.mean + spread

    def _is_late(self, rung: Rung, spent_ms: float, ahead: float) -> bool:
        budget = self._policy.latency_budget_ms
        return budget is not None and ahead > 0 and spent_ms + self._may_take(rung, ahead) > budget

    def _per_sample(self) -> float:
        budget = self._policy.byte_budget or math.inf
        return budget if self._policy.byte_budget_per == "sample" else budget * self._gap_s or math.inf

    def _byte_rate(self, rung: Rung) -> float:
        return math.inf if self._policy.byte_budget is None else self._per_sample() / self._wire(rung)

    def _threshold(self, rate: float) -> float:
        """The threshold that sends ``rate`` of the samples; the bundle's own where that is its rate."""
        own = self._gate
        if rate == own.offload_rate or len(self._scores) < _LEAST_SCORES:
            return own.threshold
        if rate >= 1:
            return math.inf
        found = self._scores.threshold(rate)
        return min(found, own.threshold) if rate < own.offload_rate else max(found, own.threshold)

    def _probe(self, now: float) -> str | None:
        """The codec of a probe, if one is due. It is answered for by :meth:`ended`."""
        smallest = min(self._rungs.values(), key=self._wire)
        is_paid = self._policy.byte_budget is None or self._bucket.tokens >= self._wire(smallest)
        if self._is_probing or not is_paid or now < self._probe_at:
            return None
        self._is_probing, self._probe_at = True, now + self._probe_s
        return smallest.spec

    def _why_not(self, spent_ms: float) -> str:
        if self._is_failing:
            return f"{self._failures:.0%} of the requests failed lately"
        quickest = min(self._may_take(rung, 0.0) for rung in self._rungs.values())
        return f"an answer may take {spent_ms + quickest:.0f} ms, more than {self._policy.latency_budget_ms:g}"

    def _wire(self, rung: Rung) -> float:
        return self._on_wire(rung.payload_bytes)

    def _on_wire(self, payload_bytes: float) -> float:
        """Estimated bytes on the wire of one request, both ways."""
        return payload_bytes + _HEADERS * (payload_bytes // _SEGMENT) + REQUEST_BYTES + 4 * self._classes
