import numpy as np
import pytest

from ecc_deploy.bundle import Fusion
from ecc_deploy.evaluation.fusion import COLDEST, FEWEST_FITTED, HOTTEST, fit_fusion, fit_temperature, fitted_on
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import softmax

CLASSES = 10


def answers(rng: np.random.Generator, labels: np.ndarray, skill: float) -> np.ndarray:
    """Logits that know the label by ``skill`` standard deviations, calibrated: softmax(logits) is the truth."""
    logits = rng.normal(0, 1, (len(labels), CLASSES))
    logits[np.arange(len(labels)), labels] += skill
    return skill * logits  # the log-likelihood ratio of normal noise


def nll(logits: np.ndarray, labels: np.ndarray) -> float:
    return float(-np.log(softmax(logits)[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0, 9.0])
def test_it_finds_the_temperature_that_makes_answers_as_sure_as_they_are_right(temperature: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, 20_000)
    logits = temperature * answers(rng, labels, 1.5)
    found = fit_temperature(logits.astype(np.float32), labels)
    assert found == pytest.approx(temperature, rel=0.05)
    least = nll(logits / found, labels)
    assert all(nll(logits / (found * factor), labels) > least for factor in (0.8, 0.95, 1.05, 1.2))


def test_answers_that_are_all_right_or_tell_nothing_end_at_the_brackets() -> None:
    labels = np.arange(40) % 4
    right = np.eye(4, dtype=np.float32)[labels]
    assert fit_temperature(right, labels) == pytest.approx(COLDEST, rel=1e-3)
    assert fit_temperature(-right, labels) == pytest.approx(HOTTEST, rel=1e-3)
    assert fit_temperature(np.zeros((40, 4), np.float32), labels) > 0


def test_two_that_know_different_things_are_better_together() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, CLASSES, 4000)
    edge, cloud = answers(rng, labels, 2.0), 5 * answers(rng, labels, 2.0)  # the cloud is five times too sure
    half = slice(0, 2000)
    fusion = fit_fusion(edge[half], cloud[half], labels[half])
    assert fusion.edge_weight == pytest.approx(0.5, abs=0.1)
    assert fusion.cloud_temperature == pytest.approx(5 * fusion.edge_temperature, rel=0.15)
    others = slice(2000, 4000)
    right = (fuse(edge[others], cloud[others], fusion).argmax(1) == labels[others]).mean()
    for alone in (edge, cloud):
        assert right > (alone[others].argmax(1) == labels[others]).mean() + 0.03


def test_who_knows_nothing_has_no_say() -> None:
    rng = np.random.default_rng(2)
    labels = rng.integers(0, CLASSES, 3000)
    good, useless = answers(rng, labels, 3.0), rng.normal(0, 1, (3000, CLASSES))
    assert fit_fusion(useless, good, labels).edge_weight <= 0.05
    assert fit_fusion(good, useless, labels).edge_weight >= 0.95


def test_as_long_as_no_weight_is_clearly_better_it_is_a_half() -> None:
    """On 60 samples of two equally good answers the best weight is chance; the standard error says so."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels = rng.integers(0, CLASSES, 60)
        found.append(fit_fusion(answers(rng, labels, 2.0), answers(rng, labels, 2.0), labels).edge_weight)
    assert np.mean(np.asarray(found) == 0.5) > 0.6


def test_it_is_what_the_manifest_can_hold() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 50)
    logits = np.eye(3, dtype=np.float32)[labels] * 1e4
    fusion = fit_fusion(logits, -logits, labels)
    assert Fusion.model_validate_json(fusion.model_dump_json()) == fusion


def test_it_is_fitted_on_what_is_sent_or_the_least_sure() -> None:
    sure = np.random.default_rng(4).permutation(2000)
    assert sorted(sure[fitted_on(sure, 700)]) == list(range(700))
    assert sorted(sure[fitted_on(sure, 3)]) == list(range(FEWEST_FITTED))
    assert sorted(fitted_on(sure[:40], 3)) == list(range(40))
