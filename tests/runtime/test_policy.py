"""The adaptive policy in worlds that are known: what it sends, by which codec, and what it keeps to."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.cloud import CloudAnswer
from ecc_deploy.runtime.policy import REQUEST_BYTES, Choice, Controller, Policy
from ecc_deploy.runtime.result import Reason
from tests.runtime.worlds import GATE, LOGITS, World, rungs


def test_on_a_link_that_does_it_is_the_gate_of_the_bundle() -> None:
    world = World(Policy(latency_budget_ms=60), rungs("small"))
    world.run(300)
    wanted = [Reason.OFFLOADED if score < GATE.threshold else Reason.CONFIDENT for score in world.scores]
    assert world.reasons == wanted
    assert world.last(300)[1] == 1
    state = world.controller.state()
    assert state.is_usable
    assert state.threshold == GATE.threshold
    assert state.rtt_ms == pytest.approx(21, abs=4)


def test_a_link_that_becomes_slow_is_left_and_found_again() -> None:
    world = World(Policy(latency_budget_ms=60), rungs("small"))
    world.run(200)
    world.rtt_ms, slowed = 300.0, world.now
    world.run(2000)
    sent, within = world.last(1900)
    assert sent < 0.01
    assert within > 0.995
    assert not world.controller.state().is_usable
    assert Reason.LINK in world.reasons[-50:]
    assert 1 < len(world.probes) <= (world.now - slowed) / 1e3 + 1, "a probe a second"
    world.rtt_ms, back = 20.0, world.now
    while not world.controller.state().is_usable:
        world.step(0.1)
        assert world.now - back < 8000, "not found again"
    world.run(600)
    assert world.last(500)[0] == pytest.approx(GATE.offload_rate, abs=0.05)
    assert world.last(500)[1] > 0.99


def test_the_codec_follows_the_rate() -> None:
    world = World(Policy(latency_budget_ms=100), rungs("big", "small", "tiny"), bytes_per_ms=2500.0, gap_ms=20.0)
    world.run(300)
    assert set(world.specs[-200:]) == {"big", None}
    world.bytes_per_ms = 60.0  # 20 kB take 330 ms, 2 kB 40
    world.run(400)
    assert world.specs[-200:].count("small") > 40
    assert world.specs[-200:].count("big") <= 3, "now and then one, to see whether it would do again"
    assert world.last(200) == (pytest.approx(0.3, abs=0.1), pytest.approx(1, abs=0.015))
    world.bytes_per_ms = 15.0
    world.run(800)
    assert world.specs[-200:].count("tiny") > 40
    assert world.last(400)[1] > 0.98
    world.bytes_per_ms = 2500.0
    world.run(3000)
    assert set(world.specs[-100:]) == {"big", None}


def test_a_server_that_is_busy_counts_as_the_link_does() -> None:
    world = World(Policy(latency_budget_ms=60), rungs("small"))
    world.run(100)
    world.server_ms = 200.0
    world.run(600)
    assert world.last(400)[0] < 0.02
    assert world.controller.state().server_ms > 60
    assert world.controller.state().rtt_ms < 40, "the server's time is not the link's"


def test_a_cloud_that_fails_is_left_and_found_again() -> None:
    world = World(Policy(latency_budget_ms=60), rungs("small"), gap_ms=20.0)
    world.run(100)
    world.is_down = True
    world.run(1000)
    assert world.last(800)[0] < 0.01
    assert "failed lately" in world.controller.choose(0.1, 2.0).detail
    gaps = np.diff(world.probes)
    assert len(gaps) < 12
    assert gaps[-1] > gaps[0], "probes become rarer"
    world.is_down = False
    world.run(2_000)
    assert world.last(500)[0] > 0.2


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["sample", "second"]), st.floats(20, 5_000), st.floats(0, 30), st.integers(0, 3), st.floats(0, 1)
)
def test_a_byte_budget_is_kept(per: Any, budget: float, gap_ms: float, first: int, most: float) -> None:
    specs = ("big", "small", "tiny")[first % 3 :]
    policy = Policy(byte_budget=budget, byte_budget_per=per, max_offload_rate=most)
    world = World(policy, rungs(*specs), gap_ms=gap_ms)
    burst = world.controller._bucket.capacity
    for done in range(1, 400):
        world.step(float(world.chance.uniform()))
        earned = budget * (done if per == "sample" else world.now / 1e3)
        assert world.wire_bytes <= earned + burst + 1.2 * 20_000 * 1.04 + REQUEST_BYTES


def test_a_byte_budget_goes_to_those_that_are_least_sure() -> None:
    world = World(Policy(byte_budget=250.0), rungs("small"))
    world.run(3000)
    sent = [score for score, spec in zip(world.scores[1000:], world.specs[1000:], strict=True) if spec]
    kept = [score for score, reason in zip(world.scores, world.reasons, strict=True) if reason == Reason.BUDGET]
    assert len(sent) / 2000 == pytest.approx(250 / 2466, rel=0.2)
    assert np.mean(sent) < 0.08
    assert np.mean(kept[len(kept) // 3 :]) > 0.15
    assert world.wire_bytes / 3000 == pytest.approx(250, rel=0.15)


def test_a_tight_byte_budget_takes_the_smaller_codec_before_it_sends_less() -> None:
    world = World(Policy(byte_budget=800.0), rungs("big", "small"))
    world.run(1000)
    assert set(world.specs[-300:]) == {"small", None}
    assert world.last(600)[0] == pytest.approx(0.3, abs=0.06)


def test_more_may_be_sent_than_the_bundle_does() -> None:
    world = World(Policy(latency_budget_ms=60, max_offload_rate=0.8), rungs("tiny"))
    world.run(1000)
    assert world.last(600)[0] == pytest.approx(0.8, abs=0.06)
    everything = World(Policy(latency_budget_ms=60, max_offload_rate=1.0), rungs("tiny"))
    everything.run(200)
    assert everything.last(100)[0] == 1
    nothing = World(Policy(latency_budget_ms=60, max_offload_rate=0.0), rungs("tiny"))
    nothing.run(200)
    assert nothing.last(100)[0] == 0


def test_too_much_under_way_sends_fewer_and_the_least_sure() -> None:
    """Samples come faster than the link carries them: requests queue before it."""
    policy, now, chance = Policy(latency_budget_ms=150), 0.0, np.random.default_rng(0)
    controller = Controller(policy, GATE, rungs("small"), 4, clock=lambda: now / 1e3)
    link_free, under_way, scores, late = 0.0, [], [], 0
    for _ in range(4000):
        now += 10.0
        while under_way and under_way[0][0] <= now:
            at, choice, sent_at = under_way.pop(0)
            controller.ended(choice, CloudAnswer(LOGITS, at - sent_at, 1.0, 0, 0, 1.0), at - sent_at)
        score = float(chance.uniform())
        choice = controller.choose(score, 1.0)
        if choice.probe is not None:
            choice = Choice(Reason.LINK, "small", probe="small")
        if choice.spec is None:
            continue
        controller.sent(choice, "small", 2000, 0.1)
        link_free = max(link_free, now) + choice.wire_bytes / 40.0  # 62 ms each: 16 of the 30 a second that are wanted
        under_way.append((link_free + 20.0, choice, now))
        scores.append(score)
        late += link_free + 20.0 - now > 150
    assert late / len(scores) < 0.15
    assert 0.06 < len(scores) / 4000 < 0.17
    assert np.mean(scores[100:]) < 0.13, "not the least sure"
    assert controller.state().offload_rate < 0.28


def test_many_threads() -> None:
    controller = Controller(Policy(latency_budget_ms=60, byte_budget=2000), GATE, rungs("small", "tiny"), 4)

    def work(seed: int) -> None:
        for score in np.random.default_rng(seed).uniform(size=300).tolist():
            choice = controller.choose(score, 1.0)
            if choice.spec is not None:
                controller.sent(choice, choice.spec, 500, 0.1)
                controller.ended(choice, CloudAnswer(LOGITS, 10.0, 1.0, 0, 0, 1.0) if score > 0.02 else None, 10.0)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert controller._under_way == pytest.approx(0, abs=1e-3)
    assert len(controller._scores) == 512


@pytest.mark.parametrize(
    "options",
    [{}, {"latency_budget_ms": 0}, {"latency_budget_ms": float("nan")}, {"byte_budget": -1},
     {"byte_budget": 9, "hysteresis": 1}, {"byte_budget": 9, "max_offload_rate": 1.1},
     {"byte_budget": 9, "probe_s": 0}],
)  # fmt: skip
def test_values_out_of_range(options: dict) -> None:
    with pytest.raises(UsageError):
        Policy(**options)
