import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.bundle import Gate
from ecc_deploy.errors import UsageError
from ecc_deploy.runtime.gate import SCORES, confidence, offloads, softmax

OF_LOGITS = tuple(score for score in SCORES if score != "learned")
LOGITS = st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=12)


def probabilities(logits: list[float]) -> list[float]:
    """Softmax by the definition, in plain Python."""
    highest = max(logits)
    exponents = [math.exp(x - highest) for x in logits]
    return [e / math.fsum(exponents) for e in exponents]


def expected(logits: list[float], score: str) -> float:
    found = sorted(probabilities(logits))
    if score == "max-softmax":
        return found[-1]
    if score == "margin":
        return found[-1] - found[-2]
    return 1 + math.fsum(p * math.log(p) for p in found if p > 0) / math.log(len(found))


@pytest.mark.parametrize("score", OF_LOGITS)
@given(logits=LOGITS)
def test_the_scores_are_their_formulas(score: str, logits: list[float]) -> None:
    found = confidence(np.array(logits, np.float32), score)
    assert found.dtype == np.float64
    assert found.shape == ()
    assert float(found) == pytest.approx(expected(logits, score), abs=1e-12)


@pytest.mark.parametrize("score", OF_LOGITS)
@given(logits=LOGITS, shift=st.integers(-20, 20))
def test_they_lie_between_0_and_1_and_do_not_see_a_shift_or_the_order(
    score: str, logits: list[float], shift: int
) -> None:
    array = np.array(logits, np.float64)
    found = confidence(array, score)
    assert -1e-12 <= found <= 1 + 1e-12
    assert confidence(array + shift, score) == pytest.approx(float(found), abs=1e-9)
    assert confidence(array[::-1].copy(), score) == pytest.approx(float(found), abs=1e-12)


@pytest.mark.parametrize("score", OF_LOGITS)
@pytest.mark.parametrize("classes", [2, 10])
def test_known_points(score: str, classes: int) -> None:
    uniform, certain = np.zeros(classes, np.float32), np.zeros(classes, np.float32)
    certain[1] = 1000
    assert confidence(uniform, score) == pytest.approx(1 / classes if score == "max-softmax" else 0, abs=1e-12)
    assert confidence(certain, score) == 1


@given(rows=st.lists(st.lists(st.floats(-30, 30, width=32), min_size=4, max_size=4), min_size=1, max_size=5))
def test_a_batch_is_its_samples_one_by_one(rows: list[list[float]]) -> None:
    batch = np.array(rows, np.float32)
    for score in OF_LOGITS:
        one_by_one = [float(confidence(row, score)) for row in batch]
        assert confidence(batch, score).tolist() == pytest.approx(one_by_one, abs=1e-12)


def test_large_logits_do_not_overflow() -> None:
    assert softmax(np.array([3e38, -3e38], np.float32)).tolist() == [1, 0]


def test_thresholds_near_1_keep_their_resolution() -> None:
    nearly, nearer = np.array([20.0, 0.0], np.float32), np.array([25.0, 0.0], np.float32)
    assert confidence(nearly, "max-softmax") < confidence(nearer, "max-softmax") < 1


@pytest.mark.parametrize("score", OF_LOGITS)
def test_what_is_less_sure_than_the_threshold_is_sent(score: str) -> None:
    logits = np.array([[0, 0, 0], [1, 0, 0], [9, 0, 0]], np.float32)
    threshold = float(confidence(logits[1], score))
    gate = Gate(score=score, threshold=threshold, offload_rate=0.5, chosen_on="these")
    assert offloads(logits, gate).tolist() == [True, False, False], "at the threshold the edge answers"


@pytest.mark.parametrize("shape", [(), (1,), (5,), (5, 1)])
def test_a_learned_confidence_is_what_the_half_says(shape: tuple[int, ...]) -> None:
    said = np.linspace(-3, 3, num=int(np.prod(shape)), dtype=np.float32).reshape(shape)
    logits = np.zeros((5, 4) if 5 in shape else 4, np.float32)
    found = confidence(logits, "learned", said)
    assert found.dtype == np.float64
    assert found.shape == logits.shape[:-1]
    assert found.tolist() == np.squeeze(said).tolist()
    gate = Gate(score="learned", threshold=float(np.median(said)), offload_rate=0.5, chosen_on="these")
    assert offloads(logits, gate, said).sum() == said.size // 2


def test_a_learned_score_needs_the_halfs_output() -> None:
    gate = Gate(score="learned", threshold=0, offload_rate=0.5, chosen_on="these")
    with pytest.raises(UsageError, match="no output of a learned gate"):
        offloads(np.zeros(3, np.float32), gate)


def test_an_unknown_score_is_named() -> None:
    with pytest.raises(UsageError, match="'guess'") as error:
        confidence(np.zeros(3, np.float32), "guess")
    assert "max-softmax" in error.value.hint
