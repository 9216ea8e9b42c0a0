import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.criteria import accuracy, collaborate, gap_recovered
from ecc_deploy.evaluation.thresholds import candidates, for_accuracy, for_offload_rate, offload_rates

confidences = st.lists(st.integers(0, 20), min_size=2, max_size=60).map(lambda v: np.asarray(v) / 20)


@given(confidences, st.floats(0, 1))
def test_offload_rate_is_the_nearest_possible(confidence: np.ndarray, wanted: float) -> None:
    got = (confidence < for_offload_rate(confidence, wanted)).mean()
    possible = [(confidence < t).mean() for t in [0.0, *np.unique(confidence), 2.0]]
    assert abs(got - wanted) <= min(abs(p - wanted) for p in possible) + 1e-12


@given(confidences)
def test_candidates_span_nothing_to_everything(confidence: np.ndarray) -> None:
    thresholds = candidates(confidence)
    rates = offload_rates(confidence, thresholds)
    assert rates[0] == 0
    assert rates[-1] == 1
    assert rates.tolist() == [(confidence < t).mean() for t in thresholds]


@given(confidences, st.integers(0, 2**31), st.floats(0, 1))
def test_accuracy_is_reached_with_the_fewest_offloads(confidence: np.ndarray, seed: int, wanted: float) -> None:
    rng = np.random.default_rng(seed)
    edge, cloud = rng.random((2, len(confidence))) < 0.7

    def system(threshold: float) -> tuple[float, float]:
        sent = confidence < threshold
        return float(np.where(sent, cloud, edge).mean()), float(sent.mean())

    outcomes = [system(t) for t in [0.0, *np.unique(confidence), 2.0]]
    reaching = [rate for value, rate in outcomes if value >= wanted]
    if not reaching:
        with pytest.raises(UsageError, match="no threshold gives"):
            for_accuracy(confidence, edge, cloud, wanted)
        return
    value, rate = system(for_accuracy(confidence, edge, cloud, wanted))
    assert value >= wanted
    assert rate == min(reaching)


def test_impossible_rates() -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        for_offload_rate(np.array([0.1, 0.2]), 1.5)


def test_criteria() -> None:
    edge, cloud = np.array([[1.0, 0], [1, 0], [1, 0]]), np.array([[0.0, 1], [0, 1], [0, 1]])
    labels = np.array([0, 1, 1])
    together = collaborate(edge, cloud, np.array([False, True, False]))
    assert accuracy(together, labels) == pytest.approx(2 / 3)
    assert gap_recovered(0.92, 0.90, 0.94) == pytest.approx(0.5)
    assert gap_recovered(0.92, 0.90, 0.90) is None
