"""Each strategy of the recipe, on a small real system: it trains what it says, and does what it is for."""

from pathlib import Path

import pytest
import torch

from ecc_deploy import data
from ecc_deploy.errors import RecipeError
from ecc_deploy.systems.rate import ideal_bytes
from ecc_deploy.training.batches import to_tensors
from ecc_deploy.training.loop import train
from ecc_deploy.training.losses import feature_error
from ecc_deploy.training.objectives import Objectives
from ecc_deploy.training.run import Run, load_run
from ecc_deploy.training.validation import boundary_codes
from tests import tiny

BASE = {"name": "phase", "train": ["adapter", "tail"], "epochs": 1, "batch": 100, "learning_rate": 0.02}


def trained(tiny_run: Path, out: Path, **changes: object) -> Run:
    return train(tiny.recipe(init=str(tiny_run), phases=[{**BASE, **changes}]), out, threads=1)


def val_images() -> torch.Tensor:
    source = data.load("fashion-mnist-sample")
    return to_tensors(source.part("val"), source.normalisation).images


def payload(run: Run) -> float:
    return ideal_bytes(boundary_codes(run.system, val_images()), 16)


def test_the_rate_term_makes_payloads_smaller_and_the_budget_limits_it(tiny_run: Path, tmp_path: Path) -> None:
    plain = trained(tiny_run, tmp_path / "plain", epochs=2)
    low = trained(tiny_run, tmp_path / "low", epochs=2, rate={"weight": 0.05})
    budget = trained(tiny_run, tmp_path / "budget", epochs=2, rate={"weight": 0.05, "budget": 120.0})
    assert payload(low) < 0.6 * payload(plain)
    assert payload(low) < payload(budget) < payload(plain)
    last = low.metrics["epochs"][-1]
    assert last["val_payload_bytes"] == pytest.approx(payload(low), rel=1e-6)
    assert last["objectives"]["rate"] > 0


@pytest.mark.parametrize("method", ["mse", "attention", "regression"])
def test_feature_matching_is_an_objective_of_its_own(tiny_run: Path, tmp_path: Path, method: str) -> None:
    only = {"cross_entropy": 0.0}
    run = trained(tiny_run, tmp_path, train=["adapter"], epochs=2, loss=only, feature={"method": method, "weight": 1.0})
    first, last = (row["objectives"]["feature"] for row in run.metrics["epochs"])
    assert 0 < last < first
    before = load_run(tiny_run).system
    assert torch.equal(run.system.tail[0][0].body[0].weight, before.tail[0][0].body[0].weight)


def test_the_feature_that_is_matched_is_what_enters_the_clouds_stage(tiny_run: Path) -> None:
    system = load_run(tiny_run).system
    phase = tiny.recipe(phases=[{**BASE, "feature": {"method": "mse", "weight": 2.0}}]).phases[0]
    x = val_images()[:20]
    wanted = system.cloud.through("stage2")(x)  # stage3 is where the adapter joins
    decoded = system.adapter(system.edge.through("stage1")(x))
    found = Objectives(system, phase, None)(x, torch.zeros(20, dtype=torch.int64))
    torch.testing.assert_close(found["feature"], 2 * feature_error(decoded, wanted))


def test_a_learned_gate_finds_more_than_chance(tiny_run: Path, tmp_path: Path) -> None:
    recall = {"score": "learned", "offload_rate": 0.2, "beta": 2.0}
    run = trained(tiny_run, tmp_path, name="gate", train=["gate"], epochs=6, learning_rate=0.3, recall=recall)
    assert run.parts == {"edge", "cloud", "adapter", "tail", "gate"}
    assert run.metrics["epochs"][-1]["val_recall"] > 0.35  # chance: 0.2
    before = load_run(tiny_run).system
    for part in ("edge", "cloud", "adapter", "tail"):
        for name, value in getattr(before, part).state_dict().items():
            assert torch.equal(value, getattr(run.system, part).state_dict()[name]), f"{part}.{name}"
    assert load_run(tmp_path).parts == run.parts


def test_recall_boosting_trains_the_edge_through_its_own_score(tiny_run: Path, tmp_path: Path) -> None:
    recall = {"score": "max-softmax", "offload_rate": 0.2, "weight": 1.0}
    run = trained(tiny_run, tmp_path, train=["edge", "adapter", "tail"], recall=recall)
    row = run.metrics["epochs"][-1]
    assert row["objectives"]["recall"] > 0
    assert 0 < row["val_recall"] <= 1
    assert "gate" not in run.parts


def test_pareto_descent_reports_its_weights(tiny_run: Path, tmp_path: Path) -> None:
    run = trained(
        tiny_run,
        tmp_path,
        train=["edge", "adapter", "tail"],
        rate={"weight": 0.01},
        balance={"method": "pareto"},
    )
    weights = run.metrics["epochs"][-1]["weights"]
    assert set(weights) == {"edge", "adapted", "rate"}
    assert sum(weights.values()) == pytest.approx(3, abs=0.01)
    assert run.metrics["epochs"][-1]["val_accuracy"]["edge"] > 0.4


def test_bfloat16_trains_like_float32(tiny_run: Path, tmp_path: Path) -> None:
    recipe = tiny.recipe(init=str(tiny_run), precision="bfloat16", phases=[BASE])
    run = train(recipe, tmp_path, threads=1)
    assert run.metrics["precision"] == "bfloat16"
    assert run.metrics["epochs"][-1]["val_accuracy"]["adapted"] > 0.5
    assert {value.dtype for value in run.system.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": ["tail"], "rate": {"weight": 1.0}}, "the rate is the adapter's"),
        ({"train": ["edge"], "feature": {}}, "feature matching trains the adapter"),
        ({"loss": {"fused": 1.0}}, "trains the edge together with"),
        ({"train": ["gate"]}, "trained by \\[phases.recall\\]"),
        ({"recall": {"score": "learned"}}, "trained by \\[phases.recall\\]"),
        ({"recall": {"score": "entropy"}}, "add edge to train"),
        ({"rate": {"weight": 0.0}}, "rate.weight"),
    ],
)
def test_strategies_that_do_not_fit_together(changes: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        tiny.recipe(phases=[{**BASE, **changes}])


def test_a_rate_needs_codes(tiny_run: Path, tmp_path: Path) -> None:
    adapter = {**tiny.FACTS["adapter"], "bits": 32}
    recipe = tiny.recipe(init=str(tiny_run), adapter=adapter, phases=[{**BASE, "rate": {"weight": 1.0}}])
    with pytest.raises(RecipeError, match="the boundary is float"):
        train(recipe, tmp_path, threads=1)
