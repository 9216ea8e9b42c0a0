from typing import Any

import pytest

from ecc_deploy.errors import EccError, RecipeError
from ecc_deploy.sweep.check import check
from ecc_deploy.sweep.recipe import load_sweep_recipe, parse_sweep
from ecc_deploy.training.recipe import parse_recipe
from tests import tiny
from tests.sweep import toy

RATE = {"weight": 0.01}


def test_a_grid_has_every_variant_with_every_value() -> None:
    sweep = toy.sweep(
        {
            "parameters": {"adapter.bits": [2, 4], "seed": [1, 2, 3]},
            "variants": [
                {"name": "plain", "unset": ["phases.adapter.loss.distillation"]},
                {"name": "rate", "set": {"phases.adapter.rate": RATE, "phases.adapter.epochs": 5}},
            ],
        }
    )
    settings = [sweep.setting(params) for params in sweep.grid()]
    assert len({setting.key for setting in settings}) == 12
    assert [setting.variant for setting in settings] == ["plain"] * 6 + ["rate"] * 6
    assert [setting.recipe.seed for setting in settings] == [1, 2, 3] * 4
    first, last = settings[0].recipe, settings[-1].recipe
    assert (first.adapter.bits, first.phases[2].rate, first.phases[2].loss.distillation) == (2, None, 0.0)
    assert last.phases[2].rate is not None
    assert (last.adapter.bits, last.phases[2].rate.weight, last.phases[2].epochs) == (4, 0.01, 5)
    assert settings[-1].title == "rate, adapter.bits = 4, seed = 3"


def test_values_may_be_lists_and_tables() -> None:
    widths = [{"widths": [4, 8], "blocks": 1}, {"widths": [6, 8], "blocks": 1}]
    sweep = toy.sweep({"parameters": {"phases.2.train": [["adapter"], ["adapter", "tail"]], "edge.arguments": widths}})
    recipes = [sweep.setting(params).recipe for params in sweep.grid()]
    assert [recipe.edge.arguments for recipe in recipes] == widths * 2
    assert [recipe.phases[2].train for recipe in recipes[1:3]] == [["adapter"], ["adapter", "tail"]]


def test_settings_that_come_to_the_same_recipe_share_a_key() -> None:
    sweep = toy.sweep({"variants": [{"name": "as it is"}, {"name": "four bits", "set": {"adapter.bits": 4}}]})
    one, other = (sweep.setting(params) for params in sweep.grid())
    assert one.key == other.key


def test_what_makes_it_another_sweep() -> None:
    table = {"sampler": "random", "trials": 3, "parameters": {"adapter.bits": [2, 4]}}
    same = toy.sweep({**table, "trials": 9, "offload_rates": [0.1]})
    assert toy.sweep(table).identity == same.identity
    assert toy.sweep(table).identity != toy.sweep({**table, "parameters": {"adapter.bits": [2, 8]}}).identity
    assert toy.sweep(table).identity != toy.sweep(table, seed=4).identity


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "needs parameters or variants"),
        ({"parameters": {"adapter.bits": []}}, "parameters.adapter.bits"),
        ({"parameters": {"adapter.bits": [2, 2]}}, "the same value twice"),
        ({"parameters": {"seed": {"low": 1, "high": 3}}}, "a grid needs a list"),
        ({"parameters": {"seed": [1]}, "trials": 3}, "leave trials out"),
        ({"parameters": {"seed": [1]}, "sampler": "tpe"}, "needs trials"),
        ({"parameters": {"seed": [1]}, "sampler": "tep"}, "sampler"),
        ({"parameters": {"seed": {"low": 3, "high": 1}}, "sampler": "tpe", "trials": 3}, "smaller than high"),
        (
            {"parameters": {"seed": {"low": 0, "high": 1, "log": True}}, "sampler": "tpe", "trials": 3},
            "starts above 0",
        ),
        ({"parameters": {"seed": [1]}, "offload_rates": [0.123]}, "0.123 is not measured"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"parameters": {"seed": [1]}, "variants": [{"name": "a", "set": {"seed": 2}}]}, "seed is a parameter"),
        ({"parameters": {"seed": [1]}, "guide": {"architecture": "dynamic"}}, "guide.offload_rate"),
        ({"parametres": {"seed": [1]}}, "parametres"),
    ],
)
def test_wrong_tables_say_what_is_wrong(table: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        toy.sweep(table)


def test_a_recipe_and_a_sweep_are_told_apart() -> None:
    with pytest.raises(RecipeError, match="describes a sweep") as caught:
        parse_recipe(toy.text({"parameters": {"seed": [1]}}), "tiny.toml")
    assert "--sweep" in caught.value.hint
    with pytest.raises(RecipeError, match=r"no \[sweep\] table"):
        parse_sweep("name = 'x'", "tiny.toml")


def test_a_grid_by_a_slip() -> None:
    with pytest.raises(RecipeError, match="1,000,000 settings"):
        toy.sweep({"parameters": {"seed": list(range(1000)), "adapter.channels": list(range(1, 1001))}}).grid()


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ({"parameters": {"adapter.bits": [4, 3]}}, {}, r"adapter.bits = 3:\n.*adapter.bits: Input should be"),
        ({"variants": [{"name": "no phases", "unset": ["phases"]}]}, {}, r"no phases:\n.*phases: Field required"),
        ({"parameters": {"split.cloud_from": ["stage3", "stage9"]}}, {}, r"cloud_from = stage9: .*no stage 'stage9'"),
        ({"parameters": {"seed": [1, 2]}}, {"init": "nowhere"}, "seed = 1: nowhere is not a run"),
        ({"variants": [{"name": "no cloud", "unset": ["phases.cloud"]}]}, {}, "no cloud: .*needs a trained cloud"),
        (
            {"variants": [{"name": "alone", "unset": ["phases.adapter"]}]},
            {},
            "alone: it ends without a trained adapter",
        ),
        (
            {"sampler": "tpe", "trials": 2, "parameters": {"adapter.channels": {"low": 0, "high": 3}}},
            {},
            "adapter.channels = 0",
        ),
    ],
)
def test_every_recipe_is_checked_before_anything_is_trained(
    table: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(EccError, match=message):
        check(toy.sweep(table, **changes))


def test_the_sweep_that_ships_for_the_embedded_sample() -> None:
    sweep = load_sweep_recipe("fashion-mnist-sweep")
    check(sweep)
    assert len(sweep.grid()) >= 4
    assert sweep.name == "fashion-mnist"


@pytest.mark.parametrize("name", ["cifar10-sweep", "cifar10-ablation", "cifar10-gates"])
def test_the_sweeps_that_ship_for_cifar10(name: str) -> None:
    """Their recipes are valid; building them may need checkpoints, or the data."""
    sweep = load_sweep_recipe(name)
    assert all(sweep.setting(params).recipe.data.name == "cifar10" for params in sweep.probes())


def test_tiny_is_no_sweep() -> None:
    with pytest.raises(RecipeError, match=r"no \[sweep\] table"):
        load_sweep_recipe("fashion-mnist-quickstart")
    assert "sweep" not in tiny.FACTS
