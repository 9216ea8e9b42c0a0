import json
from pathlib import Path

import tomli_w

from tests import tiny
from tests.cli.conftest import Cli


def test_train_writes_a_run_and_says_what_comes_next(cli: Cli, tmp_path: Path) -> None:
    recipe, run = tmp_path / "tiny.toml", tmp_path / "run"
    one_epoch = {**tiny.FACTS["phases"][0], "epochs": 1, "batch": 500}
    recipe.write_text(tomli_w.dumps({**tiny.FACTS, "phases": [one_epoch]}))
    done = cli("train", recipe, "--out", run, "--threads", 1)
    assert done.code == 0
    assert f"{run}: tiny, with trained edge" in done.out
    assert f"ecc-deploy evaluate {run}" in done.out
    assert (run / "system.safetensors").is_file()


def test_an_unknown_recipe_names_those_that_ship(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "abacus", "--out", tmp_path / "run")
    assert done.code == 2
    assert "fashion-mnist-quickstart" in done.err
    assert not (tmp_path / "run").exists()


def test_train_refuses_a_place_that_is_taken_before_it_trains(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    done = cli("train", "fashion-mnist-quickstart", "--out", tmp_path / "run")
    assert done.code == 2
    assert "is a file" in done.err
    assert (tmp_path / "run").read_text() == "mine"


def test_evaluate_prints_a_table(cli: Cli, tiny_run: Path) -> None:
    done = cli("evaluate", tiny_run)
    assert done.code == 0
    for name in ("edge-only", "cloud-only/png", "independent", "adaptive", "dynamic, at random"):
        assert any(line.split("  ")[0].strip() == name for line in done.out.splitlines())
    assert "…" not in done.out


def test_evaluate_json_is_all_of_stdout(cli: Cli, tiny_run: Path) -> None:
    done = cli("evaluate", tiny_run, "--json", "--gate", "margin", "--offload-rate", 0.5, "--part", "val")
    facts = json.loads(done.out)
    assert (facts["gate"], facts["part"], facts["samples"]) == ("margin", "val", 1000)


def test_evaluate_wants_a_run(cli: Cli, tmp_path: Path) -> None:
    done = cli("evaluate", tmp_path)
    assert done.code == 2
    assert "is not a run directory" in done.err
