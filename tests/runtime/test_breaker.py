"""The circuit breaker: by hand with a clock of our own, by random histories, by many threads, and in the runtime."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle as Drawn
from hypothesis.stateful import RuleBasedStateMachine, consumes, invariant, rule

from ecc_deploy.bundle import Bundle
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.breaker import Breaker, Permit
from ecc_deploy.runtime.client import CloudError
from ecc_deploy.runtime.engine import EdgeRuntime
from ecc_deploy.runtime.pipeline import Pipeline
from ecc_deploy.runtime.result import Reason, Route
from tests import reference
from tests.runtime.clouds import ManualCloud
from tests.toy import samples

IMAGES = samples(12, seed=31).images


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def fail(breaker: Breaker, count: int = 1) -> None:
    for _ in range(count):
        permit = breaker.ask()
        assert permit is not None
        permit.failed("it is broken")


def succeed(breaker: Breaker) -> None:
    permit = breaker.ask()
    assert permit is not None
    permit.succeeded()


def test_it_opens_probes_and_closes() -> None:
    clock = Clock()
    breaker = Breaker(failures=3, backoff_s=1, max_backoff_s=3, jitter=0, clock=clock)
    fail(breaker, 2)
    succeed(breaker)  # they have to be in a row
    fail(breaker, 3)
    assert breaker.state == "open"
    assert breaker.ask() is None
    assert "is open; the last failure: it is broken" in breaker.why()
    for backoff in (1, 2, 3, 3):
        clock.now += backoff - 0.01
        assert breaker.refuses()
        clock.now += 0.02
        assert not breaker.refuses()
        probe = breaker.ask()
        assert probe is not None
        assert breaker.state == "half-open"
        assert breaker.ask() is None
        probe.failed("still broken")
        assert breaker.state == "open"
    clock.now += 4
    succeed(breaker)
    assert breaker.state == "closed"
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_it_opens_at_a_share_of_failures() -> None:
    breaker = Breaker(failures=100, window=10, share=0.5)
    for _ in range(4):
        fail(breaker)
        succeed(breaker)
    succeed(breaker)
    assert breaker.state == "closed"
    fail(breaker)
    assert breaker.state == "open"


def test_jitter_shortens_the_backoff() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, backoff_s=1, jitter=0.5, clock=clock, chance=lambda: 0.6)
    fail(breaker)
    clock.now += 0.69
    assert breaker.ask() is None
    clock.now += 0.02
    assert breaker.ask() is not None


def test_a_probe_that_is_cancelled_makes_way_for_another() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, backoff_s=1, clock=clock)
    fail(breaker)
    clock.now += 1
    probe = breaker.ask()
    assert probe is not None
    probe.forgotten()
    assert breaker.ask() is not None


def test_what_was_sent_before_it_opened_changes_nothing() -> None:
    clock = Clock()
    breaker = Breaker(failures=2, backoff_s=1, jitter=0, clock=clock)
    old = [breaker.ask() for _ in range(3)]
    fail(breaker, 2)
    assert old[0]
    old[0].succeeded()
    assert breaker.state == "open"
    clock.now += 1
    probe = breaker.ask()
    assert probe
    assert old[1]
    old[1].failed("late")
    assert breaker.state == "half-open"
    probe.succeeded()
    assert old[2]
    old[2].failed("later")
    fail(breaker)
    assert breaker.state == "closed"


class Histories(RuleBasedStateMachine):
    permits = Drawn("permits")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(failures=3, window=6, share=0.7, backoff_s=1, max_backoff_s=8, clock=self.clock)
        self.probe: Permit | None = None
        self.opened = 0.0

    @rule(target=permits)
    def ask(self) -> Any:
        before, refuses = self.breaker.state, self.breaker.refuses()
        permit = self.breaker.ask()
        assert (permit is None) == refuses
        if before == "closed":
            assert permit is not None
        elif before == "half-open":
            assert permit is None, "a second probe"
        elif permit is not None:
            assert self.clock.now - self.opened >= 0.5 or self.opened == 0, "a probe before half of the backoff"
            self.probe = permit
        return permit

    @rule(permit=consumes(permits), outcome=st.sampled_from(["succeeded", "failed", "forgotten"]))
    def end(self, permit: Permit | None, outcome: str) -> None:
        if permit is None:
            return
        before, is_probe = self.breaker.state, permit is self.probe
        if outcome == "failed":
            permit.failed("x")
        else:
            getattr(permit, outcome)()
        after = self.breaker.state
        if before == "half-open" and is_probe:
            assert after == ("closed" if outcome == "succeeded" else "open")
            self.probe = None
        elif before != "closed":
            assert after == before, "only the probe may change what is not closed"
        else:
            assert after == "closed" or outcome == "failed" or len(self.breaker._recent) == 6
        if after == "open" and before != "open":
            self.opened = 0.0 if outcome == "forgotten" else self.clock.now
        permit.failed("told twice")
        assert self.breaker.state == after

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def after_the_longest_backoff_somebody_may_probe(self) -> None:
        if self.breaker.state == "open":
            assert self.breaker._until - self.clock.now <= 8


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_one_probe_for_many_threads() -> None:
    clock = Clock()
    breaker = Breaker(failures=1, backoff_s=1, clock=clock)
    for _ in range(20):
        fail(breaker)
        clock.now += 40
        start, given = threading.Barrier(8), []

        def ask(start: threading.Barrier = start, given: list = given) -> None:
            start.wait(20)
            given.append(breaker.ask())

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        (probe,) = [permit for permit in given if permit is not None]
        probe.succeeded()


@pytest.mark.parametrize("options", [{"failures": 0}, {"window": 0}, {"share": 0}, {"jitter": 2}, {"backoff_s": 0},
                                     {"backoff_s": 9, "max_backoff_s": 1}])  # fmt: skip
def test_options_out_of_range(options: dict) -> None:
    with pytest.raises(UsageError):
        Breaker(**options)


@pytest.mark.parametrize("deployment", ["dynamic", "adaptive", "cloud-only"])
def test_while_it_is_open_the_edge_answers_and_nothing_is_sent(toy_bundle: Bundle, deployment: str) -> None:
    clock, asked = Clock(), []

    class Down(ManualCloud):
        def infer(self, half: str, payload: bytes, codec: str, deadline_s: float) -> Any:
            asked.append(payload)
            raise CloudError(Reason.UNAVAILABLE, "down")

    breaker = Breaker(failures=2, backoff_s=1, clock=clock)
    with EdgeRuntime(toy_bundle, deployment, cloud=Down(toy_bundle), breaker=breaker) as runtime:
        found = [runtime.predict(image) for image in IMAGES]
        sent = [p for p in found if p.reason != Reason.CONFIDENT]
        assert [p.reason for p in sent] == [Reason.UNAVAILABLE] * 2 + [Reason.BREAKER] * (len(sent) - 2)
        assert len(sent) > 3
        assert len(asked) == 2
        assert {(p.route, p.payload_bytes, p.timings.network) for p in sent[2:]} == {(Route.EDGE, 0, 0.0)}
        assert all(p.reason.is_fallback and "the last failure: " in p.detail for p in sent[2:])
        np.testing.assert_allclose([p.logits for p in found], reference.edge_logits(IMAGES), atol=1e-4)


def test_in_flight(toy_bundle: Bundle) -> None:
    clock, manual = Clock(), ManualCloud(toy_bundle)
    breaker = Breaker(failures=2, backoff_s=1, clock=clock)
    with (
        EdgeRuntime(toy_bundle, "adaptive", cloud=manual, breaker=breaker, deadline_ms=20_000) as runtime,
        Pipeline(runtime, in_flight=2) as pipeline,
    ):
        first = [pipeline.submit(image) for image in IMAGES[:2]]
        for _ in first:
            manual.answer(error=CloudError(Reason.UNAVAILABLE, "down"))
        assert [future.result(20).reason for future in first] == [Reason.UNAVAILABLE] * 2
        assert pipeline.submit(IMAGES[2]).result(20).reason == Reason.BREAKER
        clock.now += 1
        probe = pipeline.submit(IMAGES[3])
        assert pipeline.submit(IMAGES[4]).result(20).reason == Reason.BREAKER
        probe.cancel()  # says nothing of the cloud; its place is free when that was noticed
        while breaker.state == "half-open":
            threading.Event().wait(0.001)
        probe = pipeline.submit(IMAGES[5])
        manual.answer()
        assert probe.result(20).route == Route.CLOUD
        assert breaker.state == "closed"
