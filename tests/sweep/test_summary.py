from statistics import stdev

import numpy as np
import pytest

from ecc_deploy.evaluation.pareto import CRITERIA, pareto_front
from ecc_deploy.sweep.study import Standing
from ecc_deploy.sweep.summary import guided_values, summarise
from tests.sweep import toy

TABLE = {
    "parameters": {"adapter.bits": [2, 4], "seed": [1, 2, 3]},
    "variants": [{"name": "plain"}, {"name": "rate", "set": {"phases.adapter.rate": {"weight": 0.01}}}],
    "offload_rates": [0.2, 0.1],
}


def test_points_front_and_means_over_seeds() -> None:
    sweep = toy.sweep(TABLE)
    settings = [sweep.setting(params) for params in sweep.grid()]
    measured = [toy.measured(0.6 + 0.03 * s.recipe.seed, 10.0 * s.recipe.adapter.bits) for s in settings]
    found = summarise(sweep, Standing(list(zip(settings, measured, strict=True)), [], 1, 2))
    assert (found.finished, found.running, found.waiting, found.samples) == (12, 1, 2, 1000)
    assert len(found.points) == 12 * 4
    assert {point.name for point in found.points} == {"ECC-A", "ECC-A fused", "ECC-D 10 %", "ECC-D 20 %"}
    values = np.array([[getattr(point, name) for name in CRITERIA] for point in found.points])
    front = {tuple(row) for row in values[pareto_front(values, list(CRITERIA.values()))]}
    assert {tuple(getattr(point, name) for name in CRITERIA) for point in found.front} == front
    assert 0 < len(found.front) < len(found.points)
    assert {found.trial(point.trial).changes["adapter.bits"] for point in found.front} == {2}

    assert [row.title for row in found.ablation] == [
        "plain, adapter.bits = 2", "plain, adapter.bits = 4", "rate, adapter.bits = 2", "rate, adapter.bits = 4",
    ]  # fmt: skip
    row = found.ablation[1]
    assert row.seeds == [1, 2, 3]
    assert row.adaptive.mean == pytest.approx(0.66)
    assert row.adaptive.std == pytest.approx(stdev([0.63, 0.66, 0.69]))
    assert row.adaptive_fused is not None
    assert row.adaptive_fused.mean == pytest.approx(0.67)
    assert row.dynamic["0.1"].mean == pytest.approx(0.5 + 0.1 * 0.17)
    assert row.dynamic_bytes["0.2"].mean == pytest.approx(8)


def test_one_seed_has_no_deviation() -> None:
    sweep = toy.sweep({"parameters": {"adapter.bits": [2]}})
    found = summarise(sweep, Standing([(sweep.setting(sweep.grid()[0]), toy.measured(0.7))], [], 0, 0))
    assert found.ablation[0].adaptive.std is None


def test_settings_of_one_recipe_are_one_system_in_two_rows() -> None:
    sweep = toy.sweep({"variants": [{"name": "as it is"}, {"name": "four bits", "set": {"adapter.bits": 4}}]})
    both = [(sweep.setting(params), toy.measured(0.7)) for params in sweep.grid()]
    found = summarise(sweep, Standing(both, [], 0, 0))
    assert len(found.points) == 2 + 5
    assert [row.variant for row in found.ablation] == ["as it is", "four bits"]


@pytest.mark.parametrize(
    ("guide", "values"),
    [
        ({}, [0.71, 40.0]),
        ({"criteria": ["cloud_macs", "edge_macs"]}, [5e6, 3e6]),
        ({"architecture": "dynamic", "offload_rate": 0.1, "criteria": ["accuracy"]}, [0.521]),
    ],
)
def test_what_guides_a_sampler(guide: dict, values: list[float]) -> None:
    sweep = toy.sweep({"sampler": "tpe", "trials": 3, "parameters": {"adapter.bits": [2, 4]}, "guide": guide})
    assert guided_values(sweep, toy.measured(0.7)) == pytest.approx(values)
