from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.evaluation.readings import Option, budgets, cheapest, most_accurate, options, ratios
from tests.evaluation.made_up import CLOUD, evaluation

points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30)), min_size=1, max_size=12)


def option(name: str, pairs: list[tuple[int, int]]) -> Option:
    """Of (accuracy, bytes) pairs."""
    accuracy, size = (np.asarray(values, np.float64) for values in zip(*pairs, strict=True))
    return Option(name, "dynamic", None, accuracy / 12, size, 2 * size, size / 30)


@given(points, points, st.integers(0, 12))
def test_cheapest_by_brute_force(one: list, other: list, level: int) -> None:
    found = cheapest([option("one", one), option("other", other)], level / 12, "payload_bytes")
    costs = [size for accuracy, size in one + other if accuracy >= level]
    assert (found is None) == (not costs)
    if found is not None:
        assert found.payload_bytes == min(costs)
        assert found.accuracy >= level / 12


@given(points, points, st.integers(0, 60))
def test_most_accurate_by_brute_force(one: list, other: list, budget: int) -> None:
    found = most_accurate([option("one", one), option("other", other)], budget, "cloud_macs")
    within = [accuracy for accuracy, size in one + other if 2 * size <= budget]
    assert (found is None) == (not within)
    if found is not None:
        assert found.accuracy == pytest.approx(max(within) / 12)
        assert found.cloud_macs <= budget


@given(points, points, points)
def test_budgets_by_brute_force(own: list, one: list, other: list) -> None:
    subject, rivals = option("own", own), [option("one", one), option("other", other)]
    spans = budgets(subject, rivals, "payload_bytes")

    def best(pairs: list, budget: float) -> int | None:
        return max((accuracy for accuracy, size in pairs if size <= budget), default=None)

    for budget in np.arange(0, 40, 0.5):
        mine, theirs = best(own, budget), best(one + other, budget)
        inside = [span for span in spans if span.low <= budget < span.high]
        if mine is None or theirs is None or mine == theirs:
            assert not inside
        else:
            (span,) = inside
            assert span.ahead == (mine > theirs)
            assert span.lead >= abs(mine - theirs) / 12 - 1e-9
    for before, after in pairwise(spans):
        assert before.high <= after.low
        assert before.ahead != after.ahead or before.high < after.low


@given(points, points)
def test_ratios_by_brute_force(own: list, other: list) -> None:
    parts = ratios(option("own", own), [option("other", other)], "payload_bytes", above=-1)
    expected = {}
    for level in {accuracy for accuracy, _ in own + other}:
        costs = [min((size for a, size in pairs if a >= level), default=None) for pairs in (own, other)]
        if None not in costs and costs[1]:
            expected[level / 12] = costs[0] / costs[1]
    for level, ratio in expected.items():
        (part,) = [part for part in parts if part.low <= level <= part.high]
        assert part.least - 1e-9 <= ratio <= part.most + 1e-9
    assert all((part.most < 1) == (part.least < 1) for part in parts)


def test_options_are_the_curves_of_the_gate_asked_for_and_the_rows_without_one() -> None:
    found = options(evaluation())
    labels = [
        "edge-only",
        "cloud-only · raw",
        "cloud-only · webp:50",
        "ECC-A",
        "ECC-I · png",
        "ECC-I · webp:50",
        "ECC-D",
    ]
    assert [option.label for option in found] == labels
    assert most_accurate(found, float("inf"), "payload_bytes") is not None
    near = cheapest(found, CLOUD, "cloud_macs")
    assert near is not None
    assert (near.option.label, near.cloud_macs) == ("ECC-I · png", 50e6)
