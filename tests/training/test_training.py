import json
from pathlib import Path

import pytest
import torch

from ecc_deploy.errors import EccError, RecipeError, RunError
from ecc_deploy.training.loop import train
from ecc_deploy.training.recipe import load_recipe, parse_recipe
from ecc_deploy.training.run import build_system, load_run, load_weights
from tests import tiny


def test_training_learns(tiny_run: Path) -> None:
    run = load_run(tiny_run)
    assert run.parts == {"edge", "cloud", "adapter", "tail"}
    last = {row["phase"]: row["val_accuracy"] for row in run.metrics["epochs"]}
    assert last["edge"]["edge"] > 0.4
    assert last["cloud"]["cloud"] > 0.4
    assert last["adapter"]["adapted"] > 0.4
    assert run.system.adapter.quantizer.step.item() > 0


def test_same_recipe_gives_the_same_bytes(tiny_run: Path, tmp_path: Path) -> None:
    train(tiny.recipe(), tmp_path / "again", threads=1)
    for name in ("system.safetensors", "system.toml"):
        assert (tmp_path / "again" / name).read_bytes() == (tiny_run / name).read_bytes()


def test_a_phase_changes_only_what_it_trains(tiny_run: Path, tmp_path: Path) -> None:
    phase = {"name": "more", "train": ["adapter"], "epochs": 1, "batch": 500, "loss": {"distillation": 1.0}}
    recipe = tiny.recipe(init=str(tiny_run), phases=[phase])
    before, after = load_run(tiny_run).system, train(recipe, tmp_path / "run", threads=1).system
    assert after.adapter.quantizer.step != before.adapter.quantizer.step
    for name, value in before.state_dict().items():
        if name.startswith("gate."):  # not a trained part of this run
            continue
        same = torch.equal(value, after.state_dict()[name])
        assert same == (not name.startswith("adapter.")), name


def test_other_bits_start_from_the_weights_with_a_new_step(tiny_run: Path, tmp_path: Path) -> None:
    adapter = {**tiny.FACTS["adapter"], "bits": 2}
    phase = {"name": "narrow", "train": ["adapter"], "epochs": 1, "batch": 100}
    before = load_run(tiny_run).system
    system = build_system(tiny.recipe(adapter=adapter))
    assert load_weights(system, tiny_run) == {"edge", "cloud", "tail"}
    assert system.adapter.quantizer.step.item() == 0
    assert torch.equal(system.adapter.encoder[0].weight, before.adapter.encoder[0].weight)
    run = train(tiny.recipe(init=str(tiny_run), adapter=adapter, phases=[phase]), tmp_path / "run", threads=1)
    assert run.parts == {"edge", "cloud", "adapter", "tail"}
    assert run.system.adapter.quantizer.step.item() > before.adapter.quantizer.step.item()
    assert run.metrics["epochs"][-1]["val_accuracy"]["adapted"] > 0.4


def test_a_part_without_a_teacher_is_an_error(tmp_path: Path) -> None:
    phase = {"name": "adapter", "train": ["adapter"], "epochs": 1}
    with pytest.raises(RecipeError, match="needs a trained cloud and edge"):
        train(tiny.recipe(phases=[phase]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_batches_larger_than_the_data_are_an_error(tmp_path: Path) -> None:
    phase = {"name": "edge", "train": ["edge"], "epochs": 1, "batch": 4000}
    with pytest.raises(RecipeError, match="batches of 4000, but there are 3000"):
        train(tiny.recipe(phases=[phase]), tmp_path / "run")


def test_init_of_another_shape_is_an_error(tiny_run: Path, tmp_path: Path) -> None:
    other = {"model": "resnet", "arguments": {"widths": [6, 8], "blocks": 1}}
    with pytest.raises(RunError, match="weights of the edge"):
        train(tiny.recipe(init=str(tiny_run), edge=other), tmp_path / "run")


def test_a_part_of_another_run_is_a_start(tiny_run: Path, tmp_path: Path) -> None:
    """Its edge and its cloud, and nothing else: the adapter is new."""
    parts: dict = {
        part: {**tiny.FACTS[part], "weights": {"file": str(tiny_run), "prefix": f"{part}."}}
        for part in ("edge", "cloud")
    }
    run = train(tiny.recipe(**parts, phases=tiny.FACTS["phases"][2:]), tmp_path / "run", threads=1)
    before, after = load_run(tiny_run).system, run.system
    assert run.parts == {"edge", "cloud", "adapter", "tail"}
    for part in ("edge", "cloud"):
        old, new = (getattr(system, part).state_dict() for system in (before, after))
        assert all(torch.equal(old[name], new[name]) for name in old)
    assert not torch.equal(before.adapter.encoder[0].weight, after.adapter.encoder[0].weight)


@pytest.mark.parametrize("file", ["shipped:no-such", "."])
def test_weights_of_what_is_no_run(file: str, tmp_path: Path) -> None:
    edge = {**tiny.FACTS["edge"], "weights": {"file": file, "prefix": "edge."}}
    with pytest.raises(RunError, match=rf"^{file} is not a run directory"):
        train(tiny.recipe(edge=edge), tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "is not TOML"),
        ("name = 'x'", "data: Field required"),
        ("nme = 'x'", "nme: Extra inputs are not permitted"),
    ],
)
def test_wrong_recipes_say_where(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe(text, "my.toml")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"adapter": {"bits": 3}}, "adapter.bits"),
        ({"name": "../up"}, "name"),
        ({"phases": []}, "phases"),
        ({"phases": [{"name": "a", "train": ["edge"], "epochs": 0}]}, "phases.0.epochs"),
        ({"phases": [{"name": "a", "train": ["cloud", "edge"], "epochs": 1}]}, "trains the cloud trains it alone"),
    ],
)
def test_wrong_values_say_where(changes: dict, where: str) -> None:
    with pytest.raises(RecipeError, match=where):
        tiny.recipe(**changes)


def test_unreadable_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.toml")


def test_not_a_run(tmp_path: Path, tiny_run: Path) -> None:
    with pytest.raises(RunError, match="not a run directory"):
        load_run(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("system.safetensors", "system.toml"):
        (broken / name).write_bytes((tiny_run / name).read_bytes())
    (broken / "system.safetensors").write_bytes((tiny_run / "system.safetensors").read_bytes()[:1000])
    with pytest.raises(RunError, match="cannot be read"):
        load_run(broken)


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    phase = {"name": "edge", "train": ["edge"], "epochs": 1, "batch": 500}
    train(
        tiny.recipe(phases=[phase]),
        tmp_path / "run",
        progress=lambda what, done, total, _: seen.append((what, done, total)),
    )
    assert seen[-1] == ("Train edge", 6, 6)
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epochs"][0]["phase"] == "edge"


def test_build_system_checks_names_early() -> None:
    with pytest.raises(EccError, match="no stage 'stage7'"):
        build_system(tiny.recipe(split={"edge_after": "stage7", "cloud_from": "stage3"}))
