import copy

import pytest

from ecc_deploy.errors import RecipeError
from ecc_deploy.sweep.paths import drop, put
from tests import tiny


def tree() -> dict:
    return copy.deepcopy(tiny.FACTS)


@pytest.mark.parametrize(
    ("path", "value", "where"),
    [
        ("seed", 7, lambda t: t["seed"]),
        ("adapter.bits", 2, lambda t: t["adapter"]["bits"]),
        ("phases.2.epochs", 9, lambda t: t["phases"][2]["epochs"]),
        ("phases.adapter.epochs", 9, lambda t: t["phases"][2]["epochs"]),
        ("phases.adapter.rate.weight", 0.1, lambda t: t["phases"][2]["rate"]["weight"]),
        ("phases.adapter.balance", {"method": "pareto"}, lambda t: t["phases"][2]["balance"]),
        ("edge.arguments.depth", 20, lambda t: t["edge"]["arguments"]["depth"]),
        ("edge.weights.file", "a.th", lambda t: t["edge"]["weights"]["file"]),
        ("phases.0.train.0", "cloud", lambda t: t["phases"][0]["train"][0]),
    ],
)
def test_put(path: str, value: object, where) -> None:
    changed = tree()
    put(changed, path, value)
    assert where(changed) == value


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("adaptor.bits", ["'adaptor'", "Nearest: adapter"]),
        ("adapter.bit", ["'bit'", "Nearest: bits", "decoder_blocks"]),
        ("phases.adapter.rate.wieght", ["'wieght'", "Nearest: weight"]),
        ("phases.7.epochs", ["'7'", "0 (edge), 1 (cloud), 2 (adapter)"]),
        ("phases.joint.epochs", ["'joint'", "2 (adapter)"]),
        ("adapter.bits.low", ["goes into a value"]),
        ("edge.arguments.widths.0", ["goes into a value"]),
        ("", ["no field ''"]),
    ],
)
def test_a_path_that_no_recipe_has_is_told_with_the_nearest(path: str, names: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        put(tree(), path, 1)
    for name in names:
        assert name in str(caught.value)


def test_drop() -> None:
    changed = tree()
    drop(changed, "phases.adapter.loss.distillation")
    assert changed["phases"][2]["loss"] == {"cross_entropy": 1.0}
    drop(changed, "phases.cloud")
    assert [phase["name"] for phase in changed["phases"]] == ["edge", "adapter"]
    for path in ("init", "phases.adapter.rate", "phases.adapter.rate.weight"):
        with pytest.raises(RecipeError, match="has nothing there"):
            drop(changed, path)
