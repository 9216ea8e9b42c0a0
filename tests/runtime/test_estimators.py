"""What is estimated of link, scores and budgets, against what is known to be true."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.runtime.estimators import GAIN, Bucket, Ladder, Level, LinkEstimate, ScoreWindow, gain

TIMES = st.lists(st.floats(0, 1e4), min_size=1, max_size=60)
SENT = st.lists(st.tuples(st.floats(1, 1e6), st.floats(0, 1e4), st.floats(0.1, 1)), min_size=1, max_size=60)


def test_the_first_observation_is_that_of_rfc_6298() -> None:
    level = Level()
    level.observe(80.0)
    assert (level.mean, level.deviation) == (80.0, 40.0)
    level.observe(120.0)
    assert level.mean == pytest.approx(7 / 8 * 80 + 1 / 8 * 120)
    assert level.deviation == pytest.approx(3 / 4 * 40 + 1 / 4 * 40)


def test_good_news_does_not_widen_the_deviation() -> None:
    level = Level()
    for value in [100.0] * 40:
        level.observe(value)
    spread = level.deviation
    level.observe(5.0)
    assert level.deviation <= spread


@given(TIMES)
def test_a_level_stays_within_what_was_observed(times: list[float]) -> None:
    level = Level()
    for value in times:
        level.observe(value)
    assert min(times) - 1e-6 <= level.mean <= max(times) + 1e-6
    assert 0 <= level.deviation <= max(times) + 1e-6


@given(st.floats(-1, 1e6))
def test_gains(idle_s: float) -> None:
    assert GAIN <= gain(idle_s) <= 1
    assert gain(idle_s) <= gain(idle_s + 1)


@given(SENT)
def test_a_link_stays_possible_whatever_is_observed(sent: list[tuple[float, float, float]]) -> None:
    link = LinkEstimate()
    for sent_bytes, time_ms, weight in sent:
        link.observe(sent_bytes, time_ms, weight)
        assert 0 <= link.rtt_ms <= 1e4 + 1e-6
        assert link.bytes_per_ms is None or link.bytes_per_ms > 0
        assert 0 <= link.deviation_ms < float("inf")
        expected = [link.expected(size) for size in (0, 10, 1e3, 1e6)]
        assert expected == sorted(expected)
        assert expected[0] >= 0


@pytest.mark.parametrize(("rtt_ms", "bytes_per_ms"), [(20.0, 125.0), (80.0, 1250.0), (5.0, 12.5)])
def test_rtt_and_rate_are_found_where_sizes_vary(rtt_ms: float, bytes_per_ms: float) -> None:
    chance, link = np.random.default_rng(0), LinkEstimate()
    for size in chance.uniform(500, 20_000, 200):
        link.observe(size, rtt_ms + size / bytes_per_ms + chance.normal(0, 0.01 * rtt_ms))
    assert link.rtt_ms == pytest.approx(rtt_ms, rel=0.1, abs=1)
    assert link.bytes_per_ms == pytest.approx(bytes_per_ms, rel=0.1)
    assert link.expected(50_000) == pytest.approx(rtt_ms + 50_000 / bytes_per_ms, rel=0.1)
    assert link.deviation_ms < 0.05 * rtt_ms + 0.5


def test_a_link_that_becomes_slower_is_known_after_some_observations() -> None:
    link = LinkEstimate()
    for _ in range(50):
        link.observe(1000, 20.0)
    for _ in range(16):
        link.observe(1000, 220.0)
    assert 180 < link.expected(1000) <= 220


def test_one_size_gives_no_slope() -> None:
    link = LinkEstimate()
    for size in (1000, 1001, 999) * 20:
        link.observe(size, 50.0 + (size - 1000) * 10)
    assert link.bytes_per_ms is None
    assert link.expected(1000) == pytest.approx(50, abs=5)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=120), st.floats(0, 1))
def test_a_threshold_sends_at_most_that_share(scores: list[float], share: float) -> None:
    window = ScoreWindow(50)
    for score in scores:
        window.add(score)
    kept = np.array(scores[-50:])
    assert len(window) == len(kept)
    threshold = window.threshold(share)
    assert (kept < threshold).mean() <= share + 1e-9
    if len(set(kept.tolist())) == len(kept):
        assert (kept < threshold).mean() > share - 1 / len(kept) - 1e-9


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=50))
def test_a_bucket_gives_no_more_than_it_got(moves: list[tuple[float, float]]) -> None:
    bucket, spent, earned = Bucket(50.0), 0.0, 0.0
    for earn, spend in moves:
        bucket.earn(earn)
        earned += earn
        if bucket.tokens >= spend:
            bucket.spend(spend)
            spent += spend
        assert 0 <= bucket.tokens <= 50
    assert spent <= 50 + earned + 1e-6


@given(st.lists(st.lists(st.floats(0, 200), min_size=3, max_size=3), max_size=40))
def test_a_ladder_takes_what_fits_and_does_not_flap(series: list[list[float]]) -> None:
    ladder = Ladder(0.2)
    for costs in series:
        before = ladder.level
        after = ladder.update(costs, 100.0)
        if after < 3:
            assert costs[after] <= 100
        else:
            assert all(cost > 80 for cost in costs), "something fits even with the hysteresis"
        if after < before:
            assert costs[after] <= 80, "taken up again without a margin"
        if after == before and after < 3:
            assert not [cost for cost in costs[:after] if cost <= 80]


def test_a_cost_about_the_limit_changes_the_level_once() -> None:
    ladder = Ladder(0.2)
    levels = [ladder.update([cost], 100.0) for cost in (99, 101, 99, 101, 90, 110, 81, 79, 99)]
    assert levels == [0, 1, 1, 1, 1, 1, 1, 0, 0]
