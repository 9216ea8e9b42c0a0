import numpy as np
import pytest

from ecc_deploy.evaluation.criteria import accuracy
from ecc_deploy.evaluation.curves import RATES, recall
from ecc_deploy.evaluation.fusion import fit_fusion, fitted_on
from ecc_deploy.evaluation.gated import Answered, Gated, confidences
from ecc_deploy.runtime.fusion import fuse

SCORES = ("max-softmax", "entropy", "margin")


def answered(count: int, seed: int) -> Answered:
    """Of 5 classes: an edge that knows when it is unsure, a better cloud, and a score that tells nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, count)
    truth = np.eye(5)[labels]
    edge = truth * rng.exponential(3, (count, 1)) + rng.normal(0, 1, (count, 5))
    cloud = 4 * truth + rng.normal(0, 1.2, (count, 5))
    sure = {**confidences(edge, SCORES), "learned": rng.random(count)}
    return Answered(labels, edge.astype(np.float32), cloud.astype(np.float32), sure)


@pytest.fixture(params=[True, False], ids=["fused", "alone"])
def gated(request: pytest.FixtureRequest) -> Gated:
    sizes = np.random.default_rng(2).integers(10, 90, 1500)
    return Gated(answered(1200, 0), answered(1500, 1), sizes, fused=request.param)


@pytest.mark.parametrize("rate", [0.07, 0.6])
def test_a_point_by_hand(gated: Gated, rate: float) -> None:
    point = gated.at("margin", rate)
    val, part = gated.val, gated.part
    val_sent, sent = (side.confidence["margin"] < point.threshold for side in (val, part))
    assert val_sent.mean() == pytest.approx(rate, abs=1e-3)
    back = part.cloud
    if gated.fused:
        chosen = fitted_on(val.confidence["margin"], int(val_sent.sum()))
        back = fuse(part.edge, part.cloud, fit_fusion(val.edge[chosen], val.cloud[chosen], val.labels[chosen]))
    right = np.where(sent, back.argmax(1) == part.labels, part.edge.argmax(1) == part.labels)
    assert point.accuracy == pytest.approx(right.mean())
    assert point.offload_rate == pytest.approx(sent.mean())
    assert point.payload_bytes == pytest.approx((gated.sizes * sent).mean())


def test_nothing_and_everything(gated: Gated) -> None:
    nothing, everything = gated.at("entropy", 0.0), gated.at("entropy", 1.0)
    assert (nothing.offload_rate, nothing.payload_bytes) == (0, 0)
    assert nothing.accuracy == accuracy(gated.part.edge, gated.part.labels)
    assert everything.offload_rate == 1
    assert everything.payload_bytes == pytest.approx(gated.sizes.mean())
    if not gated.fused:
        assert everything.accuracy == accuracy(gated.part.cloud, gated.part.labels)


def test_auto_takes_the_score_that_is_best_on_val(gated: Gated) -> None:
    points = [gated.at(score, 0.2) for score in gated.val.confidence]
    best = gated.at("auto", 0.2)
    assert best.val_accuracy == max(point.val_accuracy for point in points)
    assert best.gate != "learned"
    assert best in points


def test_recall_by_brute_force() -> None:
    rng = np.random.default_rng(3)
    confidence, correctable = rng.integers(0, 30, 200) / 30, rng.random(200) < 0.2
    found = recall("dynamic", "margin", confidence, correctable)
    assert found is not None
    assert found.correctable == correctable.mean()
    places = [(0.0, 0.0)]
    for level in [*np.unique(confidence)[1:], 2.0]:
        sent = confidence < level
        places.append((sent.mean(), (sent & correctable).sum() / correctable.sum()))
    x, y = zip(*places, strict=True)
    assert found.area == pytest.approx(np.trapezoid(y, x))
    assert found.recall == pytest.approx(np.interp(RATES, x, y))


def test_recall_of_a_perfect_gate_of_chance_and_of_none() -> None:
    correctable = np.arange(2000) < 200
    perfect = recall("dynamic", "margin", np.arange(2000.0), correctable)
    assert perfect is not None
    assert perfect.area == pytest.approx(0.95)
    assert perfect.recall[RATES.index(0.1)] == 1
    chance = recall("dynamic", "margin", np.random.default_rng(0).random(2000), correctable)
    assert chance is not None
    assert chance.area == pytest.approx(0.5, abs=0.05)
    assert recall("dynamic", "margin", np.arange(9.0), np.zeros(9, bool)) is None


def test_what_sending_corrects(gated: Gated) -> None:
    part = gated.part
    found = gated.correctable("margin", 0.3)
    assert not (found & (part.edge.argmax(1) == part.labels)).any()
    if not gated.fused:
        assert (found == ((part.edge.argmax(1) != part.labels) & (part.cloud.argmax(1) == part.labels))).all()
