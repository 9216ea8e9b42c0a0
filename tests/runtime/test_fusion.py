import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecc_deploy.bundle import Fusion
from ecc_deploy.runtime.fusion import fuse
from ecc_deploy.runtime.gate import softmax

LOGITS = st.lists(st.floats(-60, 60, width=32), min_size=4, max_size=4)
WEIGHT, TEMPERATURE = st.floats(0, 1), st.floats(0.05, 20)


def expected(edge: list[float], cloud: list[float], fusion: Fusion) -> list[float]:
    """The formula, in plain Python."""

    def probabilities(logits: list[float], temperature: float) -> list[float]:
        exponents = [math.exp((x - max(logits)) / temperature) for x in logits]
        return [e / math.fsum(exponents) for e in exponents]

    both = zip(
        probabilities(edge, fusion.edge_temperature), probabilities(cloud, fusion.cloud_temperature), strict=True
    )
    return [fusion.edge_weight * e + (1 - fusion.edge_weight) * c for e, c in both]


@given(LOGITS, LOGITS, WEIGHT, TEMPERATURE, TEMPERATURE)
def test_it_is_its_formula(edge: list[float], cloud: list[float], weight: float, te: float, tc: float) -> None:
    fusion = Fusion(edge_weight=weight, edge_temperature=te, cloud_temperature=tc)
    found = fuse(np.array(edge, np.float32), np.array(cloud, np.float32), fusion)
    assert found.dtype == np.float32
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found.astype(np.float64)), expected(edge, cloud, fusion), atol=1e-5)
    np.testing.assert_allclose(softmax(found), np.exp(found.astype(np.float64)), atol=1e-5)


@pytest.mark.parametrize(("weight", "alone"), [(0.0, "cloud"), (1.0, "edge")])
def test_at_its_ends_one_side_stands_alone(weight: float, alone: str) -> None:
    rng = np.random.default_rng(0)
    sides = {"edge": rng.normal(0, 3, (20, 5)).astype(np.float32), "cloud": rng.normal(0, 3, (20, 5))}
    fusion = Fusion(edge_weight=weight, edge_temperature=1.0, cloud_temperature=1.0)
    np.testing.assert_allclose(np.exp(fuse(**sides, fusion=fusion)), softmax(sides[alone]), atol=1e-6)


def test_who_is_surer_wins() -> None:
    half = Fusion(edge_weight=0.5, edge_temperature=1.0, cloud_temperature=1.0)
    unsure, sure = np.array([1.0, 0.9, 0.0]), np.array([0.0, 5.0, 0.0])
    assert fuse(unsure, sure, half).argmax() == 1
    assert fuse(sure, unsure, half).argmax() == 1


def test_the_largest_logits_give_finite_answers() -> None:
    most = np.finfo(np.float32).max
    coldest = Fusion(edge_weight=0.0, edge_temperature=1e-3, cloud_temperature=1e-3)
    found = fuse(np.array([-most, most], np.float32), np.array([most, -most], np.float32), coldest)
    assert np.isfinite(found).all()
    assert found.argmax() == 0
