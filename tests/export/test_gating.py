"""What gate and fusion an export chooses, from answers made up here."""

import numpy as np
import pytest

from ecc_deploy.errors import UsageError
from ecc_deploy.evaluation.scores import offered_scores
from ecc_deploy.export.gating import Collaboration, GatedAnswers, Wanted

N, CLASSES = 3000, 5


def made_up(seed: int = 0) -> GatedAnswers:
    """An edge that is right in 80 %, as sure of the rest; a cloud right in 92 %; a learned gate that knows which."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, N)

    def answers(accuracy: float) -> np.ndarray:
        said = np.where(rng.random(N) < accuracy, labels, (labels + rng.integers(1, CLASSES, N)) % CLASSES)
        logits = rng.normal(0, 0.3, (N, CLASSES))
        logits[np.arange(N), said] += rng.uniform(1, 4, N)
        return logits.astype(np.float32)

    edge, cloud = answers(0.8), answers(0.92)
    wrong = edge.argmax(1) != labels
    return GatedAnswers(edge, cloud, labels, (rng.normal(0, 1, N) - 3 * wrong).astype(np.float32))


def accuracy(given: GatedAnswers, chosen: Collaboration) -> float:
    return float((chosen.answers(given.edge, given.cloud, given.learned).argmax(1) == given.labels).mean())


def wanted(*scores: str, rate: float | None = None, least: float | None = None, fused: bool = True) -> Wanted:
    return Wanted(scores or offered_scores(has_learned=True), rate, least, fused)


@pytest.mark.parametrize("fused", [True, False])
def test_auto_takes_the_score_that_is_most_accurate_at_the_rate(fused: bool) -> None:
    given = made_up()
    chosen = given.choose(wanted(rate=0.2, fused=fused), "these")
    each = {
        score: accuracy(given, given.choose(wanted(score, rate=0.2, fused=fused), "these"))
        for score in offered_scores(has_learned=True)
    }
    assert chosen.gate.score == "learned"
    assert accuracy(given, chosen) == max(each.values()) > sorted(each.values())[-2]
    assert chosen.gate.offload_rate == pytest.approx(0.2, abs=1e-3)
    assert (chosen.fusion is not None) == fused


def test_of_equals_the_first() -> None:
    given = made_up()
    assert given.choose(wanted(rate=0.0), "these").gate.score == "max-softmax"
    assert given.choose(wanted(rate=1.0), "these").gate.score == "max-softmax"


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("scores", [("learned",), ("margin",), ()])
def test_an_accuracy_is_reached_by_the_answers_as_they_end(scores: tuple[str, ...], fused: bool) -> None:
    given = made_up()
    chosen = given.choose(wanted(*scores, least=0.88, fused=fused), "these")
    assert accuracy(given, chosen) >= 0.88
    assert 0 < chosen.gate.offload_rate < 1
    if not scores:
        rates = [
            given.choose(wanted(score, least=0.88, fused=fused), "these").gate.offload_rate
            for score in offered_scores(has_learned=True)
        ]
        assert chosen.gate.offload_rate == min(rates)


def test_fusing_sends_fewer_for_the_same_accuracy() -> None:
    given = made_up()
    rates = [given.choose(wanted("margin", least=0.9, fused=f), "these").gate.offload_rate for f in (True, False)]
    assert rates[0] < rates[1]


@pytest.mark.parametrize("fused", [True, False])
def test_what_no_score_reaches_is_said(fused: bool) -> None:
    with pytest.raises(UsageError, match=r"no threshold gives an accuracy of 0\.9990"):
        made_up().choose(wanted(least=0.999, fused=fused), "these")


def test_an_accuracy_of_nothing_sends_nothing() -> None:
    assert made_up().choose(wanted(least=0.0), "these").gate.offload_rate == 0
